"""Files of learned codecs, with tiny models: damaged with a right CRC, they give the same picture or an error."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compressai.models import FactorizedPrior
from fuzz.containers import leb128, mend
from fuzz.damage import damaged
from fuzz.trials import Generator, Trial
from hypothesis import strategies as st
from tiny_models import lively_lalic, lively_zoo_model, picture, tiny_model

from bench.codecs.envelope import pack_envelope
from bench.codecs.learned_codec import LearnedCodec
from bench.commands.decode import _decode, _open_file

CRC_BYTES = 2
WIDTH, HEIGHT = 70, 50
OLD, OWN = "old", "own"  # files of version 1, which have no checksum of latents, and of a model's own coder
UNCHECKED = (OLD, OWN)
CODECS = ("hpcm", "hpcm", "exact", "plain", *UNCHECKED, "lalic", "factorized", "mean", "autoregressive", "exact_lalic")
ZOO = {"factorized": "bmshj2018-factorized", "mean": "mbt2018-mean", "autoregressive": "mbt2018"}
NUMBERS = (0, 1, 2, 3, 8, 63, 64, 65, 128, 2**13, 2**16, 2**26, 2**31, 2**32 - 1, 2**32)


class OtherCoder(FactorizedPrior):
    """CompressAI's interface with a coder of its own."""

    def compress(self, x: torch.Tensor) -> dict:
        y = self.g_a(x).round().clamp(-128, 127)
        return {"strings": [[y.char().numpy().tobytes()]], "shape": y.shape[2:]}

    def decompress(self, strings: list[list[bytes]], shape: torch.Size) -> dict:
        y = torch.frombuffer(bytearray(strings[0][0]), dtype=torch.int8).view(1, -1, *shape).float()
        return {"x_hat": self.g_s(y).clamp(0, 1)}


@cache
def build(name: str) -> LearnedCodec:
    """A codec of a tiny model with random weights, always the same."""
    if name == OWN:
        torch.manual_seed(0)
        return LearnedCodec(OtherCoder(8, 12).eval(), "cpu")
    if name in ZOO:
        return LearnedCodec(lively_zoo_model(f"compressai:{ZOO[name]}"), "cpu")
    if name.endswith("lalic"):
        return LearnedCodec(lively_lalic(), "cpu", exact=name.startswith("exact"))
    return LearnedCodec(tiny_model(), "cpu", exact=name == "exact", version=1 if name == OLD else 2)


@cache
def encode(name: str) -> bytes:
    with coder_of(name):
        return build(name).encode(picture(WIDTH, HEIGHT)).stream


@cache
def expect(name: str) -> list[Any]:
    with coder_of(name):
        return describe(build(name).decode(encode(name)))


@contextlib.contextmanager
def coder_of(name: str) -> Iterator[None]:
    """"plain" decodes in Python."""
    before = os.environ.get("BENCH_NATIVE")
    os.environ["BENCH_NATIVE"] = "0" if name == "plain" else "1"
    try:
        yield
    finally:
        del os.environ["BENCH_NATIVE"]
        if before is not None:
            os.environ["BENCH_NATIVE"] = before


def describe(pixels: np.ndarray) -> list[Any]:
    return [*pixels.shape, hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest()]


@st.composite
def changed_numbers(draw: st.DrawFn, content: bytes) -> bytes:
    """One of the header's first four numbers (width, height, streams, bytes of the first one) is another."""
    numbers, start = [], 0
    for _ in range(4):
        end = next(end for end in range(start, len(content)) if content[end] < 128) + 1
        numbers.append(sum((byte & 127) << 7 * place for place, byte in enumerate(content[start:end])))
        start = end
    which = draw(st.integers(0, 3))
    old = numbers[which]
    near = st.sampled_from([old + 1, abs(old - 1), old + 64, abs(old - 64), 2 * old, 64 * old, old**2 + 7])
    numbers[which] = draw(near | st.sampled_from(NUMBERS))
    if which == 2 and numbers[2] % 2:  # shape numbers follow
        numbers[3:3] = [2, *draw(st.tuples(st.sampled_from(NUMBERS), st.sampled_from(NUMBERS)))]
    return b"".join(map(leb128, numbers)) + content[start:]


@st.composite
def damaged_contents(draw: st.DrawFn, content: bytes) -> bytes:
    """Damage to all that follows a file's CRC; the header's few bytes are hit as often as the rest."""
    case = draw(st.sampled_from(["numbers", "header", "anywhere", "anywhere", "agreed"]))
    if case == "numbers":
        return draw(changed_numbers(content))
    if case == "agreed":  # where an exact file's first stream begins
        place = 10 + draw(st.integers(0, 7))
        return content[:place] + draw(st.binary(min_size=1, max_size=1)) + content[place + 1 :]
    if case == "header":
        return draw(damaged(content[:14])) + content[14:]
    return draw(damaged(content))


@st.composite
def bitstreams(draw: st.DrawFn) -> Trial:
    """A file of one of the codecs, whole or damaged, with or without an envelope."""
    name = draw(st.sampled_from(CODECS))
    stream = encode(name)
    is_whole = draw(st.integers(0, 9)) == 0
    if not is_whole:
        stream = mend(draw(damaged_contents(stream[CRC_BYTES:])), build(name)._tag(1 if name == OLD else 2))
    if draw(st.integers(0, 3)) == 0:
        stream = pack_envelope("tiny", 0.01, name.startswith("exact"), build(name).weights_digest, stream) + stream
    expected = None if name in UNCHECKED and not is_whole else expect(name)
    return Trial({f"{name}.bin": stream}, expected, refusable=not is_whole)


def read(path: Path) -> Any:
    """Decode a file as `python -m bench decode` does."""
    name = path.stem
    envelope, payload = _open_file(str(path), path.read_bytes())
    with coder_of(name):
        decoded = _decode(str(path), build(name), envelope, payload)
    assert decoded.pixels.dtype == np.uint8 and decoded.checked == (name not in UNCHECKED)
    return describe(decoded.pixels)


BITSTREAMS = Generator("bitstreams", bitstreams(), read, 250)
