"""What happens to the symbols of one step: quantised, written to a stream, or read from one.

The context model walks its steps with one of these. Forward pass, encoder and decoder thus share every line
that conditions the entropy model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from bench.models.entropy import scale_index
from bench.models.latents import update_crc
from bench.operators.rans import CodingTables, Decoder


class StepCoder(Protocol):
    """Gives the latents of one step."""

    def code(self, source: Tensor, scales: Tensor, means: Tensor) -> Tensor:
        """Give the latents of one step.

        Args:
            source: int64 (n,), positions in the flattened (C, H, W) of what is coded.
            scales: of the entropy model, positive, packed (B, n).
            means: of the latents, packed (B, n).

        Returns:
            Latents at ``source``, packed (B, n).
        """

    def adjust(self, function: Callable[[Tensor], Tensor]) -> None:
        """Where the latents are known go on with a function of them; a decoder does nothing.

        It is for what only the encoder may do, so that this too has its place in the one walk.

        Args:
            function: (B, C, H, W) to the same shape.
        """


def round_through(values: Tensor) -> Tensor:
    """Round to integers; gradients pass unchanged (straight-through).

    Args:
        values: any shape.

    Returns:
        Tensor in the shape of ``values``.
    """
    return values + (torch.round(values) - values).detach()


class Quantiser:
    """Knows the latents: rounds their residuals, and keeps what the likelihood needs.

    Args:
        latents: (B, C, H, W).
        straight_through: gradients pass the rounding unchanged (training).

    Attributes:
        sources: positions of each step, int64 (n,).
        residuals, symbols, scales: of each step, packed (B, n): latents less means, these rounded, and the scales.
    """

    def __init__(self, latents: Tensor, straight_through: bool = False) -> None:
        self._latents = latents
        self._straight_through = straight_through
        self.sources: list[Tensor] = []
        self.residuals: list[Tensor] = []  # before rounding
        self.symbols: list[Tensor] = []
        self.scales: list[Tensor] = []

    def code(self, source: Tensor, scales: Tensor, means: Tensor) -> Tensor:
        """As of :class:`StepCoder`; keeps what it saw.

        Args:
            source: int64 (n,), positions in the flattened (C, H, W) of what is coded.
            scales: of the entropy model, positive, packed (B, n).
            means: of the latents, packed (B, n).

        Returns:
            Latents at ``source``, quantised, packed (B, n).
        """
        residual = self._latents.flatten(1).index_select(1, source) - means
        symbols = round_through(residual) if self._straight_through else torch.round(residual)

        self.sources.append(source)
        self.residuals.append(residual)
        self.symbols.append(symbols)
        self.scales.append(scales)

        return symbols + means

    def adjust(self, function: Callable[[Tensor], Tensor]) -> None:
        """As of :class:`StepCoder`; what is coded from here on is ``function`` of the latents.

        Args:
            function: (B, C, H, W) to the same shape.
        """
        self._latents = function(self._latents)

    def unpack(self, packed: list[Tensor]) -> Tensor:
        """Bring packed steps into raster order.

        Args:
            packed: ``residuals``, ``symbols`` or ``scales``.

        Returns:
            Tensor (B, C, H, W).
        """
        flat = torch.empty_like(self._latents.flatten(1))
        return flat.index_copy(1, torch.cat(self.sources), torch.cat(packed, dim=1)).view_as(self._latents)


class Reader:
    """Knows the stream of one image: decodes the symbols of each step.

    Args:
        stream: what :func:`bench.operators.rans.encode` wrote.
        tables: those that it was coded with.
        levels: the scales that index them, ascending, (rows,).
        crc: of the symbols that were decoded before, see :func:`bench.models.latents.update_crc`.

    Attributes:
        crc: of these and of all that were read.
    """

    def __init__(self, stream: bytes, tables: CodingTables, levels: Tensor, crc: int = 0) -> None:
        self._decoder = Decoder(stream, tables)
        self._levels = levels
        self.crc = crc

    def code(self, source: Tensor, scales: Tensor, means: Tensor) -> Tensor:
        """As of :class:`StepCoder`; reads the symbols from the stream.

        Args:
            source: not read: the stream is in coding order.
            scales: of the entropy model, positive, packed (B, n).
            means: of the latents, packed (B, n).

        Returns:
            Latents of the step, packed (B, n).

        Raises:
            StreamError: the stream is at its end, or damaged.
        """
        symbols = self._decoder.decode(scale_index(scales, self._levels).flatten())
        self.crc = update_crc(self.crc, symbols)
        return symbols.to(means).view_as(means) + means

    def finish(self) -> None:
        """Check that the stream is read to its end.

        Raises:
            StreamError: it goes on.
        """
        self._decoder.finish()

    def adjust(self, function: Callable[[Tensor], Tensor]) -> None:
        """Do nothing: a decoder knows only what was sent.

        Args:
            function: not called.
        """
