"""A Bjøntegaard delta by both conventions side by side: of averaged curves, and the mean over single images.

An averaged curve adds up bits and averages quality, so that an image counts by the bits that it takes; the mean over
images counts each one once. Where they part, neither tells the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.common.text import format_number
from bench.metrics.statistics.bootstrap import BDBootstrap

LARGEST_GAP_POINTS = 3.0  # of BD-rate between both numbers, beyond which that is said
LEAST_SHARE_OF_IMAGES = 0.5  # a mean over fewer of the images would be that of the easiest ones
DECISIVE = 0.5  # share of the gap from which on one image explains it

Interval = tuple[float, float]


@dataclass(frozen=True)
class ImageSpread:
    """Both numbers of one comparison, in percent for BD-rates and in the unit of quality for BD-qualities.

    Attributes:
        averaged: of the averaged curves; ``interval``: 95 %, over images.
        mean: of single images' deltas, None where fewer than half have one; ``mean_interval``: 95 %, over images.
        median: of the same deltas.
        without_one: lowest and highest ``averaged`` with one image left out; None where that leaves no delta.
        count: images that have a delta, of ``total``.
        remark: why both numbers differ by more than the interval or 3 points of rate, or which image alone turns a
            saving into a loss; empty where neither is so.
    """

    averaged: float
    interval: Interval
    mean: float | None
    mean_interval: Interval | None
    median: float | None
    without_one: Interval | None
    count: int
    total: int
    remark: str = ""


def summarise_images(found: BDBootstrap, images: Sequence[str], unit: str = "%", digits: int = 2) -> ImageSpread:
    """Put both numbers side by side.

    Args:
        found: what the bootstrap gave.
        images: names, in the order that ``found`` has them in.
        unit: "%" for BD-rates, that of quality for BD-qualities.
        digits: decimals of figures in the remark.

    One image that needs a twentieth of its bits hides seven that need 2 % more:

    >>> from bench.metrics.statistics.bootstrap import paired_bd_bootstrap
    >>> rate, quality = np.tile([0.2, 0.4, 0.8, 1.2], (8, 1)), np.tile([30, 33, 36.5, 38.5], (8, 1))
    >>> factors = np.array([0.05, *[1.02] * 7])[:, None]
    >>> spread = summarise_images(paired_bd_bootstrap(rate, quality, factors * rate, quality), list("abcdefgh"))
    >>> f"{spread.averaged:.2f}, {spread.mean:.2f}, {spread.median:.2f}, {spread.without_one[1]:.2f}"
    '-10.12, -10.12, 2.00, 2.00'
    """
    values, left_out = found.per_image_values[~np.isnan(found.per_image_values)], found.left_out
    enough = len(values) >= LEAST_SHARE_OF_IMAGES * len(images)
    single = found.per_image if enough else None
    spread = ImageSpread(
        averaged=found.averaged.value, interval=found.averaged.interval(),
        mean=None if single is None else single.value, mean_interval=None if single is None else single.interval(),
        median=None if single is None else float(np.median(values)),
        without_one=_find_range(left_out),
        count=len(values), total=len(images))
    return replace(spread, remark=_explain_gap(spread, left_out, images, unit, digits))


def _find_range(left_out: np.ndarray) -> Interval | None:
    if len(left_out) < 2 or np.isnan(left_out).any():
        return None
    return float(left_out.min()), float(left_out.max())


def _explain_gap(spread: ImageSpread, left_out: np.ndarray, images: Sequence[str], unit: str, digits: int) -> str:
    """Say that one image decides, or else that bits are spread otherwise; nothing where both numbers agree."""
    if spread.mean is None or spread.median is None:
        return ""
    gap, (low, high) = abs(spread.averaged - spread.mean), spread.interval
    moves = np.zeros(1) if spread.without_one is None else np.abs(left_out - spread.averaged)
    most = int(np.argmax(moves))
    turned = moves[most] > LARGEST_GAP_POINTS and float(left_out[most]) * spread.averaged < 0
    outside = gap > 10.0 ** -digits and not low <= spread.mean <= high
    if not outside and (unit != "%" or not (turned or gap > LARGEST_GAP_POINTS)):
        return ""

    averaged, mean, median, without = (f"{format_number(float(value), f'+.{digits}f')} {unit}".strip()
                                       for value in (spread.averaged, spread.mean, spread.median, left_out[most]))
    why = "the codecs spread bits and quality otherwise over the images, which averaged curves weigh by their bits"
    if moves[most] > 0 and moves[most] >= DECISIVE * gap:
        why = f"{images[most]} alone moves the averaged curves, which are {without} without it"
    return f"averaged curves {averaged}, mean over single images {mean}, median {median}: {why}"
