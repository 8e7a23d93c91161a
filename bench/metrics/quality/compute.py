"""Fidelity of a decoded 8-bit image to its original.

MS-SSIM is the only use of torch outside the learned codecs, and the decoder's process does not need it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from bench.metrics.quality.fidelity import ms_ssim_db, psnr_rgb_db, psnr_ycbcr_db

MS_SSIM_SMALLEST_SIDE = 161  # five scales of an 11-pixel window: (11 - 1) * 2**4 = 160 is too small


@dataclass(frozen=True)
class MsSsim:
    """MS-SSIM of an RGB pair, linear and as -10 log10(1 - x) in dB, or the reason why there is none."""

    linear: float | None
    db: float | None
    reason: str | None = None


def fidelity_fields(original: np.ndarray, decoded: np.ndarray) -> dict[str, Any]:
    """Return the row fields for two uint8 (H, W, 3) images; an infinite PSNR is None, as JSON has none."""
    similarity = ms_ssim(original, decoded)
    luma, blue, red = psnr_ycbcr_db(original, decoded)
    return {
        "psnr_rgb_db": _finite(psnr_rgb_db(original, decoded)),
        "psnr_y_db": _finite(luma), "psnr_cb_db": _finite(blue), "psnr_cr_db": _finite(red),
        "ms_ssim": similarity.linear, "ms_ssim_db": similarity.db, "ms_ssim_reason": similarity.reason,
    }


@contextmanager
def _one_thread(torch: ModuleType) -> Iterator[None]:
    """Keep torch to one thread: more save nothing at this size, and on a busy machine wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def ms_ssim(original: np.ndarray, decoded: np.ndarray) -> MsSsim:
    """Return MS-SSIM (Wang, Simoncelli and Bovik, 2003) of two uint8 (H, W, 3) images, the mean of R, G, B.

    Computed by ``pytorch_msssim`` in float32 with a data range of 255. Sides of 160 pixels or less
    have none. ``db`` is None for images without a difference.
    """
    smallest = min(original.shape[:2])
    if smallest < MS_SSIM_SMALLEST_SIDE:
        return MsSsim(None, None, f"N/A: the shorter side is {smallest} pixels, MS-SSIM needs over 160")
    import torch
    from pytorch_msssim import ms_ssim as compute

    with torch.no_grad(), _one_thread(torch):
        pair = [torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
                for image in (original, decoded)]
        linear = float(compute(*pair, data_range=255))
    if not math.isfinite(linear):
        return MsSsim(None, None, "N/A: MS-SSIM is not a finite number for this image")
    if linear >= 1:
        return MsSsim(1.0, None, "N/A in dB: the decoded image has no difference that MS-SSIM sees")
    return MsSsim(linear, ms_ssim_db(linear))
