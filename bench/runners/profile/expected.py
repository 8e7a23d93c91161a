"""How long a profile takes; imports neither torch nor models."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from statistics import mean, median

from bench.results.latency_rows import DIRECTIONS
from bench.results.latency_selection import BASE, DEFAULT, USUAL_SHAPE, Case
from bench.runners.machine import usable_cores

CORE_SECONDS_PER_MEGAPIXEL = 18.0  # of a pass in one direction
GPU_SECONDS_PER_MEGAPIXEL = 0.08
BUILD_CORE_SECONDS = 10.0
EXTRA_ROUNDS = 5.0  # first call, check, stages, memory and operations, warm-up


def guess_pass_s(device: str, megapixels: float, threads: int) -> float:
    """Seconds that one pass in one direction is expected to take."""
    if device != "cpu":
        return GPU_SECONDS_PER_MEGAPIXEL * megapixels
    return CORE_SECONDS_PER_MEGAPIXEL * megapixels / _useful_cores(threads)


def guess_build_s(threads: int) -> float:
    """Seconds that a model and its synthetic weights are expected to take."""
    return BUILD_CORE_SECONDS / _useful_cores(threads)


def expect_profile_s(names: Collection[str], cases: Iterable[Case], rounds: int, device: str, threads: int) -> float:
    """Seconds that a profile at the usual size is expected to take, by earlier times of the device where there are any.

    Args:
        names: of variants.
        cases: stored ones of the device; a variant without any is expected to take as long as the baseline.
    """
    seen = {case.name: mean(median(row.samples_s) for row in case.measured_rows) for case in cases
            if case.conditions.is_usual and case.configuration == DEFAULT and case.measured_rows}
    usual_s = seen.get(BASE) or guess_pass_s(device, USUAL_SHAPE[0] * USUAL_SHAPE[1] / 1e6, threads)
    passes_s = sum(seen.get(name, usual_s) for name in names)
    return len(names) * guess_build_s(threads) + (EXTRA_ROUNDS + rounds) * len(DIRECTIONS) * passes_s


def _useful_cores(threads: int) -> int:
    """Cores that torch uses; more than eight hardly help one image."""
    return min(8, threads, usable_cores())
