"""Time every variant beside hpcm_base at one shape, from pixels to bytes and back."""

from __future__ import annotations

import numpy as np
from tabulate import tabulate

from bench.benchmarks.benchmark import Ratio, Report, machine_line, time_together
from bench.benchmarks.lively import lively_model
from bench.codecs.learned import LearnedCodec
from bench.models import MODELS
from bench.runners.allocator import keep_freed_memory
from bench.runners.machine import configure_torch
from bench.runners.profile.subjects import BASELINE, ONLY_WHEN_NAMED, picture

SHAPE, QUICK_SHAPE = (768, 512), (256, 256)  # width, height
NOTES = """\
Milliseconds at {width}x{height}, random weights; median (10th to 90th percentile). Each variant takes turns with
{baseline}; ratios are over the turns of the same rounds. Sides are padded to what a variant needs."""


def run(device: str, quick: bool = False) -> Report:
    """Time all variants at full width but the huge one, each in turns with the baseline."""
    width, height = QUICK_SHAPE if quick else SHAPE
    configure_torch(threads=None, deterministic=True)
    keep_freed_memory()
    image = picture(width, height)
    baseline = LearnedCodec(lively_model(BASELINE), device)
    rows, ratios = [], []
    for name in MODELS:
        if name == BASELINE or name in ONLY_WHEN_NAMED:
            continue
        row, found = _compare(name, LearnedCodec(lively_model(name), device), baseline, image, device)
        rows.append(row)
        ratios += found
    notes = NOTES.format(width=width, height=height, baseline=BASELINE)
    table = tabulate(rows, headers="keys", disable_numparse=True)
    return Report("\n".join([machine_line(device), table, notes]), ratios)


def _compare(name: str, codec: LearnedCodec, baseline: LearnedCodec, image: np.ndarray,
             device: str) -> tuple[dict[str, object], list[Ratio]]:
    stream, base_stream = codec.encode(image).stream, baseline.encode(image).stream
    timings = time_together({
        "base encode": lambda: baseline.encode(image), "encode": lambda: codec.encode(image),
        "base decode": lambda: baseline.decode(base_stream), "decode": lambda: codec.decode(stream),
    }, device, repeats=5, budget=10)
    row: dict[str, object] = {"": name}
    ratios = []
    for direction in ("encode", "decode"):
        ratio = timings[direction].over(timings[f"base {direction}"])
        row |= {direction: timings[direction], f"{direction} / {BASELINE}": ratio}
        ratios.append(Ratio(f"{name}, {direction}, over {BASELINE}", ratio))
    return row, ratios
