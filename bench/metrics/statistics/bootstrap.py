"""Uncertainty of Bjøntegaard deltas over images: the paired bootstrap, for all resamples at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from bench.metrics.rate.bdrate import MINIMUM_OVERLAP, BDResult, bd_quality, bd_rate
from bench.metrics.rate.curves import MINIMUM_POINTS, Curve
from bench.metrics.rate.pchip import integrate_pchip
from bench.metrics.statistics.estimates import Student
from bench.metrics.statistics.resampled import Resampled
from bench.metrics.statistics.timing import FEWEST_TO_RESAMPLE

RESAMPLES, SEED = 10_000, 0
RATE, QUALITY = MEASURES = ("rate", "quality")
LARGEST_FAILED_SHARE = 0.05  # of resamples; those without a value are not like the others

Points = tuple[np.ndarray, np.ndarray]  # rates and qualities, each (points, curves)


@dataclass(frozen=True, eq=False)
class BDBootstrap:
    """A Bjøntegaard delta by both conventions, with its uncertainty over images.

    BD-rates are in percent, BD-qualities in the unit of quality.

    Attributes:
        averaged: of the curves averaged over images.
        per_image: mean of single images' deltas, over the images that have one; None where none has.
        per_image_values: (images,), NaN where an image has none.
        left_out: (images,) ``averaged`` with one image left out, NaN where that leaves no delta.
        share_improved: of the images with a value, those that need fewer bits or have more quality; None without any.
        drop_one: lowest and highest ``averaged`` with one rate point left out; None below five points, and where
            leaving one out leaves no delta.
        failed: resamples whose averaged curves have no delta; they are left out.
        resamples, seed: how it was drawn.
    """

    averaged: Resampled | Student
    per_image: Resampled | Student | None
    per_image_values: np.ndarray = field(repr=False)
    left_out: np.ndarray = field(repr=False)
    share_improved: float | None
    drop_one: tuple[float, float] | None
    failed: int
    resamples: int
    seed: int


def paired_bd_bootstrap(
    anchor_rate: np.ndarray, anchor_quality: np.ndarray, test_rate: np.ndarray, test_quality: np.ndarray,
    measure: str = RATE, resamples: int = RESAMPLES, seed: int = SEED, min_overlap: float = MINIMUM_OVERLAP,
) -> BDBootstrap:
    """Resample images, the same ones for both codecs and at every rate point, and compare them by PCHIP.

    Below six images resamples can't reach 95 %; the interval is then Student's t with the jackknife's standard error
    (Tukey, Ann. Math. Stat. 29, 1958), and unbounded where that is not known, as with a single image.

    Args:
        anchor_rate, anchor_quality, test_rate, test_quality: (images, points), the same images in the same order;
            rates in bits per pixel, qualities as in :class:`Curve`. The numbers of points of the two codecs may differ.
        measure: :data:`RATE` for the BD-rate in percent, :data:`QUALITY` for the BD-quality in the unit of quality.
        resamples, seed: how many to draw, and how.
        min_overlap: as for :func:`bd_rate`.

    Returns:
        The deltas of the averaged curves and of single images, with what is known of each.

    Raises:
        ValueError: arrays don't fit together, there is no such measure, the averaged curves have no delta, or more
            than 5 % of the resamples, or all images but one, have none.

    Of eight images the test needs 4 to 18 % fewer bits; the interval says what other images could have given:

    >>> rate = np.tile([0.2, 0.4, 0.8, 1.2], (8, 1)) * np.linspace(0.8, 1.5, 8)[:, None]
    >>> quality = np.tile([30, 33, 36.5, 38.5], (8, 1))
    >>> saved = np.linspace(0.04, 0.18, 8)[:, None]
    >>> found = paired_bd_bootstrap(rate, quality, rate * (1 - saved), quality)
    >>> low, high = found.averaged.interval()
    >>> f"{found.averaged.value:.2f} % ({low:.2f} to {high:.2f}), mean of single images {found.per_image.value:.2f} %"
    '-11.91 % (-15.64 to -7.92), mean of single images -11.00 %'
    """
    if measure not in MEASURES:
        raise ValueError(f"there is no measure '{measure}', only {' and '.join(MEASURES)}")

    anchor, test = _as_points(anchor_rate, anchor_quality), _as_points(test_rate, test_quality)
    images = anchor[0].shape[1]
    if test[0].shape[1] != images:
        raise ValueError(f"{images} images of the anchor but {test[0].shape[1]} of the test")
    result = _compare_averages(anchor, test, measure, min_overlap)
    if result.value is None:
        raise ValueError(result.reason)

    counts = resample_counts(images, resamples, seed)
    resampled = bd_of_curves(_average(anchor, counts), _average(test, counts), measure, min_overlap)
    others = np.ones((images, images))
    np.fill_diagonal(others, 0.0)
    left_out = bd_of_curves(_average(anchor, others), _average(test, others), measure, min_overlap)
    failed = int(np.isnan(resampled).sum())
    if images >= FEWEST_TO_RESAMPLE and (failed > LARGEST_FAILED_SHARE * resamples or np.isnan(left_out).any()):
        raise ValueError(f"the curves are too close to having no BD-{measure}: {failed} of {resamples} resamples of "
                         f"the {images} images have none, for lack of overlap or as they don't rise")

    single = bd_of_curves(anchor, test, measure, min_overlap)
    has_value = ~np.isnan(single)
    values = single[has_value]
    better = values < 0 if measure == RATE else values > 0

    return BDBootstrap(
        averaged=_estimate(result.value, resampled, left_out),
        per_image=_estimate_mean(values, counts if has_value.all() else counts[has_value]) if len(values) else None,
        per_image_values=single, left_out=left_out,
        share_improved=float(better.mean()) if len(values) else None,
        drop_one=_find_range_without_a_point(anchor, test, measure, min_overlap),
        failed=failed, resamples=resamples, seed=seed)


@lru_cache(maxsize=2)  # all comparisons on one dataset draw the same
def resample_counts(images: int, resamples: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
    """Draw images with replacement.

    Args:
        images, resamples, seed: how many there are, how often to draw as many, and how.

    Returns:
        (images, resamples), how often each image is in each resample; not to be written to.

    >>> resample_counts(images=3, resamples=2, seed=0).sum(axis=0)
    array([3., 3.])
    """
    generator, counts = np.random.default_rng(seed), np.zeros(images * resamples)
    for _ in range(images):  # one image of each resample at a time, so that no cell is counted twice in one step
        counts[generator.integers(images, size=resamples) * resamples + np.arange(resamples)] += 1
    counts.flags.writeable = False
    return counts.reshape(images, resamples)


def bd_of_curves(anchor: Points, test: Points, measure: str, min_overlap: float = MINIMUM_OVERLAP) -> np.ndarray:
    """Return the deltas of many pairs of curves, NaN where :func:`bd_rate` or :func:`bd_quality` gives no number.

    Args:
        anchor, test: rates and qualities, each (points, curves), points in any order.
        measure: :data:`RATE` or :data:`QUALITY`.
        min_overlap: as for :func:`bd_rate`.

    Returns:
        (curves,), in percent or in the unit of quality.

    >>> rate, quality = np.array([[0.2], [0.4], [0.8], [1.2]]), np.array([[30], [33], [36.5], [38.5]])
    >>> bd_of_curves((rate, quality), (0.9 * rate, quality), RATE).round(3)
    array([-10.])
    """
    (anchor_x, anchor_y), (test_x, test_y) = _axes(anchor, measure), _axes(test, measure)
    low, high = np.maximum(anchor_x[0], test_x[0]), np.minimum(anchor_x[-1], test_x[-1])
    union = np.maximum(anchor_x[-1], test_x[-1]) - np.minimum(anchor_x[0], test_x[0])
    with np.errstate(invalid="ignore", divide="ignore"):  # unusable curves
        usable = (low < high) & ((high - low) / union >= min_overlap)
    for part in (anchor_x, anchor_y, test_x, test_y):
        usable &= _rises(part)

    values = np.full(len(usable), np.nan)
    if not usable.any():  # curves of three points or fewer have no slopes
        return values

    def area(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Of the usable curves; compress, unlike an index, keeps them beside each other in memory: twice as fast."""
        x, y = np.compress(usable, x, axis=1), np.compress(usable, y, axis=1)
        return integrate_pchip(x, y, low[usable], high[usable])

    difference = (area(test_x, test_y) - area(anchor_x, anchor_y)) / (high - low)[usable]
    values[usable] = 100 * (10.0**difference - 1) if measure == RATE else difference
    return values


