"""Time every variant beside hpcm_base at one shape, from pixels to bytes and back."""

from __future__ import annotations

import numpy as np

from bench.benchmarks import benchmark
from bench.codecs.learned_codec import LearnedCodec
from bench.models import MODELS
from bench.results.latency_selection import BASE
from bench.runners.profile.subjects import ONLY_WHEN_NAMED, make_lively_model

NOTES = """\
Milliseconds at {width}x{height}, random weights; median (10th to 90th percentile). Each variant takes turns with
{baseline}; ratios are over the turns of the same rounds. Sides are padded to what a variant needs."""


def run(device: str, quick: bool = False, tell: benchmark.Tell = benchmark.tell_nothing) -> benchmark.BenchmarkReport:
    """Time all variants at full width but the huge one, each in turns with the baseline."""
    image = benchmark.set_up_codecs(quick)
    baseline = LearnedCodec(make_lively_model(BASE), device)
    rows, ratios = [], []
    for name in MODELS:
        if name == BASE or name in ONLY_WHEN_NAMED:
            continue
        tell(name)
        row, found = _time_beside_baseline(name, LearnedCodec(make_lively_model(name), device), baseline, image)
        rows.append(row)
        ratios += found
    notes = NOTES.format(width=image.shape[1], height=image.shape[0], baseline=BASE)
    return benchmark.make_report(benchmark.machine_line(device), rows, notes, ratios)


def _time_beside_baseline(name: str, codec: LearnedCodec, baseline: LearnedCodec,
                          image: np.ndarray) -> tuple[dict[str, object], list[benchmark.SideBySide]]:
    stream, base_stream = codec.encode(image).stream, baseline.encode(image).stream
    timings = benchmark.time_together({
        "base encode": lambda: baseline.encode(image), "encode": lambda: codec.encode(image),
        "base decode": lambda: baseline.decode(base_stream), "decode": lambda: codec.decode(stream),
    }, repeats=5, budget_s=10)
    row: dict[str, object] = {"": name}
    ratios = []
    for direction in ("encode", "decode"):
        ratio = timings[direction].over(timings[f"base {direction}"])
        row |= {direction: timings[direction], f"{direction} / {BASE}": ratio}
        ratios.append(benchmark.SideBySide(f"{name}, {direction}, over {BASE}", ratio))
    return row, ratios
