"""SHA-256 of files, remembered within the process, of pixels and of plain data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, computed once for a path, size and modification time.

    Raises:
        OSError: the file can't be read.
    """
    about = path.stat()
    return _hash_file(path.absolute(), about.st_size, about.st_mtime_ns)


@cache
def _hash_file(path: Path, size: int, mtime_ns: int) -> str:
    with open(path, "rb") as stream:
        return sha256_of_stream(stream)


def sha256_of_stream(stream: BinaryIO) -> str:
    """Return the SHA-256 of what is left to read."""
    digest = hashlib.sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def sha256_of_pixels(image: np.ndarray) -> str:
    """Return the SHA-256 of an 8-bit RGB image, uint8 (H, W, 3), row by row."""
    return hashlib.sha256(image.tobytes()).hexdigest()


def digest_json(values: Mapping[str, Any]) -> str:
    """Return 32 hex digits that identify ``values`` (JSON data, independent of key order)."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