def _axes(side: Points, measure: str) -> tuple[np.ndarray, np.ndarray]:
    """What is integrated over and what is integrated, in order of rate: quality and log10 rate, or the other way."""
    rate, quality = side
    if not (rate[:-1] <= rate[1:]).all():
        order = np.argsort(rate, axis=0, kind="stable")
        rate, quality = (np.take_along_axis(part, order, axis=0) for part in side)

    with np.errstate(invalid="ignore", divide="ignore"):  # rates that are not positive, which _rises finds
        log_rate = np.log10(rate)
    return (quality, log_rate) if measure == RATE else (log_rate, quality)


def _rises(values: np.ndarray) -> np.ndarray:
    """Which curves have finite values, enough and strictly rising ones, see ``find_curve_fault``."""
    if len(values) < MINIMUM_POINTS:
        return np.zeros(values.shape[1], dtype=bool)
    with np.errstate(invalid="ignore"):
        return np.isfinite(values).all(axis=0) & (np.diff(values, axis=0) > 0).all(axis=0)


def _average(side: Points, weights: np.ndarray) -> Points:
    """Means over images with each column of ``weights``, (images, curves), which all add up to the same."""
    rate, quality = side
    total = weights[:, 0].sum()
    with np.errstate(invalid="ignore"):  # of a single image, once that is left out
        return rate @ weights / total, quality @ weights / total


