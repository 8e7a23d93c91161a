"""Pictures of a set, kept between the rate points that are measured on them: reading one decodes its file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from bench.common.errors import ImageError
from bench.common.hashing import sha256_of_pixels
from bench.datasets.images import decode_rgb8, refuse_huge
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
            ImageError: see :func:`read_picture`.
        """
        key = _identify_file(image)
        if key is None or key not in self._kept:
            pixels = read_picture(image)
            if key is None or pixels.nbytes > self._left_bytes:
                return pixels
            self._left_bytes -= pixels.nbytes
            self._kept[key] = pixels
        return self._kept[key].copy()  # a codec may write into what it gets


def read_picture(image: UnitImage) -> np.ndarray:
    """Return the pixels of an image, uint8 (H, W, 3), from the bytes that its row is about.

    Raises:
        ImageError: the file can't be read, holds another picture than the unit names, or see :func:`decode_rgb8`.
    """
    try:
        with open(image.path, "rb") as file:
            refuse_huge(file, image.path)
            content = file.read()
    except OSError as error:
        raise ImageError(f"{image.path}: {error.strerror}", "check the path and its permissions") from None

    if image.pixels_sha256 is None and hashlib.sha256(content).hexdigest() != image.sha256:
        raise _refuse_other(image, "its SHA-256 is another")

    pixels = decode_rgb8(content, image.path)
    if image.pixels_sha256 is not None and sha256_of_pixels(pixels) != image.pixels_sha256:
        raise _refuse_other(image, "its pixels are others")
    return pixels


def _refuse_other(image: UnitImage, how: str) -> ImageError:
    return ImageError(f"{image.path}: holds another picture than when the run was planned ({how})",
                      "run the same command again to measure what is there now")


def _identify_file(image: UnitImage) -> tuple[str, str, int, int] | None:
    try:
        about = Path(image.path).stat()
    except OSError:
        return None  # reading it says what is wrong
    return image.path, image.sha256, about.st_size, about.st_mtime_ns
