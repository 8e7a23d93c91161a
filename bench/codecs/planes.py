"""Coding RGB images by encoders that take and give raw YCbCr planes.

A video stream does not say which padding was ours, so four bytes before it hold the image's size:
width - 1 and height - 1, 16 bits each, high byte first. They count as the file's header.
"""

from __future__ import annotations

import struct
from typing import Protocol

import numpy as np

from bench.codecs.base import Encoding
from bench.codecs.colour import (
    YCbCrFormat,
    planes_from_bytes,
    planes_to_bytes,
    planes_to_rgb,
    rgb_to_planes,
)
from bench.common.errors import CodecError

HEADER = struct.Struct(">HH")
LARGEST_SIDE = 1 << 16


class PlaneCoder(Protocol):
    """An encoder and decoder of one frame of raw planes."""

    def compress(self, planes: bytes, height: int, width: int) -> tuple[bytes, bytes | None]:
        """Return the stream and, where the encoder gives it, its reconstruction as raw planes."""

    def decompress(self, stream: bytes, height: int, width: int) -> bytes:
        """Return the decoded raw planes."""


class PlaneCodec:
    """A :class:`bench.codecs.base.Codec` around a :class:`PlaneCoder`.

    Args:
        coder: what codes the planes.
        layout: the planes' format.
        smallest_side: smaller images are padded to this, by replicating the right and bottom edges; so
            are odd sides where chroma is halved.
    """

    def __init__(self, coder: PlaneCoder, layout: YCbCrFormat, smallest_side: int = 16) -> None:
        self.coder = coder
        self.layout = layout
        self.smallest_side = smallest_side

    def encode(self, image: np.ndarray) -> Encoding:
        height, width = image.shape[:2]
        if max(height, width) > LARGEST_SIDE:
            raise CodecError(f"{width}x{height} is too large: a side has {LARGEST_SIDE} pixels at most")
        bottom, right = self._pad_side(height) - height, self._pad_side(width) - width
        padded = np.pad(image, [(0, bottom), (0, right), (0, 0)], mode="edge")
        planes = planes_to_bytes(rgb_to_planes(padded, self.layout))
        payload, decoded = self.coder.compress(planes, *padded.shape[:2])

        def reconstruct() -> np.ndarray | None:
            return None if decoded is None else self._image(decoded, height, width)

        return Encoding(
            stream=HEADER.pack(width - 1, height - 1) + payload,
            parts={"header": HEADER.size, "payload": len(payload)},
            padding=(0, 0, right, bottom),
            reconstruct=reconstruct,
        )

    def decode(self, stream: bytes) -> np.ndarray:
        if len(stream) <= HEADER.size:
            raise CodecError(f"the file has only {len(stream)} bytes")
        width, height = (side + 1 for side in HEADER.unpack_from(stream))
        planes = self.coder.decompress(stream[HEADER.size :], self._pad_side(height), self._pad_side(width))
        return self._image(planes, height, width)

    def _pad_side(self, side: int) -> int:
        """Length of a side once padded."""
        return max(-(-side // self.layout.step) * self.layout.step, self.smallest_side)

    def _image(self, data: bytes, height: int, width: int) -> np.ndarray:
        """Image of raw planes, cropped to its size."""
        try:
            planes = planes_from_bytes(data, self._pad_side(height), self._pad_side(width), self.layout)
        except ValueError as error:
            raise CodecError(f"the decoder's output does not fit the file's header: {error}") from None
        return planes_to_rgb(planes, self.layout)[:height, :width]
