"""Pictures of a set, kept between the rate points that are measured on them: reading one decodes its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.datasets.images import read_rgb8
from bench.runners.evaluate.unit import UnitImage

KEPT_BYTES = 128 << 20  # three sets of Kodak's size


class Pictures:
    """Reads pictures, and keeps the first ones that ``budget_bytes`` hold.

    A set is gone through in one order for each rate point: to put the last one read in place of an earlier one would
    lose each of a larger set just before it is needed.
    """

    def __init__(self, budget_bytes: int = KEPT_BYTES) -> None:
        self._left_bytes = budget_bytes
        self._kept: dict[tuple[str, str, int, int], np.ndarray] = {}

    def read(self, image: UnitImage) -> np.ndarray:
        """Return the pixels of an image, uint8 (H, W, 3), anew where its file changed.

        Raises:
            ImageError: see :func:`read_rgb8`.
        """
        key = _identify_file(image)
        if key is None or key not in self._kept:
            pixels = read_rgb8(image.path)
            if key is None or pixels.nbytes > self._left_bytes:
                return pixels
            self._left_bytes -= pixels.nbytes
            self._kept[key] = pixels
        return self._kept[key].copy()  # a codec may write into what it gets


def _identify_file(image: UnitImage) -> tuple[str, str, int, int] | None:
    try:
        about = Path(image.path).stat()
    except OSError:
        return None  # reading it says what is wrong
    return image.path, image.sha256, about.st_size, about.st_mtime_ns
