"""Rate-distortion curves: what makes one usable for BD-rate, and how far two of them overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MINIMUM_POINTS = 4


@dataclass(frozen=True)
class Curve:
    """Points of one codec, in any order.

    Attributes:
        rate: (points,) rates; any positive unit, in this suite bits per pixel.
        quality: (points,) one value for each rate, higher for better pictures; dB for PSNR and MS-SSIM.
        label: what messages call the curve.

    Raises:
        ValueError: ``rate`` and ``quality`` differ in length.
    """

    rate: Sequence[float]
    quality: Sequence[float]
    label: str = ""

    def __post_init__(self) -> None:
        if len(self.rate) != len(self.quality):
            raise ValueError(f"{len(self.rate)} rates but {len(self.quality)} qualities")

        object.__setattr__(self, "rate", tuple(float(value) for value in self.rate))
        object.__setattr__(self, "quality", tuple(float(value) for value in self.quality))

    def points(self) -> list[tuple[float, float]]:
        """Return (rate, quality) pairs in order of rate.

        >>> Curve(rate=[0.4, 0.2], quality=[33, 30]).points()
        [(0.2, 30.0), (0.4, 33.0)]
        """
        return sorted(zip(self.rate, self.quality))


def find_curve_fault(curve: Curve) -> str | None:
    """Return why a curve can't be interpolated.

    A usable curve has at least 4 points, finite positive rates, finite qualities, and once sorted by
    rate both rise strictly from point to point.

    Args:
        curve: of one codec.

    Returns:
        The reason, with the offending points; None for a usable curve.

    >>> find_curve_fault(Curve([0.2, 0.4, 0.8, 1.2], [30, 33, 36, 38]))
    >>> find_curve_fault(Curve([0.2, 0.4, 0.8], [30, 33, 36]))
    '3 points, 4 are needed: (0.2, 30), (0.4, 33), (0.8, 36)'
    """
    name = f"{curve.label}: " if curve.label else ""

    bad = [_point_text(rate, quality) for rate, quality in zip(curve.rate, curve.quality)
           if not (math.isfinite(rate) and rate > 0 and math.isfinite(quality))]
    if bad:
        return f"{name}rates must be finite and positive and qualities finite, but there is {', '.join(bad)}"

    points = curve.points()
    pairs = [f"{_point_text(*first)} then {_point_text(*second)}" for first, second in zip(points, points[1:])
             if not (second[0] > first[0] and second[1] > first[1])]
    if pairs:
        return f"{name}rate and quality must both rise from point to point, but there is {', '.join(pairs)}"

    if len(points) < MINIMUM_POINTS:
        listed = ", ".join(_point_text(*point) for point in points) or "none"
        return f"{name}{len(points)} points, {MINIMUM_POINTS} are needed: {listed}"
    return None


def measure_overlap(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """Return the range that two sets of positions have in common.

    Args:
        first, second: (points,), qualities or log10 rates, not all of them equal.

    Returns:
        Start and end of the common interval in the positions' unit, the end not above the start where there is none,
        and its part of the union of both ranges, 0 to 1; a gap between them counts as union.

    >>> measure_overlap(np.array([30, 33, 38]), np.array([32, 36, 40]))
    (32.0, 38.0, 0.6)
    """
    low, high = max(first.min(), second.min()), min(first.max(), second.max())
    union = max(first.max(), second.max()) - min(first.min(), second.min())

    return float(low), float(high), max(0.0, float((high - low) / union))


def _point_text(rate: float, quality: float) -> str:
    return f"({rate:g}, {quality:g})"
