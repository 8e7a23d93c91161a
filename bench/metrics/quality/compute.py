"""Values of many metrics for one pair of images."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from bench.metrics.quality.metric import METRICS, NoValue


@dataclass(frozen=True)
class Quality:
    """What one pair of images gave.

    Attributes:
        values: metric to its finite value.
        missing: metric to the reason why it has none.
        versions: metric to the version of its code, for all that were computed.
    """

    values: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def measure_quality(original: np.ndarray, decoded: np.ndarray, metrics: Iterable[str]) -> Quality:
    """Compute ``metrics`` of two images.

    Args:
        original: uint8 (H, W, 3).
        decoded: uint8 (H, W, 3), of the same size.
        metrics: names in ``METRICS``.

    Returns:
        A value, or the reason why there is none, for each of ``metrics``.

    Raises:
        ConfigurationError: a metric is unknown.
        ValueError: the arrays are not two images of one size.

    >>> black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    >>> measure_quality(black, white, ["psnr"]).values
    {'psnr': 0.0}
    """
    quality = Quality()
    for name in metrics:
        metric = METRICS.get(name)
        quality.versions[name] = metric.version
        try:
            value = float(metric.compute(original, decoded))
        except NoValue as reason:
            quality.missing[name] = str(reason)
            continue

        if math.isfinite(value):
            quality.values[name] = value
        else:
            quality.missing[name] = f"N/A: {metric.label} is {value} for this image"
    return quality
