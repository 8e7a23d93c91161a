"""Statistics of timings: summaries, when a function is warm, ratios of medians with an interval.

Times are skewed and have outliers, so that everything here goes by medians and ranks where there are samples enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

NOISE_FLOOR = 0.03  # relative; smaller differences come and go between two runs of the same code
LEVEL = 0.95
RESAMPLES = 9999
FEWEST_TO_RESAMPLE = 6  # below, not even the range of n values covers their median in 95 % of cases: 1 - 2^(1-n)
SEED = 0

BOOTSTRAP, STUDENT = "bootstrap", "t"


@dataclass(frozen=True)
class Summary:
    """What samples of a time come to, in their unit.

    Attributes:
        median, p10, p90: median, 10th and 90th percentile, linear between samples.
        n: number of samples.
        interval: of the median, 95 %; None below six samples, see :func:`median_interval`.
    """

    median: float
    p10: float
    p90: float
    n: int
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Ratio:
    """A ratio of two medians.

    Attributes:
        value: median of a over median of b.
        low, high: interval of 95 % unless another level was asked for; None where a side has a single sample.
        n_a, n_b: samples.
        differs: the interval leaves out 1 and the value is further from 1 than the noise floor.
        method: :data:`BOOTSTRAP`, or :data:`STUDENT` with few samples; None without an interval.
    """

    value: float
    low: float | None
    high: float | None
    n_a: int
    n_b: int
    differs: bool
    method: str | None


def summarise_times(samples: Sequence[float]) -> Summary:
    """Summarise times by ranks.

    Args:
        samples: one or more, in any unit.

    Returns:
        Median, percentiles and the median's interval, in that unit.

    Raises:
        ValueError: there are none, or one is no finite number.

    >>> summarise_times([1.0, 1.1, 1.2, 1.3, 1.4, 9.0])
    Summary(median=1.25, p10=1.05, p90=5.2, n=6, interval=(1.0, 9.0))
    """
    values = _as_finite(samples)
    p10, median, p90 = np.percentile(values, (10, 50, 90)).tolist()

    return Summary(median, p10, p90, len(values), median_interval(samples))


def is_stable(samples: Sequence[float], window: int = 3, tolerance: float = 0.03) -> bool:
    """Whether a function that took ``samples``, in this order, is warm.

    It is when the medians of the last two windows, which don't overlap, differ by at most ``tolerance`` of the
    smaller one. Fewer than two windows are never enough.

    Args:
        samples: times in any unit, in the order in which they were taken.
        window: samples in a window; one outlier in three does not move a median.
        tolerance: relative.

    Returns:
        True once it is warm.

    >>> is_stable([3.0, 1.5, 1.2]), is_stable([3.0, 1.5, 1.2, 1.0, 1.01, 1.0]), is_stable([1.0] * 6)
    (False, False, True)
    """
    if len(samples) < 2 * window:
        return False

    last, before = (float(np.median(part)) for part in (samples[-window:], samples[-2 * window:-window]))
    return abs(last - before) <= tolerance * min(last, before)


def median_interval(samples: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """Return an interval of the median from order statistics, valid for any continuous distribution.

    Between the k-th smallest and the k-th largest of n samples lies the median with the probability that a
    binomial variable B(n, 1/2) is at least k and at most n - k (David and Nagaraja, Order Statistics, 2003,
    section 7.1). k is the largest that gives ``level``.

    Args:
        samples: one or more, in any unit.
        level: least probability that the interval holds the median.

    Returns:
        Both ends in that unit; None where not even the whole range of the samples gives ``level``.

    Raises:
        ValueError: there are no samples, or one is no finite number.

    >>> median_interval([5, 3, 8, 1, 9, 4, 7, 2, 6])
    (2.0, 8.0)
    >>> median_interval([5, 3, 8, 1])
    """
    values = np.sort(_as_finite(samples))
    n = len(values)

    k = int(stats.binom.ppf((1 - level) / 2, n, 0.5))  # the least with P(B <= k) >= (1 - level) / 2
    if k == 0:
        return None
    return float(values[k - 1]), float(values[n - k])


def compare_medians(a: Sequence[float], b: Sequence[float], noise_floor: float = NOISE_FLOOR, *, paired: bool = False,
          level: float = LEVEL) -> Ratio:
    """Return the median of ``a`` over that of ``b`` with an interval.

    The interval is a percentile bootstrap with a fixed seed (Efron and Tibshirani, An Introduction to the Bootstrap,
    1993, chapter 13): of rounds where ``paired``, else of each side by itself. With fewer than six samples on a side
    resampling can't reach 95 %; the interval is then Student's t, unpaired with Welch's degrees of freedom, on the
    logarithms of the times, which takes these for normal, and is widened to hold the value.

    Args:
        a, b: positive times in one unit.
        noise_floor: relative; a ratio within it never differs.
        paired: a[i] and b[i] are of one round of interleaved measurements, so that slow changes of the machine's
            speed fall on both alike and cancel.
        level: of the interval.

    Returns:
        The ratio, without a unit, and whether it differs from 1.

    Raises:
        ValueError: no samples, a sample that is not positive and finite, or pairs without a partner.

    >>> slow, fast = [1.00, 1.02, 0.98, 1.50, 1.01, 0.99], [0.50, 0.51, 0.49, 0.75, 0.50, 0.50]
    >>> found = compare_medians(slow, fast, paired=True)
    >>> f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})", found.differs
    ('2.01 (1.98 to 2.02)', True)
    """
    first, second = check_times(a, b, paired)
    value = float(np.median(first) / np.median(second))
    n_a, n_b = len(first), len(second)
    if min(n_a, n_b) < 2:
        return Ratio(value, None, None, n_a, n_b, False, None)

    if min(n_a, n_b) < FEWEST_TO_RESAMPLE:
        centre, error, freedom = estimate_log_ratio(first, second, paired)
        reach = float(stats.t.ppf((1 + level) / 2, freedom)) * error
        method, low, high = STUDENT, math.exp(centre - reach), math.exp(centre + reach)
    else:
        ends = ((1 - level) / 2, (1 + level) / 2)
        method, (low, high) = BOOTSTRAP, np.quantile(resample_ratios(first, second, paired), ends).tolist()

    low, high = min(low, value), max(high, value)
    differs = not low <= 1 <= high and abs(value - 1) > noise_floor
    return Ratio(value, low, high, n_a, n_b, differs, method)


def check_times(a: Sequence[float], b: Sequence[float], paired: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return both series as arrays.

    Args:
        a, b: times in one unit.
        paired: whether they are of the same rounds.

    Raises:
        ValueError: no samples, a sample that is not positive and finite, or pairs without a partner.
    """
    first, second = _as_finite(a), _as_finite(b)
    if min(first.min(), second.min()) <= 0:
        raise ValueError("times must be positive")
    if paired and len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} samples can't be paired")
    return first, second


