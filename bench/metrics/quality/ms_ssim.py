"""MS-SSIM (Wang, Simoncelli and Bovik, 2003), linear for an image, in dB along a curve.

A curve's MS-SSIM is the mean over images of each image's -10 log10(1 - MS-SSIM). Where a source states but the mean of
MS-SSIM, both sides of a comparison go by the dB of that mean (:mod:`bench.curves.averaging`). Computing it is the only
use of torch outside the learned codecs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np

from bench.metrics.quality.metric import NoValue, QualityMetric, QualityScale

SMALLEST_SIDE = 161  # five scales of an 11-pixel window: (11 - 1) * 2**4 = 160 is too small


def ms_ssim(original: np.ndarray, decoded: np.ndarray) -> float:
    """Return MS-SSIM of two uint8 (H, W, 3) images, the mean of R, G and B.

    Computed by ``pytorch_msssim`` in float32 with a data range of 255.

    Args:
        original: uint8 (H, W, 3).
        decoded: uint8 (H, W, 3), of the same size.

    Returns:
        Linear, 0 to 1.

    Raises:
        NoValue: a side has 160 pixels or less, or the result is no finite number.
    """
    smallest = min(original.shape[:2])
    if smallest < SMALLEST_SIDE:
        raise NoValue(f"N/A: the shorter side is {smallest} pixels, MS-SSIM needs over 160")

    import torch
    from pytorch_msssim import ms_ssim as compute

    with torch.no_grad(), _one_thread(torch):
        pair = [torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
                for image in (original, decoded)]
        linear = float(compute(*pair, data_range=255))

    if not math.isfinite(linear):
        raise NoValue("N/A: MS-SSIM is not a finite number for this image")
    return min(linear, 1.0)


def ms_ssim_db(linear: float) -> float:
    """Return MS-SSIM in dB, -10 log10(1 - linear); ``inf`` from 1 on.

    Args:
        linear: 0 to 1.

    >>> ms_ssim_db(0.9)
    10.0
    """
    return -10.0 * math.log10(1.0 - linear) if linear < 1 else math.inf


@contextmanager
def _one_thread(torch: ModuleType) -> Iterator[None]:
    """Keep torch to one thread: more save nothing at this size, and on a busy machine wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


MS_SSIM = QualityMetric(
    name="ms-ssim", label="MS-SSIM", compute=ms_ssim, headline=True,
    scale=QualityScale("ms_ssim", "MS-SSIM", digits=5, low=0.0, high=1.0, spellings=("ms-ssim-rgb", "ms-ssim")),
    to_curve=ms_ssim_db,
    curve_note="mean of the per-image −10 log10(1 − MS-SSIM); where one side is known only as a mean MS-SSIM, of that "
               "mean on both sides",
    curve_scale=QualityScale("ms_ssim_db", "MS-SSIM", "dB", digits=2,
                      spellings=("ms-ssim-db-rgb", "ms-ssim-rgb-db", "ms-ssim-db")),
    citation="Wang, Simoncelli and Bovik, Multiscale structural similarity, Asilomar 2003",
    requires=("pytorch_msssim",),
)
