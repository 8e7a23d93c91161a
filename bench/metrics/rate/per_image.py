"""Mean of the Bjøntegaard deltas of single images, which is not the delta of the averaged curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.metrics.rate.bdrate import DEFAULT_METHOD, MINIMUM_OVERLAP, BDResult, bd_rate
from bench.metrics.rate.curves import Curve

Measure = Callable[[Curve, Curve, str, float], BDResult]  # bd_rate or bd_quality


@dataclass(frozen=True)
class PerImageBD:
    """Deltas of single images and their mean.

    Attributes:
        mean: arithmetic mean of ``values``; None without any.
        values: image to percent (BD-rate) or to the unit of quality (BD-quality).
        left_out: image to the reason why it has no value.
        method: interpolation.
        warnings: what makes the values doubtful.
    """

    mean: float | None
    values: dict[str, float]
    left_out: dict[str, str]
    method: str
    warnings: tuple[str, ...] = ()

    @property
    def statement(self) -> str:
        """Over how many images the mean goes: "mean over 23 of 24 images"."""
        count, total = len(self.values), len(self.values) + len(self.left_out)
        if not count:
            return f"no value for any of {total} images"
        if self.left_out:
            return f"mean over {count} of {total} images"
        return f"mean over {count} images"


def per_image_bd(
    anchor: Mapping[str, Curve], test: Mapping[str, Curve], measure: Measure = bd_rate,
    method: str = DEFAULT_METHOD, min_overlap: float = MINIMUM_OVERLAP,
) -> PerImageBD:
    """Compare two codecs image by image.

    Args:
        anchor: curve of every image of the anchor.
        test: curve of every image of the test. Images that only one side has are left out, with that reason.
        measure: :func:`bd_rate` or :func:`bd_quality`.
        method, min_overlap: as for ``measure``.

    Returns:
        Each image's delta and their mean, in percent for rates and in the unit of quality else.

    Raises:
        ConfigurationError: no such method.

    >>> def scaled(factor):
    ...     return Curve([factor * rate for rate in (0.2, 0.4, 0.8, 1.2)], [30, 33, 36.5, 38.5])
    >>> found = per_image_bd({"a": scaled(1), "b": scaled(1), "c": scaled(1)}, {"a": scaled(0.9), "b": scaled(0.8)})
    >>> f"{found.mean:.3f}, {found.statement}"
    '-15.000, mean over 2 of 3 images'
    """
    values: dict[str, float] = {}
    left_out: dict[str, str] = {}
    doubtful = 0
    for image in sorted({*anchor, *test}):
        if image not in anchor or image not in test:
            left_out[image] = f"not measured with the {'anchor' if image in test else 'test'}"
            continue

        result = measure(anchor[image], test[image], method, min_overlap)
        if result.value is None:
            left_out[image] = result.reason or ""
        else:
            values[image] = result.value
            doubtful += bool(result.warnings)

    mean = math.fsum(values.values()) / len(values) if values else None
    warnings = (f"{doubtful} of {len(values)} images have a small overlap",) if doubtful else ()
    return PerImageBD(mean, values, left_out, method, warnings)
