"""Files of tiny models decoded by a second process, as `evaluate` has them decoded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from unittest import mock

import torch
from PIL import Image
from tiny_models import picture
from torch import nn

from bench.codecs.base import CodecSpec
from bench.models.checkpoints import write_float16
from bench.results.rows import Row
from bench.runners.evaluate.decoder_client import DecoderProcess
from bench.runners.evaluate.engine import Measured, Units
from bench.runners.evaluate.measure import run_unit
from bench.runners.evaluate.stopwatch import Stopwatch
from bench.runners.evaluate.unit import Unit, UnitImage


@cache
def _kept_decoder(*environment: str | None) -> DecoderProcess:
    """One process for the codecs of many tests, of one environment; it ends when its input does, with the tests."""
    return DecoderProcess()


def find_kept_decoder() -> DecoderProcess:
    """The process that decodes for tests of this one's environment."""
    return _kept_decoder(*(os.environ.get(name) for name in ("BENCH_PLUGINS", "PYTHONPATH")))


@contextmanager
def kept_decoder() -> Iterator[None]:
    """Decode in a process that is already there, and undo what measuring sets of torch."""
    threads = torch.get_num_threads()
    try:
        with mock.patch("bench.runners.evaluate.measure.DecoderProcess", lambda: nullcontext(find_kept_decoder())):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode("default")


def run_units_here(units: Units, jobs: int) -> Generator[Measured, None, None]:
    """As ``run_units``, but in this process, which a crash would end."""
    while (unit := units.take()) is not None:
        stopwatch = Stopwatch()
        yield from (Measured(unit, row, stopwatch.take()) for row in run_unit(unit, stopwatch))
        units.release(unit)


def measure_with_second_process(model: nn.Module, name: str, options: dict, sizes: list[tuple[int, int]],
                                folder: Path) -> list[Row]:
    """Write a model's weights and pictures of ``sizes``, (width, height); return the rows of measuring them."""
    checkpoint = folder / "0.01.safetensors"
    write_float16(model, checkpoint, {})
    spec = CodecSpec("learned", name, "0.01", {"lambda": 0.01},
                     {"model": name, "options": options, "label": name, "miniature": True, "metric": "mse"},
                     {"checkpoint": str(checkpoint)})
    images = []
    for width, height in sizes:
        path = folder / f"{width}x{height}.png"
        Image.fromarray(picture(width, height)).save(path)
        images.append(UnitImage(path.name, str(path), hashlib.sha256(path.read_bytes()).hexdigest()))
    with kept_decoder():
        return list(run_unit(Unit(spec, "set", None, tuple(images), threads=1)))
