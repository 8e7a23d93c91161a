"""Fidelity of 8-bit RGB images, and the conventions of this suite.

PSNR-RGB of an image is 10 log10(255^2 / MSE) with the MSE over all its pixels and the three channels, on the
decoded 8-bit image. A dataset's PSNR is the arithmetic mean of its images' PSNR in dB (the convention of
most published Kodak curves), not the PSNR of the mean MSE. MS-SSIM is averaged over images in linear form,
and the mean is converted to dB.
"""

from __future__ import annotations

import math

import numpy as np

PEAK = 255.0
KR, KB = 0.2126, 0.0722  # ITU-R BT.709
KG = 1.0 - KR - KB


def mse(original: np.ndarray, decoded: np.ndarray) -> float:
    """Return the mean squared error of two uint8 arrays of one shape, exact before the division.

    Raises:
        ValueError: the arrays are not uint8, are empty or differ in shape.
    """
    difference = _difference(original, decoded)
    return int(np.square(difference, out=difference).sum(dtype=np.int64)) / difference.size


def psnr_db(error: float) -> float:
    """Return the PSNR in dB of a mean squared error on the 8-bit scale; ``inf`` for zero."""
    return 10.0 * math.log10(PEAK**2 / error) if error > 0 else math.inf


def psnr_rgb_db(original: np.ndarray, decoded: np.ndarray) -> float:
    """Return the PSNR in dB of two images, uint8 (H, W, 3); ``inf`` if they are identical.

    Raises:
        ValueError: the arrays are not two images of one size.
    """
    _check_images(original)
    return psnr_db(mse(original, decoded))


def psnr_ycbcr_db(original: np.ndarray, decoded: np.ndarray) -> tuple[float, float, float]:
    """Return the PSNR in dB of Y, Cb and Cr of two images, uint8 (H, W, 3); ``inf`` where one is identical.

    Components follow BT.709, full range, in floating point without any rounding; the peak is 255 for all
    three. The conversion is linear, so it is applied to the difference of the images.

    Raises:
        ValueError: the arrays are not two images of one size.
    """
    _check_images(original)
    red, green, blue = np.moveaxis(_difference(original, decoded).astype(np.float64), -1, 0)
    luma = KR * red + KG * green + KB * blue
    planes = luma, (blue - luma) / (2.0 * (1.0 - KB)), (red - luma) / (2.0 * (1.0 - KR))
    y, cb, cr = (psnr_db(float(np.mean(np.square(plane)))) for plane in planes)
    return y, cb, cr


def ms_ssim_db(linear: float) -> float:
    """Return MS-SSIM in dB, -10 log10(1 - linear); ``inf`` from 1 on."""
    return -10.0 * math.log10(1.0 - linear) if linear < 1 else math.inf


def _difference(original: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    for array in (original, decoded):
        if array.dtype != np.uint8:
            raise ValueError(f"expected uint8 arrays, got {array.dtype}")
    if original.shape != decoded.shape or original.size == 0:
        raise ValueError(f"expected two images of one size, got {original.shape} and {decoded.shape}")
    return original.astype(np.int32) - decoded


def _check_images(image: np.ndarray) -> None:
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected an image of shape (H, W, 3), got {image.shape}")
