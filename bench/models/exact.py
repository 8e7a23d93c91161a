"""`exact`: files whose symbols any machine decodes alike, see docs/exact.md.

What lies between symbols and rows of the coder's tables is computed in float64, whose results differ between machines
by some 1e-14. Two things remain that such a difference could tip over, and the encoder, which knows all scales, sees to
both: a scale within MARGIN of an edge between two rows, for which it shifts all edges, and a choice of remembered
contexts between near equals, which it writes down. Both stand before the stream of y.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.common.errors import CodecError, ConfigurationError
from bench.models.entropy import scale_index

MARGIN = 1e-9  # relative; ten thousand times what was measured between settings of one processor
STEP = 2.0**-20  # between shifts of the edges, relative: a thousand margins
SHIFTS = 128
MOST_SLOTS = 255
NO_SHIFT = (f"with each of {SHIFTS} shifts of the tables' edges a scale lies on one",
            "code the image without --exact, or in parts")
NO_EXACT = "the models of this family have one; a model of your own needs a method make_exact(), see docs/exact.md"


@dataclass(frozen=True)
class Agreement:
    """What the encoder of an exact file decided for its decoder.

    Attributes:
        shift: number of the shift of the edges.
        slots: remembered contexts of each choice in turn, where the decoder may not choose by itself.
    """

    shift: int = 0
    slots: tuple[int, ...] = ()

    def __bytes__(self) -> bytes:
        """One byte; where there are slots their number and they follow."""
        if not self.slots:
            return bytes([self.shift])
        if len(self.slots) > MOST_SLOTS:
            raise CodecError(f"the file can't hold {len(self.slots)} choices of remembered contexts",
                             "give the model's banks less to remember or to retrieve")
        return bytes([SHIFTS + self.shift, len(self.slots), *self.slots])


def split_agreement(stream: bytes) -> tuple[Agreement, bytes]:
    """Read the agreement that a stream begins with.

    Args:
        stream: agreement and symbols.

    Returns:
        The agreement, and the stream of the symbols.

    Raises:
        CodecError: the stream ends within it.
    """
    counts = stream[1:2] if stream[:1] >= bytes([SHIFTS]) else b"\0"
    length = 1 if counts == b"\0" else 2 + sum(counts)
    if not counts or len(stream) < length:
        raise CodecError("the stream ends within what encoder and decoder agree on")
    return Agreement(stream[0] % SHIFTS, tuple(stream[2:length])), stream[length:]


def shift_edges(table: Tensor, shift: int) -> Tensor:
    """Shift the edges between the rows of the coder's tables.

    Args:
        table: scales that index them, ascending, (rows,).
        shift: its number, below SHIFTS.

    Returns:
        float64 (rows,): one product each, which every machine rounds alike.
    """
    return table.double() * (1 + shift * STEP)


def find_shift(scales: Tensor, table: Tensor) -> int:
    """Find a shift of the edges at which no scale is near one.

    Args:
        scales: float64, any shape.
        table: scales that index the coder's tables, ascending, (rows,).

    Returns:
        The number of the first such shift.

    Raises:
        CodecError: there is none.
    """
    below, above = scales * (1 - MARGIN), scales * (1 + MARGIN)
    for shift in range(SHIFTS):
        edges = shift_edges(table, shift)
        if torch.equal(scale_index(below, edges), scale_index(above, edges)):
            return shift
    raise CodecError(*NO_SHIFT)


def agree(scales: Tensor, table: Tensor, choices: Iterable[tuple[Tensor, Tensor]]) -> Agreement:
    """Decide what the decoder of an image can't.

    Args:
        scales: of all symbols of one image, float64, any shape.
        table: scales that index the coder's tables, ascending, (rows,).
        choices: scores and chosen positions, (1, n) and (1, k) of each choice that was made in coding.

    Returns:
        What is written into the file.

    Raises:
        CodecError: every shift of the edges has a scale on one.
    """
    choices = list(choices)
    unclear = not all(is_clear(scores, chosen) for scores, chosen in choices)
    slots = [int(slot) for _, chosen in choices for slot in chosen.flatten()] if unclear else []
    return Agreement(find_shift(scales, table), tuple(slots))


def is_clear(scores: Tensor, chosen: Tensor) -> bool:
    """Whether another machine makes the same choice by these scores.

    Args:
        scores: (1, n).
        chosen: positions of the best, (1, k).
    """
    ranked = scores.flatten().sort(descending=True).values
    count = chosen.numel()
    if count == len(ranked):
        return True
    return float(ranked[count - 1] - ranked[count]) > MARGIN * max(1.0, float(ranked.abs().max()))


def make_exact(model: nn.Module) -> None:
    """Compute in float64 what decides a row of the coder's tables.

    Args:
        model: with its weights; in place.

    Raises:
        ConfigurationError: it has no exact configuration.
    """
    convert = getattr(model, "make_exact", None)
    if convert is None:
        raise ConfigurationError(f"{type(model).__name__} has no exact configuration", NO_EXACT)
    convert()
