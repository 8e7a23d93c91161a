"""What `encode` and `decode` have in common: where a single file comes from and goes to, and its codec."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

from bench.codecs.base import CodecSpec, build_codec
from bench.codecs.learned_codec import LearnedCodec
from bench.common.errors import BenchError, ConfigurationError
from bench.common.files import reading, write_whole, writing
from bench.runners.machine import configure_torch, keep_freed_memory, resolve_device

STANDARD = "-"
MOST_BYTES = 1 << 29  # of a picture's file, coded or not
Write = Callable[[bytes], None]


def name_input(file: str) -> str:
    """How messages call an input."""
    return "standard input" if file == STANDARD else file


def read_input(file: str) -> bytes:
    """Return all bytes of a file, or of standard input.

    Raises:
        BenchError: it can't be read, or is larger than any picture's.
    """
    with reading(name_input(file)), contextlib.ExitStack() as stack:
        stream = sys.stdin.buffer if file == STANDARD else stack.enter_context(Path(file).open("rb"))
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise BenchError(f"{name_input(file)} has more than {MOST_BYTES:,} bytes, too much for one picture")
    return content


@contextlib.contextmanager
def open_output(file: str, force: bool) -> Iterator[Write]:
    """Give the function that writes all of an output, a file whole or not at all.

    While standard output is the output, everything that is printed goes to standard error, what libraries print
    included.

    Raises:
        BenchError: there is such a file already and ``force`` does not allow to replace it, it is no file, or it can't
            be written.
    """
    if file == STANDARD:
        with _kept_standard_output() as write:
            yield write
        return

    path = Path(file)
    _refuse_output(path, force)

    def write_file(content: bytes) -> None:
        with writing(path):
            write_whole(path, content)

    yield write_file


def _refuse_output(path: Path, force: bool) -> None:
    """Refuse before anything is computed what could not be written afterwards."""
    with writing(path):  # a name that is too long, a folder that is a file
        there = path.exists()
        folder = next(parent for parent in path.absolute().parents if parent.exists())
    if there and not path.is_file():
        raise ConfigurationError(f"can't write {path}: it is no regular file", "name a file, or - for standard output")
    if there and not force:
        raise ConfigurationError(f"{path} is there already", "name another file, or replace it by --force")
    with writing(path):
        tempfile.TemporaryFile(dir=folder).close()


@contextlib.contextmanager
def _kept_standard_output() -> Iterator[Write]:
    """Keep standard output for the function that is given; what else is written to it goes to standard error."""
    if sys.stdout.isatty():
        raise ConfigurationError("standard output is a terminal, which shows no such file",
                                 "name a file by -o, or send the output on by | or >")
    sys.stdout.flush()
    sys.stderr.flush()
    number = sys.stdout.fileno()
    kept = os.dup(number)

    def write(content: bytes) -> None:
        with writing("standard output"), os.fdopen(os.dup(kept), "wb") as stream:
            stream.write(content)

    try:
        os.dup2(sys.stderr.fileno(), number)
        yield write
    finally:
        sys.stdout.flush()
        os.dup2(kept, number)
        os.close(kept)


def build_codec_here(args: argparse.Namespace, spec: CodecSpec) -> LearnedCodec:
    """Build the codec of ``spec`` on the device and threads that the options of the verb say."""
    device = resolve_device(args.device)
    configure_torch(threads=args.threads, deterministic=args.deterministic)
    keep_freed_memory()
    return cast(LearnedCodec, build_codec(replace(spec, location={**spec.location, "device": device})))


def describe_codec(spec: CodecSpec) -> str:
    """A codec and its rate point in words."""
    return f"{spec.name} at λ {spec.point}"


def describe_payload(payload: bytes, width: int, height: int) -> str:
    """The bytes that count as rate, and the rate, in words."""
    return f"payload {len(payload):,} bytes, {8 * len(payload) / (width * height):.4f} bpp"
