"""Ratios of medians of times, with what is known of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bench.metrics.statistics.estimates import Student
from bench.metrics.statistics.resampled import Resampled
from bench.metrics.statistics.timing import FEWEST_TO_RESAMPLE, NOISE_FLOOR, as_finite

RESAMPLES, SEED = 9999, 0


@dataclass(frozen=True)
class Ratio:
    """A ratio of two medians over rounds of interleaved measurements.

    Attributes:
        value: median of a over median of b.
        low, high: interval of 95 %; None with a single round.
        rounds: how many there are.
        differs: the interval leaves out 1 and the value is further from 1 than the noise floor.
    """

    value: float
    low: float | None
    high: float | None
    rounds: int
    differs: bool


def compare_rounds(a: Sequence[float], b: Sequence[float]) -> Ratio:
    """Return the median of ``a`` over that of ``b``, where a[i] and b[i] are of one round.

    Args:
        a, b: positive times in one unit.

    Returns:
        The ratio, without a unit, and whether it differs from 1.

    Raises:
        ValueError: no samples, a sample that is not positive and finite, or one without a partner.

    >>> slow, fast = [1.00, 1.02, 0.98, 1.50, 1.01, 0.99], [0.50, 0.51, 0.49, 0.75, 0.50, 0.50]
    >>> found = compare_rounds(slow, fast)
    >>> f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})", found.differs
    ('2.01 (1.98 to 2.02)', True)
    """
    estimate = ratio_estimate(a, b, paired=True)
    if estimate.n < 2:
        return Ratio(estimate.value, None, None, estimate.n, False)

    low, high = estimate.interval()
    differs = not low <= 1 <= high and abs(estimate.value - 1) > NOISE_FLOOR
    return Ratio(estimate.value, low, high, estimate.n, differs)


def ratio_estimate(a: Sequence[float], b: Sequence[float], paired: bool) -> Resampled | Student:
    """Return the median of ``a`` over that of ``b``.

    From six samples on a side its interval is a percentile bootstrap with a fixed seed (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, chapter 13): of rounds where ``paired``, else of each side by itself. Fewer
    can't reach 95 % by resampling; the interval is then Student's t on the logarithms of the times, which takes these
    for normal, unpaired with Welch's degrees of freedom (Biometrika 34, 1947). With a single sample it is unbounded.

    Args:
        a, b: positive times in one unit.
        paired: a[i] and b[i] are of one round of interleaved measurements, so that slow changes of the machine's
            speed fall on both alike and cancel.

    Returns:
        The ratio, without a unit.

    Raises:
        ValueError: no samples, a sample that is not positive and finite, or pairs without a partner.

    >>> found = ratio_estimate([2.0, 2.1, 2.2], [1.0, 1.0, 1.1], paired=True)
    >>> low, high = found.interval()
    >>> f"{found.value:.2f} ({low:.2f} to {high:.2f}) by {found.method}"
    "2.10 (1.90 to 2.18) by Student's t"
    """
    first, second = _check_times(a, b, paired)
    value, n = float(np.median(first) / np.median(second)), min(len(first), len(second))

    if n >= FEWEST_TO_RESAMPLE:
        return Resampled(value, _resample_ratios(first, second, paired), n)
    if n < 2:
        return Student(value, math.log(value), math.inf, 1.0, n, logarithmic=True)
    return Student(value, *_estimate_log_ratio(first, second, paired), n, logarithmic=True)


def _check_times(a: Sequence[float], b: Sequence[float], paired: bool) -> tuple[np.ndarray, np.ndarray]:
    """Both series as arrays."""
    first, second = as_finite(a), as_finite(b)
    if min(first.min(), second.min()) <= 0:
        raise ValueError("times must be positive")
    if paired and len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} samples can't be paired")
    return first, second


def _resample_ratios(a: np.ndarray, b: np.ndarray, paired: bool) -> np.ndarray:
    """Ratios of medians on bootstrap resamples, (resamples,), with a fixed seed."""
    chosen = _draw_rounds((len(a),) if paired else (len(a), len(b)))
    return np.median(a[chosen[0]], axis=1) / np.median(b[chosen[-1]], axis=1)


@lru_cache(maxsize=8)  # most comparisons are of as many rounds
def _draw_rounds(numbers: tuple[int, ...]) -> list[np.ndarray]:
    """Draw rounds with replacement from each of several series, (resamples, rounds); not to be written to."""
    generator = np.random.default_rng(SEED)
    return [generator.integers(number, size=(RESAMPLES, number)) for number in numbers]


def _estimate_log_ratio(a: np.ndarray, b: np.ndarray, paired: bool) -> tuple[float, float, float]:
    """Mean difference of the logarithms, its standard error, and degrees of freedom (unpaired, Welch's)."""
    log_a, log_b = np.log(a), np.log(b)
    if paired:
        differences = log_a - log_b
        error = differences.std(ddof=1) / len(differences) ** 0.5
        return float(differences.mean()), float(error), len(differences) - 1.0

    parts = np.array([log_a.var(ddof=1) / len(log_a), log_b.var(ddof=1) / len(log_b)])
    difference, error = log_a.mean() - log_b.mean(), parts.sum() ** 0.5
    beneath = (parts ** 2 / np.array([len(log_a) - 1, len(log_b) - 1])).sum()
    freedom = parts.sum() ** 2 / beneath if beneath > 0 else len(log_a) + len(log_b) - 2
    return float(difference), float(error), float(freedom)
