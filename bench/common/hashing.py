"""SHA-256 of files, remembered within the process, of pixels and of plain data."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np

_known: dict[tuple[str, int, int], str] = {}


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, computed once for a path, size and modification time.

    Raises:
        OSError: the file can't be read.
    """
    with open(path, "rb") as stream:
        about = os.fstat(stream.fileno())
        key = (str(path.absolute()), about.st_size, about.st_mtime_ns)
        if key not in _known:
            _known[key] = sha256_of_stream(stream)
        return _known[key]


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
