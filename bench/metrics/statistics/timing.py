"""Statistics of timings: summaries, and when a function is warm.

Times are skewed and have outliers, so that everything here goes by medians and ranks where there are samples enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

NOISE_FLOOR = 0.03  # relative; smaller differences come and go between two runs of the same code
LEVEL = 0.95
FEWEST_TO_RESAMPLE = 6  # below, not even the range of n values covers their median in 95 % of cases: 1 - 2^(1-n)


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
    values = as_finite(samples)
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
    values = np.sort(as_finite(samples))
    n = len(values)

    probabilities = scipy.special.bdtr(np.arange(n + 1), n, 0.5)  # P(B <= k); scipy.stats is slow to load
    k = int(np.searchsorted(probabilities, (1 - level) / 2))  # the least that reaches it
    if k == 0:
        return None
    return float(values[k - 1]), float(values[n - k])


def as_finite(samples: Sequence[float]) -> np.ndarray:
    """Return samples as an array.

    Args:
        samples: in any unit, such as seconds.

    Returns:
        float64 (samples,).

    Raises:
        ValueError: there are none, or one is no finite number.
    """
    values = np.asarray(samples, dtype=float)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError("samples must be finite numbers, at least one")
    return values
