"""Time the exact configuration of codecs beside their default one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

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
    makers: dict[str, Callable[[], Pair]] = {BASE: lambda: _make_base(device)}
    for name in MINIATURES:
        makers[name] = lambda name=name: _make_miniature(name)
    rows, ratios = [], []
    for name, make in makers.items():
        tell(name)
        row, found = time_pair(name, make(), image, None if quick else GOAL)
        rows.append(row)
        ratios += found
    head = f"{benchmark.machine_line(device)}\n{image.shape[1]}x{image.shape[0]}"
    return benchmark.make_report(head, rows, NOTES.format(base=BASE), ratios)


def time_pair(name: str, pair: Pair, image: np.ndarray,
              goal: float | None) -> tuple[dict[str, object], list[benchmark.SideBySide]]:
    """Time a codec's two configurations in turns.

    Args:
        name: of the codec.
        pair: the codec in both.
        image: uint8 (H, W, 3).
        goal: of decoding, exact over default.

    Returns:
        A row of the table, and the ratios of encoding and decoding.
    """
    default, exact = pair.default.encode(image).stream, pair.exact.encode(image).stream
    timings = benchmark.time_together({
        "encode": lambda: pair.default.encode(image), "encode, exact": lambda: pair.exact.encode(image),
        "decode": lambda: pair.default.decode(default), "decode, exact": lambda: pair.exact.decode(exact),
    }, repeats=5, budget_s=5)
    row: dict[str, object] = {"": name}
    ratios = []
    for direction, wanted in (("encode", None), ("decode", goal)):
        ratio = timings[f"{direction}, exact"].over(timings[direction])
        row |= {direction: timings[direction], f"{direction}, exact": timings[f"{direction}, exact"],
                f"{direction}: exact / default": ratio}
        ratios.append(benchmark.SideBySide(f"{name}, {direction}, exact over default", ratio, wanted))
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
