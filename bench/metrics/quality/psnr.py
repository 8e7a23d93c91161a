"""PSNR of 8-bit images.

PSNR-RGB of an image is 10 log10(255^2 / MSE) with the MSE over all its pixels and the three channels, on the
decoded 8-bit image. A dataset's PSNR is the arithmetic mean of its images' PSNR in dB (the convention of
most published Kodak curves), not the PSNR of the mean MSE.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from bench.metrics.quality.metric import NoValue, QualityMetric, QualityScale

PEAK = 255.0
KR, KB = 0.2126, 0.0722  # ITU-R BT.709
KG = 1.0 - KR - KB
IDENTICAL = "decoded without any error, {label} is infinite and left out"


def mse(original: np.ndarray, decoded: np.ndarray) -> float:
    """Return the mean squared error of two uint8 arrays of one shape, exact before the division.

    Args:
        original: uint8 of any shape.
        decoded: uint8 of the same shape.

    Returns:
        On the 8-bit scale.

    Raises:
        ValueError: the arrays are not uint8, are empty or differ in shape.

    >>> mse(np.zeros((1, 2, 3), np.uint8), np.full((1, 2, 3), 2, np.uint8))
    4.0
    """
    difference = _difference(original, decoded)
    return int(np.square(difference, out=difference).sum(dtype=np.int64)) / difference.size


def psnr_db(error: float) -> float:
    """Return the PSNR of a mean squared error; ``inf`` for zero.

    Args:
        error: on the 8-bit scale.

    Returns:
        In dB.
    """
    return 10.0 * math.log10(PEAK**2 / error) if error > 0 else math.inf


def psnr_rgb_db(original: np.ndarray, decoded: np.ndarray) -> float:
    """Return the PSNR in dB of two images; ``inf`` if they are identical.

    Args:
        original: uint8 (H, W, 3).
        decoded: uint8 (H, W, 3), of the same size.

    Raises:
        ValueError: the arrays are not two images of one size.
    """
    _require_image(original)
    return psnr_db(mse(original, decoded))


def psnr_component_db(original: np.ndarray, decoded: np.ndarray, component: str) -> float:
    """Return the PSNR in dB of Y, Cb or Cr of two images, uint8 (H, W, 3); ``inf`` where it is identical.

    Components follow ITU-R BT.709, full range, in floating point without any rounding; the peak is 255 for all
    three. The conversion is linear, so it is applied to the difference of the images.

    Args:
        component: "y", "cb" or "cr".

    Raises:
        ValueError: the arrays are not two images of one size.
    """
    _require_image(original)
    red, green, blue = np.moveaxis(_difference(original, decoded).astype(np.float64), -1, 0)
    luma = KR * red + KG * green + KB * blue

    if component == "y":
        plane = luma
    elif component == "cb":
        plane = (blue - luma) / (2.0 * (1.0 - KB))
    else:
        plane = (red - luma) / (2.0 * (1.0 - KR))
    return psnr_db(float(np.mean(np.square(plane))))


def _difference(original: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    for array in (original, decoded):
        if array.dtype != np.uint8:
            raise ValueError(f"expected uint8 arrays, got {array.dtype}")
    if original.shape != decoded.shape or original.size == 0:
        raise ValueError(f"expected two images of one size, got {original.shape} and {decoded.shape}")
    return original.astype(np.int32) - decoded


def _require_image(image: np.ndarray) -> None:
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected an image of shape (H, W, 3), got {image.shape}")


def _measure_finite(
    measure: Callable[[np.ndarray, np.ndarray], float], label: str, original: np.ndarray, decoded: np.ndarray
) -> float:
    value = measure(original, decoded)
    if math.isinf(value):
        raise NoValue(IDENTICAL.format(label=label))
    return value


PSNR = QualityMetric(
    name="psnr", label="PSNR", compute=partial(_measure_finite, psnr_rgb_db, "PSNR"), headline=True,
    scale=QualityScale("psnr_rgb_db", "PSNR RGB", "dB", digits=2, axis="PSNR (RGB)", low=0.0,
                       spellings=("psnr-rgb", "psnr-rgb-db", "psnr-db", "psnr")),
    citation="10 log10(255^2 / MSE), MSE over all pixels and R, G, B of the decoded 8-bit image",
)

PSNR_COMPONENTS = tuple(
    QualityMetric(
        name=f"psnr-{component}", label=label,
        compute=partial(_measure_finite, partial(psnr_component_db, component=component), label),
        scale=QualityScale(f"psnr_{component}_db", label, "dB", digits=2, low=0.0, spellings=(f"psnr-{component}",)),
        citation="as PSNR, of one component by ITU-R BT.709, full range, without rounding",
    )
    for component, label in (("y", "PSNR Y"), ("cb", "PSNR Cb"), ("cr", "PSNR Cr"))
)
