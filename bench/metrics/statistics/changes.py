"""What moved between two measurements of the same codec on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from bench.metrics.rate.bdrate import bd_rate
from bench.metrics.rate.curves import Curve
from bench.metrics.statistics.bootstrap import QUALITY, RATE, paired_bd_bootstrap
from bench.metrics.statistics.ratios import ratio_estimate
from bench.metrics.statistics.timing import NOISE_FLOOR
from bench.metrics.statistics.verdicts import LEVEL, TWO_SIDED

RATE_FLOOR_PERCENT = 0.1  # smaller changes of the rate are no news, however certain
QUALITY_FLOOR_DB = 0.005


@dataclass(frozen=True)
class Shift:
    """A value with its one-sided 95 % bounds below and above."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class RDShift:
    """How the points of a codec moved, positive for more bits or more quality.

    Attributes:
        bd_percent: BD-rate against the earlier curve; None where the curves have none.
        rate_percent: mean change of the bits over images and points.
        quality_db: mean change of the quality.
        term: which of both made the larger part of the change, :data:`RATE` or :data:`QUALITY`.
        per_image: change of each image in the term's unit, mean over points.
        per_point: change at each point in the term's unit, mean over images.
        direction: 1 where it got worse beyond its uncertainty, -1 where better, else 0.
    """

    bd_percent: Shift | None
    rate_percent: Shift
    quality_db: Shift
    term: str
    per_image: tuple[float, ...]
    per_point: tuple[float, ...]
    direction: int


def rd_shift(before_rate: np.ndarray, before_quality: np.ndarray, rate: np.ndarray, quality: np.ndarray) -> RDShift:
    """Compare two measurements of one codec.

    Args:
        before_rate, before_quality, rate, quality: (images, points) of the same images and points; rates in bits per
            pixel, qualities in dB.

    Returns:
        Changes of rate in percent and of quality in dB.

    >>> rate = np.tile([0.2, 0.4, 0.8, 1.2], (8, 1)) * np.linspace(0.8, 1.5, 8)[:, None]
    >>> quality = np.tile([30, 33, 36.5, 38.5], (8, 1))
    >>> moved = rd_shift(rate, quality, 1.02 * rate, quality)
    >>> f"{moved.bd_percent.value:+.2f} % by {moved.term}, direction {moved.direction}"
    '+2.00 % by rate, direction 1'
    """
    rates = 100 * np.expm1(np.log(rate) - np.log(before_rate))
    qualities = quality - before_quality
    rate_percent, quality_db = _mean_shift(rates.mean(1)), _mean_shift(qualities.mean(1))

    try:
        bd = paired_bd_bootstrap(before_rate, before_quality, rate, quality).averaged
    except ValueError:  # too few points, or none that rise
        shift, direction = None, _direction_of_terms(rate_percent, quality_db)
    else:
        low, high = bd.interval(TWO_SIDED) if len(rate) > 1 else (bd.value, bd.value)  # one image is all there is
        shift = Shift(bd.value, low, high)
        direction = int(shift.low > RATE_FLOOR_PERCENT) - int(shift.high < -RATE_FLOOR_PERCENT)

    term = _larger_term(before_rate, before_quality, rate, quality)
    moved = rates if term == RATE else qualities
    return RDShift(shift, rate_percent, quality_db, term, tuple(moved.mean(1).tolist()), tuple(moved.mean(0).tolist()),
                   direction)


def _mean_shift(values: np.ndarray) -> Shift:
    """Mean over images with bounds of Student's t."""
    mean = float(values.mean())
    if len(values) < 2 or np.ptp(values) == 0:
        return Shift(mean, mean, mean)
    margin = float(scipy.special.stdtrit(len(values) - 1, LEVEL) * values.std(ddof=1) / np.sqrt(len(values)))
    return Shift(mean, mean - margin, mean + margin)


def _direction_of_terms(rate: Shift, quality: Shift) -> int:
    """Worse where one term got worse and the other didn't get better; better the other way round."""
    rate_sign = int(rate.low > RATE_FLOOR_PERCENT) - int(rate.high < -RATE_FLOOR_PERCENT)
    quality_sign = int(quality.high < -QUALITY_FLOOR_DB) - int(quality.low > QUALITY_FLOOR_DB)
    return int(np.sign(rate_sign + quality_sign)) if rate_sign * quality_sign >= 0 else 0


def _larger_term(before_rate: np.ndarray, before_quality: np.ndarray, rate: np.ndarray, quality: np.ndarray) -> str:
    """Which term, changed alone, moves the averaged curve further; without a BD-rate, by the floors' measure."""
    before = _averaged_curve(before_rate, before_quality)
    by_rate = bd_rate(before, _averaged_curve(rate, before_quality)).value
    by_quality = bd_rate(before, _averaged_curve(before_rate, quality)).value

    if by_rate is None or by_quality is None:
        by_rate = float(np.mean(rate / before_rate - 1)) * 100 / RATE_FLOOR_PERCENT
        by_quality = float(np.mean(quality - before_quality)) / QUALITY_FLOOR_DB
    return RATE if abs(by_rate) >= abs(by_quality) else QUALITY


def _averaged_curve(rate: np.ndarray, quality: np.ndarray) -> Curve:
    return Curve(rate.mean(0).tolist(), quality.mean(0).tolist())


@dataclass(frozen=True)
class TimeShift(Shift):
    """How a time moved: the ratio of medians, later over earlier, and 1, 0 or -1 as in :class:`RDShift`."""

    direction: int


def time_shift(before_s: Sequence[float], after_s: Sequence[float]) -> TimeShift:
    """Compare samples of two sessions; changes within the noise floor never count.

    Args:
        before_s, after_s: times in seconds.

    Returns:
        The ratio of medians, later over earlier, with one-sided 95 % bounds.

    Raises:
        ValueError: no samples, or one that is not positive and finite.

    >>> time_shift([1.0, 1.01, 0.99, 1.0, 1.02, 0.98], [1.2, 1.21, 1.19, 1.2, 1.22, 1.18]).direction
    1
    """
    estimate = ratio_estimate(after_s, before_s, paired=False)
    low, high = estimate.interval(TWO_SIDED)
    direction = int(low > 1 + NOISE_FLOOR) - int(high < 1 - NOISE_FLOOR)
    return TimeShift(estimate.value, low, high, direction)
