"""Statistics of repeated timings: robust summaries, a rule for the end of warm-up, ratios with intervals.

Times on a shared machine have a long tail towards slow ones, so everything here rests on medians and ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

NOISE_FLOOR = 0.03  # ratios nearer to 1 are not told apart, however many samples there are
WINDOW = 3
TOLERANCE = 0.03
RESAMPLES = 10_000


@dataclass(frozen=True)
class Summary:
    """Quantiles of ``n`` samples, and a 95 % interval of the median (None below 6 samples)."""

    median: float
    p10: float
    p90: float
    n: int
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Ratio:
    """Ratio of two medians.

    Attributes:
        value: median of a over median of b.
        low, high: 95 % interval.
        differs: the interval leaves out 1, and the value is further from 1 than the noise floor.
    """

    value: float
    low: float
    high: float
    n_a: int
    n_b: int
    differs: bool


def summarise(samples: Sequence[float]) -> Summary:
    """Summarise samples.

    The interval of the median is between two order statistics, chosen by the binomial distribution of how many
    samples fall below the true median (Conover, Practical Nonparametric Statistics, section 3.2).

    Raises:
        ValueError: there are no samples, or one is not finite.
    """
    values = np.sort(_checked(samples))
    p10, median, p90 = np.percentile(values, [10, 50, 90])
    return Summary(float(median), float(p10), float(p90), len(values), _median_interval(values))


def is_stable(samples: Sequence[float], window: int = WINDOW, tolerance: float = TOLERANCE) -> bool:
    """Whether warm-up has ended: the medians of the last two windows agree within ``tolerance`` (relative)."""
    if len(samples) < 2 * window:
        return False
    before, last = np.median(samples[-2 * window : -window]), np.median(samples[-window:])
    return bool(abs(last - before) <= tolerance * before)


def ratio(a: Sequence[float], b: Sequence[float], *, paired: bool = False, noise_floor: float = NOISE_FLOOR,
          resamples: int = RESAMPLES, seed: int = 0) -> Ratio:
    """Compare two series of timings by the ratio of their medians.

    The interval is a percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13).

    Args:
        paired: sample i of both comes from one round, and rounds are resampled together, so that what slows a
            whole round counts on both sides.
        noise_floor: relative difference that the machine itself may make.
        resamples, seed: of the bootstrap.

    Raises:
        ValueError: there are no samples, one is not finite and positive, or paired series differ in length.
    """
    first, second = _checked(a), _checked(b)
    if (np.concatenate((first, second)) <= 0).any():
        raise ValueError("timings must be positive")
    if paired and len(first) != len(second):
        raise ValueError(f"paired timings must be as many on both sides, not {len(first)} and {len(second)}")
    random = np.random.default_rng(seed)
    rounds = random.integers(0, len(first), (resamples, len(first)))
    others = rounds if paired else random.integers(0, len(second), (resamples, len(second)))
    drawn = np.median(first[rounds], axis=1) / np.median(second[others], axis=1)
    value = float(np.median(first) / np.median(second))
    low, high = (float(bound) for bound in np.percentile(drawn, [2.5, 97.5]))
    differs = not low <= 1 <= high and abs(value - 1) > noise_floor
    return Ratio(value, low, high, len(first), len(second), differs)


def _checked(samples: Sequence[float]) -> np.ndarray:
    values = np.asarray(samples, dtype=float)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError("there must be at least one sample, and all finite")
    return values


def _median_interval(values: np.ndarray) -> tuple[float, float] | None:
    """The narrowest symmetric pair of order statistics that holds the median with at least 95 %."""
    n = len(values)
    below = int(stats.binom.ppf(0.025, n, 0.5))
    if below == 0:  # not even the extremes hold it with 95 %
        return None
    return float(values[below - 1]), float(values[n - below])
