"""The exact configuration of models that are built on CompressAI's entropy models, see :mod:`bench.models.exact`.

CompressAI looks up rows while it codes, so an image is coded again with another shift of the edges where a scale is
near one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar
from zlib import crc32

import torch
from compressai.entropy_models import GaussianConditional
from compressai.latent_codecs import ChannelGroupsLatentCodec
from torch import Tensor, nn

from bench.common.errors import CodecError
from bench.models.compressai_coders import record_coding
from bench.models.entropy import scale_index
from bench.models.exact import MARGIN, NO_SHIFT, SHIFTS, Agreement, shift_edges, split_agreement
from bench.models.exact_layers import replace_layers

Coded = TypeVar("Coded")
Streams = tuple[bytes, ...]


class Edges:
    """The edges between rows that a model's entropy models share.

    Attributes:
        shift: their number.
        is_clear: whether no scale was near one since they were shifted.
    """

    def __init__(self) -> None:
        self.shift, self.is_clear = 0, True

    def move(self, shift: int) -> None:
        """Shift them.

        Args:
            shift: its number.
        """
        self.shift, self.is_clear = shift, True

    def settle(self, code: Callable[[], Coded]) -> Coded:
        """Code with the first shift at which no scale is near an edge.

        Args:
            code: codes an image.

        Returns:
            What it gave with that shift.

        Raises:
            CodecError: there is no such shift.
        """
        for shift in range(SHIFTS):
            self.move(shift)
            coded = code()
            if self.is_clear:
                return coded
        raise CodecError(*NO_SHIFT)

    def write(self, streams: Iterable[bytes]) -> tuple[bytes, ...]:
        """Put the shift before the first of an image's streams."""
        first, *others = streams
        return bytes(Agreement(self.shift)) + first, *others

    def read(self, streams: Iterable[bytes]) -> tuple[bytes, ...]:
        """Shift the edges as the first of an image's streams says; returns the streams as they were coded.

        Raises:
            CodecError: it doesn't say so.
        """
        first, *others = streams
        agreement, first = split_agreement(first)
        if agreement.slots:
            raise CodecError("the file's encoder chose remembered contexts, of which this model has none")
        self.move(agreement.shift)
        return first, *others

    def sign(self, latents_crc: int | None) -> int | None:
        """Let a checksum of latents vouch for the shift too."""
        return None if latents_crc is None else crc32(bytes(Agreement(self.shift)), latents_crc)


def encode_streams(code: Callable[[], tuple[Streams, Coded]], edges: Edges | None) -> tuple[Streams, Coded, int | None]:
    """Encode an image with CompressAI's coders.

    Args:
        code: codes it; returns its streams, and whatever else.
        edges: of an exact model; None of another.

    Returns:
        The streams as a file holds them, what else ``code`` gave, and the checksum of the latents if it is known.

    Raises:
        CodecError: a scale is near an edge, however they are shifted.
    """
    with record_coding() as record:
        streams, others = code() if edges is None else edges.settle(code)
    latents_crc = record.latents_crc(streams)
    if edges is None:
        return streams, others, latents_crc
    return edges.write(streams), others, edges.sign(latents_crc)


def decode_streams(decode: Callable[[list[list[bytes]]], Coded], streams: Sequence[bytes],
                   edges: Edges | None) -> tuple[Coded, int | None]:
    """Decode the streams of an image with CompressAI's coders.

    Args:
        decode: decodes them, each in a list of its own, as CompressAI has batches.
        streams: as a file holds them.
        edges: of an exact model; None of another.

    Returns:
        What ``decode`` gave, and the checksum of the latents if it is known.

    Raises:
        CodecError: the streams are not what the encoder wrote.
    """
    if edges is not None:
        streams = edges.read(streams)
    with record_coding() as record:
        decoded = decode([[stream] for stream in streams])
    latents_crc = record.latents_crc(streams)
    return decoded, latents_crc if edges is None else edges.sign(latents_crc)


class ExactGaussian(GaussianConditional):
    """CompressAI's Gaussian entropy model with edges that shift."""

    edges: Edges

    def build_indexes(self, scales: Tensor) -> Tensor:
        """Look up the rows of scales: how many of all but the last entry are strictly smaller.

        Args:
            scales: float64, any shape.

        Returns:
            int32 in their shape.
        """
        if self.scale_bound > self.scale_table[0]:  # else what is below it has row 0 anyway
            scales = torch.maximum(scales, self.scale_bound.double())
        table = shift_edges(self.scale_table, self.edges.shift)
        below, above = scale_index(scales * (1 - MARGIN), table), scale_index(scales * (1 + MARGIN), table)
        self.edges.is_clear &= torch.equal(below, above)
        return scale_index(scales, table).int()


class WideChannelGroups(ChannelGroupsLatentCodec):
    """CompressAI's channel groups, whose decoded latents keep the precision that their means have."""

    def decompress(self, strings: Sequence[list[bytes]], shape: Sequence[tuple[int, ...]], side_params: Tensor,
                   **_: Any) -> dict[str, Tensor]:
        """Decode group after group.

        Args:
            strings: streams of the first group's passes, then those of the next.
            shape: (channels, height, width) of each group.
            side_params: hyper parameters, float64 (1, C, height, width).

        Returns:
            "y_hat", float64 in the shape of all groups together.
        """
        passes = len(strings) // len(self.groups)
        decoded: list[Tensor] = []
        for k, size in enumerate(shape):
            parameters = self._get_ctx_params(k, side_params, decoded)
            group = self.latent_codec[f"y{k}"].decompress(strings[passes * k : passes * (k + 1)], size, parameters)
            decoded.append(group["y_hat"])
        return {"y_hat": torch.cat(decoded, dim=1)}


def widen_networks(model: nn.Module, networks: Iterable[nn.Module], others: Iterable[nn.Module]) -> Edges:
    """Compute in float64 what decides a row, and let the entropy models share their edges.

    Args:
        model: in place.
        networks: which give scales and means, in it.
        others: synthesis, and what else stays float32 though its input does not.

    Returns:
        The edges.
    """
    for network in networks:
        network.double()
        replace_layers(network)
        network.register_forward_pre_hook(_cast_to(torch.float64))
    for network in others:
        network.register_forward_pre_hook(_cast_to(torch.float32))

    edges = Edges()
    for module in model.modules():
        if type(module) is GaussianConditional:
            module.__class__ = ExactGaussian
            vars(module)["edges"] = edges
        if type(module) is ChannelGroupsLatentCodec:
            module.__class__ = WideChannelGroups
    return edges


def _cast_to(dtype: torch.dtype) -> Callable[[nn.Module, tuple], tuple]:
    """A hook that gives a network its inputs in another precision."""

    def cast(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(value.to(dtype) for value in inputs)

    return cast
