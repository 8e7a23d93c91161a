"""Time the exact configuration of codecs beside their default one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench.benchmarks import benchmark
from bench.codecs.base import build_codec
from bench.codecs.learned_codec import LearnedCodec
from bench.results.latency_selection import BASE
from bench.runners.evaluate.selection import choose_point
from bench.runners.profile.subjects import make_lively_model

MINIATURES = ("hpcm_base_mini", "multiref_phase3_mini", "rwkv_phase4_mini", "weconv_phase5_mini")  # one of each line
LAMBDA = 0.0067
GOAL = 2.0
NOTES = """\
Milliseconds; median (10th to 90th percentile). From 8-bit pixels to the bytes of a file and back; {base} with random
weights. bytes: of the picture's file, and what exact adds."""


@dataclass(frozen=True)
class Pair:
    """A codec in both configurations."""

    default: LearnedCodec
    exact: LearnedCodec


def run(device: str, quick: bool = False, tell: benchmark.Tell = benchmark.tell_nothing) -> benchmark.BenchmarkReport:
    """Time encoding and decoding of both configurations in turns, a codec after another."""
    image = benchmark.set_up_codecs(quick)
    rows, ratios = [], []
    for name in (BASE, *MINIATURES):
        tell(name)
        pair = _make_base(device) if name == BASE else _make_miniature(name)
        row, found = time_pair(name, pair, image, None if quick else GOAL)
        rows.append(row)
        ratios += found
    head = f"{benchmark.machine_line(device)}\n{image.shape[1]}x{image.shape[0]}"
    return benchmark.make_report(head, rows, NOTES.format(base=BASE), ratios)


def time_pair(name: str, pair: Pair, image: np.ndarray,
              goal: float | None) -> tuple[dict[str, object], list[benchmark.SideBySide]]:
    """Time a codec's two configurations in turns.

    Args:
        name: of the codec; the baseline at full width is only decoded, for the time it takes.
        pair: the codec in both.
        image: uint8 (H, W, 3).
        goal: of decoding, exact over default.

    Returns:
        A row of the table, and the ratios of decoding and encoding.
    """
    default, exact = pair.default.encode(image).stream, pair.exact.encode(image).stream
    functions: dict[str, Callable[[], object]] = {
        "decode": partial(pair.default.decode, default), "decode, exact": partial(pair.exact.decode, exact)}
    if name != BASE:
        functions |= {"encode": partial(pair.default.encode, image), "encode, exact": partial(pair.exact.encode, image)}
    timings = benchmark.time_together(functions, repeats=5, budget_s=3)

    row: dict[str, object] = {"": name}
    ratios = []
    for direction in [direction for direction in ("decode", "encode") if direction in timings]:
        ratio = timings[f"{direction}, exact"].over(timings[direction])
        row |= {direction: timings[direction], f"{direction}, exact": timings[f"{direction}, exact"]}
        ratios.append(benchmark.SideBySide(f"{name}, {direction}, exact over default", ratio,
                                           goal if direction == "decode" else None))
    row["bytes"] = f"{len(default)} {len(exact) - len(default):+d} ({len(exact) / len(default) - 1:+.3%})"
    return row, ratios


def _make_base(device: str) -> Pair:
    model = make_lively_model(BASE)
    return Pair(LearnedCodec(copy.deepcopy(model), device), LearnedCodec(model, device, exact=True))


def _make_miniature(name: str) -> Pair:
    """On the CPU, whatever the device: the weights are in the checkout."""
    default, exact = (build_codec(choose_point(name, LAMBDA, exact=exact)) for exact in (False, True))
    assert isinstance(default, LearnedCodec) and isinstance(exact, LearnedCodec)
    return Pair(default, exact)