def resample_ratios(a: np.ndarray, b: np.ndarray, paired: bool) -> np.ndarray:
    """Return ratios of medians on bootstrap resamples, with a fixed seed.

    Args:
        a, b: (samples,) positive times in one unit; as many on both sides where ``paired``.
        paired: whether both sides are resampled by the same rounds.

    Returns:
        (resamples,), medians of a over those of b.
    """
    generator = np.random.default_rng(SEED)
    chosen_a = generator.integers(len(a), size=(RESAMPLES, len(a)))
    chosen_b = chosen_a if paired else generator.integers(len(b), size=(RESAMPLES, len(b)))
    return np.median(a[chosen_a], axis=1) / np.median(b[chosen_b], axis=1)


def estimate_log_ratio(a: np.ndarray, b: np.ndarray, paired: bool) -> tuple[float, float, float]:
    """Return the mean difference of the logarithms, its standard error, and Student's degrees of freedom.

    Unpaired these are Welch's (Biometrika 34, 1947).

    Args:
        a, b: (samples,) positive times in one unit, two or more on each side.
        paired: a[i] and b[i] are of one round.

    Returns:
        Difference, standard error and degrees of freedom.

    >>> difference, error, freedom = estimate_log_ratio(np.array([2.0, 2.2]), np.array([1.0, 1.1]), paired=True)
    >>> f"{math.exp(difference):.2f} {error:.2f} {freedom:g}"
    '2.00 0.00 1'
    """
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


def _as_finite(samples: Sequence[float]) -> np.ndarray:
    values = np.asarray(samples, dtype=float)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError("samples must be finite numbers, at least one")
    return values
