"""What happens to the symbols of one step: quantised, written to a stream, or read from one.

The context model walks its steps with one of these. Forward pass, encoder and decoder thus share every line
that conditions the entropy model.
"""

from __future__ import annotations

from typing import Protocol

import torch
from compressai.ans import BufferedRansEncoder, RansDecoder
from torch import Tensor

from bench.models.entropy import CodingTables, scale_index
from bench.models.lattice import Step


class StepCoder(Protocol):
    """Gives the latents of one step, packed (B, n), from their scales and means, packed likewise."""

    def code(self, step: Step, scales: Tensor, means: Tensor) -> Tensor: ...


class Quantiser:
    """Knows the latents: rounds their residuals, and keeps what the likelihood needs.

    Args:
        latents: (B, C, H, W).
        straight_through: gradients pass the rounding unchanged (training).
    """

    def __init__(self, latents: Tensor, straight_through: bool = False) -> None:
        self._latents = latents.flatten(1)
        self._straight_through = straight_through
        self.residuals: list[Tensor] = []  # before rounding
        self.symbols: list[Tensor] = []
        self.scales: list[Tensor] = []

    def code(self, step: Step, scales: Tensor, means: Tensor) -> Tensor:
        residual = self._latents.index_select(1, step.source) - means
        symbols = torch.round(residual)
        if self._straight_through:
            symbols = residual + (symbols - residual).detach()
        self.residuals.append(residual)
        self.symbols.append(symbols)
        self.scales.append(scales)
        return symbols + means


class Reader:
    """Knows the stream of one image: decodes the symbols of each step.

    Args:
        stream: what :func:`encode` wrote.
        tables, levels: the coder's tables and the scales that index them.
    """

    def __init__(self, stream: bytes, tables: CodingTables, levels: Tensor) -> None:
        self._tables = tables.as_lists()
        self._levels = levels
        self._decoder = RansDecoder()
        self._decoder.set_stream(stream)

    def code(self, step: Step, scales: Tensor, means: Tensor) -> Tensor:
        rows = scale_index(scales, self._levels).flatten().tolist()
        symbols = self._decoder.decode_stream(rows, *self._tables)
        return torch.tensor(symbols, dtype=means.dtype, device=means.device).view_as(means) + means


def encode(symbols: Tensor, rows: Tensor, tables: CodingTables) -> bytes:
    """Code integer-valued ``symbols`` with the table rows ``rows`` (both flat, same length) into one stream."""
    encoder = BufferedRansEncoder()
    encoder.encode_with_indexes(symbols.int().tolist(), rows.int().tolist(), *tables.as_lists())
    return encoder.flush()


def decode(stream: bytes, rows: Tensor, tables: CodingTables) -> Tensor:
    """Decode what :func:`encode` wrote: int32, as long as ``rows``."""
    return torch.tensor(RansDecoder().decode_with_indexes(stream, rows.int().tolist(), *tables.as_lists()))
