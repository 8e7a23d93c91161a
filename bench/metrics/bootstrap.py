"""Uncertainty of Bjøntegaard deltas over images: the paired bootstrap, for all resamples at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.metrics.bdrate import MINIMUM_OVERLAP, bd_quality, bd_rate
from bench.metrics.curves import MINIMUM_POINTS, Curve
from bench.metrics.estimates import Resampled
from bench.metrics.pchip import integrals

RESAMPLES, SEED = 10_000, 0
RATE, QUALITY = "rate", "quality"
_MEASURES = {RATE: bd_rate, QUALITY: bd_quality}

Points = tuple[np.ndarray, np.ndarray]  # rates and qualities, each (curves, points)


@dataclass(frozen=True)
class BDBootstrap:
    """A Bjøntegaard delta by both conventions; percent for rates, dB for qualities.

    Attributes:
        averaged: of the curves averaged over images.
        per_image: mean of single images' deltas, over those that have one.
        per_image_values: (images,), NaN where an image has none.
        share_improved: of the images with a value, those that need fewer bits or have more quality.
        drop_one: lowest and highest ``averaged`` with one rate point left out; None where that leaves too few.
        failed: resamples whose averaged curves have no delta; they are left out.
        resamples, seed: how it was drawn.
    """

    averaged: Resampled
    per_image: Resampled
    per_image_values: np.ndarray
    share_improved: float
    drop_one: tuple[float, float] | None
    failed: int
    resamples: int
    seed: int


def paired_bd_bootstrap(
    anchor_rate: np.ndarray, anchor_quality: np.ndarray, test_rate: np.ndarray, test_quality: np.ndarray,
    measure: str = RATE, resamples: int = RESAMPLES, seed: int = SEED, min_overlap: float = MINIMUM_OVERLAP,
) -> BDBootstrap:
    """Resample images, the same ones for both codecs and at every rate point (PCHIP, as :func:`bd_rate`).

    Args:
        anchor_rate, anchor_quality, test_rate, test_quality: (images, points), of the same images in the same order;
            qualities in dB. The two codecs may have different numbers of points.
        measure: :data:`RATE` or :data:`QUALITY`.
        min_overlap: as in :func:`bd_rate`.

    Raises:
        ValueError: the averaged curves of all images have no delta, fewer than two images have one, or arrays don't
            fit together.
    """
    anchor, test = (_checked(anchor_rate, anchor_quality), _checked(test_rate, test_quality))
    images = len(anchor[0])
    if len(test[0]) != images:
        raise ValueError(f"{images} images of the anchor but {len(test[0])} of the test")
    whole = _MEASURES[measure](*(Curve(*(part.mean(0) for part in side)) for side in (anchor, test)),
                               min_overlap=min_overlap)
    if whole.value is None:
        raise ValueError(whole.reason)
    single = bd_values(anchor, test, measure, min_overlap)
    usable = np.isfinite(single)
    if usable.sum() < 2:
        raise ValueError(f"only {usable.sum()} of {images} images have a BD-{measure} of their own; two are needed")
    drawn = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=resamples)
    averaged = bd_values(*(_means(side, drawn) for side in (anchor, test)), measure, min_overlap)
    left_out = bd_values(*(_means(side, 1 - np.eye(images)) for side in (anchor, test)), measure, min_overlap)
    finite = averaged[np.isfinite(averaged)]
    return BDBootstrap(
        averaged=Resampled(whole.value, finite, images, _acceleration(left_out)),
        per_image=_mean_of(single[usable], drawn[:, usable]),
        per_image_values=single, share_improved=float(np.mean((single[usable] < 0) == (measure == RATE))),
        drop_one=_drop_one(anchor, test, measure, min_overlap),
        failed=resamples - len(finite), resamples=resamples, seed=seed)


def bd_values(anchor: Points, test: Points, measure: str, min_overlap: float = MINIMUM_OVERLAP) -> np.ndarray:
    """Deltas of many pairs of curves, (curves,); NaN where :func:`bd_rate` or :func:`bd_quality` gives none."""
    sides = [_axes(side, measure) for side in (anchor, test)]
    usable = np.logical_and(*(_usable(*side) for side in (anchor, test)))
    (anchor_x, anchor_y), (test_x, test_y) = sides
    low = np.maximum(anchor_x[:, 0], test_x[:, 0])
    high = np.minimum(anchor_x[:, -1], test_x[:, -1])
    union = np.maximum(anchor_x[:, -1], test_x[:, -1]) - np.minimum(anchor_x[:, 0], test_x[:, 0])
    usable &= (high > low) & (high - low >= min_overlap * union)
    values = np.full(len(usable), np.nan)
    if not usable.any():
        return values
    low, high = low[usable], high[usable]
    areas = [integrals(x[usable].T, y[usable].T, low, high) for x, y in sides]
    difference = (areas[1] - areas[0]) / (high - low)
    values[usable] = 100 * (10**difference - 1) if measure == RATE else difference
    return values


def _axes(side: Points, measure: str) -> Points:
    """x and y of the integral, in order of rate."""
    rate, quality = _in_order(side)
    log_rate = np.log10(rate)
    return (quality, log_rate) if measure == RATE else (log_rate, quality)


def _in_order(side: Points) -> Points:
    order = np.argsort(side[0], axis=1, kind="stable")
    return tuple(np.take_along_axis(part, order, axis=1) for part in side)


def _usable(rate: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """Which curves have points enough, and rise strictly in both."""
    rising = [(np.diff(part, axis=1) > 0).all(1) for part in _in_order((rate, quality))]
    return np.logical_and(*rising) & (rate.shape[1] >= MINIMUM_POINTS)


def _means(side: Points, weights: np.ndarray) -> Points:
    """Means over images, weighted by each row of ``weights``: (rows, points)."""
    total = weights.sum(1, keepdims=True)
    return tuple(weights @ part / total for part in side)


def _mean_of(values: np.ndarray, drawn: np.ndarray) -> Resampled:
    """Mean of the usable images' values, over the resamples that hold any."""
    counts = drawn.sum(1)
    means = (drawn @ values)[counts > 0] / counts[counts > 0]
    left_out = (values.sum() - values) / (len(values) - 1)
    return Resampled(float(values.mean()), means, len(values), _acceleration(left_out))


