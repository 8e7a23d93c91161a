"""What the evaluation needs of a model: one image to streams, and back from nothing but these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class EncodedImage:
    """One encoded image.

    Attributes:
        streams: the arithmetic-coded streams by name, in the order in which the decoder takes them.
        shape: (height, width) of the hyper-latents, or what numbers the decoder takes in their place.
        reconstruct: returns the image that the decoder will have, (1, 3, H, W), clamped to [0, 1].
        estimate_bits: returns what the entropy model predicts for all streams together.
        expect: returns what ``reconstruct`` most likely gives, at less cost, or None.
        latents_crc: CRC-32 of all symbols in coding order, which the decoder's must equal; None where they are unknown.
    """

    streams: Mapping[str, bytes]
    shape: tuple[int, ...]
    reconstruct: Callable[[], Tensor]
    estimate_bits: Callable[[], float]
    expect: Callable[[], Tensor | None] = lambda: None
    latents_crc: int | None = None


class DecodedImage(NamedTuple):
    """One decoded image.

    Attributes:
        image: (1, 3, H, W), clamped to [0, 1].
        latents_crc: as of :class:`EncodedImage`.
    """

    image: Tensor
    latents_crc: int | None = None


def count_bits(likelihoods: Iterable[Tensor]) -> float:
    """Count the bits that an ideal coder spends on symbols.

    Args:
        likelihoods: of the symbols, tensors of any shapes.

    Returns:
        Bits of all tensors together.
    """
    return sum(float(-part.double().log2().sum()) for part in likelihoods)


class ImageCodec:
    """Gives a model CompressAI's ``compress`` and ``decompress`` from ``encode_image`` and ``decode_image``.

    Attributes:
        hyper_stride: pixels that a hyper-latent spans in each direction.
        padding_multiple: what the sides of an image must be multiples of.
        rebuilt: state-dict entries, by name or last parts of a name, that are never read from a checkpoint.
        fill_missing: name prefix of entries that a checkpoint may lack, to their value (None: as initialised).
        native_operators: operators of bench.operators that the model runs; a model without has no such attribute.
        stream_tag: a number that differs where the same weights read streams differently.
        stream_count: of the streams of an image; None where it differs.
    """

    rebuilt: tuple[str, ...] = ()
    fill_missing: Mapping[str, float | None] = {}
    stream_tag: int = 0
    stream_count: int | None = None

    def encode_image(self, x: Tensor) -> EncodedImage:
        """Encode one image.

        Args:
            x: (1, 3, H, W) in [0, 1], H and W multiples of ``padding_multiple``.

        Returns:
            Its streams, and what the encoder knows of the image that they decode to.

        Raises:
            RuntimeError: the model is not ready to code: in training mode, or without tables.
        """
        raise NotImplementedError

    def decode_image(self, streams: Sequence[bytes], shape: Iterable[int]) -> DecodedImage:
        """Decode one image.

        Args:
            streams: in the order of ``EncodedImage.streams``.
            shape: (height, width) of the hyper-latents.

        Returns:
            The image, and the checksum of its latents.

        Raises:
            CodecError: the streams are not what the encoder wrote.
            RuntimeError: the model is not ready to code: in training mode, or without tables.
        """
        raise NotImplementedError

    def compress(self, x: Tensor) -> dict:
        """Encode images one after another, so that a batch gives the streams of its images alone.

        Args:
            x: (B, 3, H, W) in [0, 1], H and W multiples of ``padding_multiple``.

        Returns:
            {"strings": for each stream a list of B bytes objects, "shape": (height, width) of the hyper-latents}.
        """
        images = [self.encode_image(image[None]) for image in x]
        strings = zip(*(image.streams.values() for image in images))
        return {"strings": [list(streams) for streams in strings], "shape": images[0].shape}

    def decompress(self, strings: list[list[bytes]], shape: Iterable[int]) -> dict:
        """Decode what ``compress`` gave.

        Args:
            strings, shape: its values of these names.

        Returns:
            {"x_hat": (B, 3, H, W), clamped to [0, 1]}.
        """
        shape = tuple(shape)
        return {"x_hat": torch.cat([self.decode_image(streams, shape).image for streams in zip(*strings)])}
