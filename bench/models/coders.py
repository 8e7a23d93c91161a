"""What happens to the symbols of one step: quantised, written to a stream, or read from one.

The context model walks its steps with one of these. Forward pass, encoder and decoder thus share every line
that conditions the entropy model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from bench.models.entropy import scale_index
from bench.models.latents import update_crc
from bench.operators.rans import CodingTables, Decoder, StreamError


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

    def choose(self, scores: Tensor, count: int) -> Tensor:
        """Choose the best by score, best first; of equals the one that comes first.

        Args:
            scores: (B, n).
            count: how many; all where there are fewer.

        Returns:
            Their positions, int64 (B, count).
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


def choose_best(scores: Tensor, count: int) -> Tensor:
    """Choose the best by score, see :meth:`StepCoder.choose`.

    Args:
        scores: (B, n).
        count: how many.

    Returns:
        Their positions, int64 (B, count), or (B, n) where n is less.
    """
    return torch.sort(scores, dim=1, descending=True, stable=True).indices[:, :count]


class Quantiser:
    """Knows the latents: rounds their residuals, and keeps what the likelihood needs.

    Args:
        latents: (B, C, H, W).
        straight_through: gradients pass the rounding unchanged (training).

    Attributes:
        sources: positions of each step, int64 (n,).
        residuals, symbols, scales: of each step, packed (B, n): latents less means, these rounded, and the scales.
        choices: scores and what was chosen by them, (B, n) and (B, k) of each choice.
    """

    def __init__(self, latents: Tensor, straight_through: bool = False) -> None:
        self._latents = latents
        self._straight_through = straight_through
        self.sources: list[Tensor] = []
        self.residuals: list[Tensor] = []  # before rounding
        self.symbols: list[Tensor] = []
        self.scales: list[Tensor] = []
        self.choices: list[tuple[Tensor, Tensor]] = []

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

    def choose(self, scores: Tensor, count: int) -> Tensor:
        """As of :class:`StepCoder`; keeps what was chosen.

        Args:
            scores: (B, n).
            count: how many; all where there are fewer.

        Returns:
            Their positions, int64 (B, count).
        """
        chosen = choose_best(scores, count)
        self.choices.append((scores, chosen))
        return chosen

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
        flat = packed[0].new_empty(self._latents.flatten(1).shape)
        return flat.index_copy(1, torch.cat(self.sources), torch.cat(packed, dim=1)).view_as(self._latents)


class Reader:
    """Knows the stream of one image: decodes the symbols of each step.

    Args:
        stream: what :func:`bench.operators.rans.encode` wrote.
        tables: those that it was coded with.
        levels: the scales that index them, ascending, (rows,).
        crc: of the symbols that were decoded before, see :func:`bench.models.latents.update_crc`.
        slots: what the encoder chose by scores, in turn; empty where it leaves the choice to the decoder.

    Attributes:
        crc: of these and of all that were read.
    """

    def __init__(self, stream: bytes, tables: CodingTables, levels: Tensor, crc: int = 0,
                 slots: Sequence[int] = ()) -> None:
        self._decoder = Decoder(stream, tables)
        self._levels = levels
        self._chosen = list(slots) or None
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

    def choose(self, scores: Tensor, count: int) -> Tensor:
        """As of :class:`StepCoder`; what the encoder chose, where it says so.

        Args:
            scores: (1, n).
            count: how many; all where there are fewer.

        Returns:
            Their positions, int64 (1, count).

        Raises:
            StreamError: the encoder's choice is none of these.
        """
        if self._chosen is None:
            return choose_best(scores, count)

        count = min(count, scores.shape[1])
        chosen, self._chosen = self._chosen[:count], self._chosen[count:]
        if len(chosen) < count or max(chosen, default=0) >= scores.shape[1]:
            raise StreamError("the stream chooses a context that is not remembered")
        return torch.tensor([chosen], dtype=torch.int64, device=scores.device)

    def finish(self) -> None:
        """Check that the stream is read to its end.

        Raises:
            StreamError: it goes on, or has choices left.
        """
        if self._chosen:
            raise StreamError("the stream chooses more contexts than are looked up")
        self._decoder.finish()

    def adjust(self, function: Callable[[Tensor], Tensor]) -> None:
        """Do nothing: a decoder knows only what was sent.

        Args:
            function: not called.
        """