def _acceleration(left_out: np.ndarray) -> float:
    """BCa's acceleration from the values with one image left out (Efron and Tibshirani, 1993, equation 14.15)."""
    values = left_out[np.isfinite(left_out)]
    differences = values.mean() - values if len(values) else values
    scale = (differences**2).sum() ** 1.5
    return float((differences**3).sum() / (6 * scale)) if scale > 0 else 0.0


def _drop_one(anchor: Points, test: Points, measure: str, min_overlap: float) -> tuple[float, float] | None:
    """Range of the averaged delta with one point of the test left out, and of the anchor where they have as many."""
    points = test[0].shape[1]
    together = anchor[0].shape[1] == points
    values = []
    for index in range(points):
        sides = [tuple(np.delete(part.mean(0, keepdims=True), index, axis=1) for part in side)
                 if side is test or together else tuple(part.mean(0, keepdims=True) for part in side)
                 for side in (anchor, test)]
        values.append(float(bd_values(*sides, measure, min_overlap)[0]))
    return (min(values), max(values)) if np.isfinite(values).all() else None


def _checked(rate: np.ndarray, quality: np.ndarray) -> Points:
    rate, quality = np.asarray(rate, dtype=float), np.asarray(quality, dtype=float)
    if rate.ndim != 2 or rate.shape != quality.shape:
        raise ValueError(f"rates and qualities must be (images, points), got {rate.shape} and {quality.shape}")
    if not (np.isfinite(rate).all() and np.isfinite(quality).all() and (rate > 0).all()):
        raise ValueError("rates must be finite and positive, qualities finite")
    return rate, quality