def _compare_averages(anchor: Points, test: Points, measure: str, min_overlap: float) -> BDResult:
    compare = bd_rate if measure == RATE else bd_quality
    return compare(_averaged_curve(anchor, "anchor"), _averaged_curve(test, "test"), min_overlap=min_overlap)


def _averaged_curve(side: Points, label: str) -> Curve:
    rate, quality = side
    return Curve(rate.mean(axis=1).tolist(), quality.mean(axis=1).tolist(), label)


def _estimate(value: float, resampled: np.ndarray, left_out: np.ndarray) -> Resampled | Student:
    """What is known of ``value`` from resamples, and from leaving out one image each; NaN where there is no value."""
    n = len(left_out)
    if n >= FEWEST_TO_RESAMPLE:
        return Resampled(value, resampled[~np.isnan(resampled)], n, left_out)
    if n == 1 or np.isnan(left_out).any():
        return Student(value, value, math.inf, max(n - 1.0, 1.0), n)
    return Student(value, value, float(np.sqrt((n - 1) * left_out.var())), n - 1.0, n)


def _estimate_mean(values: np.ndarray, counts: np.ndarray) -> Resampled | Student:
    """Of the mean of images' values; resamples have as many images as happen to be drawn of them."""
    n = len(values)
    with np.errstate(invalid="ignore", divide="ignore"):  # no image drawn; a single image left out
        means = (values @ counts) / counts.sum(axis=0)
        left_out = (values.sum() - values) / np.float64(n - 1)
    return _estimate(float(values.mean()), means, left_out)


def _find_range_without_a_point(
    anchor: Points, test: Points, measure: str, min_overlap: float
) -> tuple[float, float] | None:
    """Range with one point of the test left out, and the same one of the anchor where this has as many."""
    points, together = len(test[0]), len(anchor[0]) == len(test[0])
    if points <= MINIMUM_POINTS:
        return None

    kept = np.array([np.delete(np.arange(points), index) for index in range(points)]).T
    whole = np.tile(np.arange(len(anchor[0]))[:, None], points)
    values = bd_of_curves(_take_averages(anchor, kept if together else whole), _take_averages(test, kept), measure,
                          min_overlap)
    return None if np.isnan(values).any() else (float(values.min()), float(values.max()))


def _take_averages(side: Points, indices: np.ndarray) -> Points:
    """Of the averaged curve the points at ``indices``, (points, curves)."""
    rate, quality = (part.mean(axis=1) for part in side)
    return rate[indices], quality[indices]


def _as_points(rate: np.ndarray, quality: np.ndarray) -> Points:
    """Both as (points, images)."""
    rate, quality = np.asarray(rate, dtype=float), np.asarray(quality, dtype=float)
    if rate.ndim != 2 or rate.shape != quality.shape or not rate.size:
        raise ValueError(f"rates and qualities must be (images, points), got {rate.shape} and {quality.shape}")
    return np.ascontiguousarray(rate.T), np.ascontiguousarray(quality.T)
