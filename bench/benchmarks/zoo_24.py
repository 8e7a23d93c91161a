"""Time the evaluation of one of CompressAI's models on as many images as Kodak has, beside CompressAI's own."""

from __future__ import annotations

from dataclasses import replace

from bench.benchmarks.benchmark import BenchmarkReport, Tell, tell_nothing
from bench.benchmarks.zoo import FULL, QUICK, compare

SIZE = replace(FULL, architectures=("mbt2018-mean",), images=24, goal=0.5)


def run(device: str, quick: bool = False, tell: Tell = tell_nothing) -> BenchmarkReport:
    """Time both evaluations in turns; the CPU's, whatever the device."""
    return compare(QUICK if quick else SIZE, tell)
