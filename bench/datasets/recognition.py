"""Whether a file holds a certain picture of a set, by its pixels, whatever its bytes and its name are."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from bench.common.errors import ImageError
from bench.common.hashing import sha256_of, sha256_of_pixels
from bench.datasets.catalogue import ImageSpec
from bench.datasets.images import image_size, read_rgb8


def is_picture_of(spec: ImageSpec, path: Path) -> bool:
    """Return whether a file is an image of the catalogue, byte for byte or pixel for pixel.

    Args:
        spec: the image; one without a digest is never recognised.
        path: a file, of which only one of the right size is decoded.
    """
    try:
        if spec.sha256 is not None and sha256_of(path) == spec.sha256:
            return True
        if spec.pixels_sha256 is None or spec.width is None or image_size(path) != (spec.width, spec.height):
            return False
    except (OSError, ImageError):  # evaluating it says what is wrong
        return False
    return hash_pixels(path) == spec.pixels_sha256


def hash_pixels(path: Path) -> str | None:
    """Return the SHA-256 of a picture's pixels, 8-bit RGB row by row; None where it can't be read."""
    try:
        about = path.stat()
        return _hash_pixels(path.absolute(), about.st_size, about.st_mtime_ns)
    except (OSError, ImageError):
        return None


@cache
def _hash_pixels(path: Path, size: int, mtime_ns: int) -> str:
    return sha256_of_pixels(read_rgb8(path))
