"""Which latents HPCM codes when (arXiv 2507.19125, section 3.3): index arithmetic, decided once per shape.

Latents are coded at three scales. Scale 1 takes 1/16 of them, scale 2 adds 3/16, scale 3 the rest. Each scale
has steps; a step codes, at every position, the channels of one of several groups, so its symbols pack densely
into (channels / groups, height, width). Everything here is a list of positions in flattened (C, H, W) planes:
the models gather and scatter with these lists and never index by a mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter

import numpy as np
import torch
from torch import Tensor

# Offset (row, column) at which scale 2 samples each eighth of the channels of scale 3, with stride 2.
EIGHTH_OFFSET = ((0, 0), (1, 1), (0, 1), (1, 0)) * 2
# Offset at which scale 1 samples each quarter of the channels of scale 2, with stride 2.
QUARTER_OFFSET = ((0, 0), (0, 1), (1, 0), (1, 1))
# Offset left out of the source plane when hyper parameters fill scale 2, for each eighth. It differs from the
# offset left out of the destination: a quirk that published checkpoints were trained with.
FILL_SOURCE_OFFSET = ((0, 0),) * 4 + ((0, 1),) * 4

# Steps of each scale: for each group of channels, the cells of a small tile that the step codes.
SCALE1_STEPS = (
    (((0, 0), (1, 1)), ((0, 1), (1, 0))),
    (((0, 1), (1, 0)), ((0, 0), (1, 1))),
)
SCALE2_STEPS = (
    (((1, 1),), ((1, 0),), ((0, 1),), ((0, 0),)),
    (((1, 0),), ((1, 1),), ((0, 0),), ((0, 1),)),
    (((0, 1),), ((0, 0),), ((1, 1),), ((1, 0),)),
)
SCALE3_PATTERNS = (
    ((0, 0), (2, 2)), ((0, 2), (2, 0)), ((1, 1), (3, 3)), ((1, 3), (3, 1)),
    ((0, 1), (2, 3)), ((0, 3), (2, 1)), ((1, 0), (3, 2)), ((1, 2), (3, 0)),
)
SCALE3_ROWS = (
    (2, 4, 6, 0, 3, 5, 7, 1),
    (3, 5, 7, 1, 2, 4, 6, 0),
    (4, 6, 0, 2, 5, 7, 1, 3),
    (5, 7, 1, 3, 4, 6, 0, 2),
    (6, 0, 2, 4, 7, 1, 3, 5),
    (7, 1, 3, 5, 6, 0, 2, 4),
)
SCALE3_STEPS = tuple(itemgetter(*row)(SCALE3_PATTERNS) for row in SCALE3_ROWS)


@dataclass(frozen=True)
class Step:
    """One coded step.

    Attributes:
        index: int64 (n,), positions in the flattened plane of the step's scale, in stream order.
        source: int64 (n,), the same positions in the flattened latents at full size.
    """

    index: Tensor
    source: Tensor


@dataclass(frozen=True)
class Scale:
    """One scale.

    Attributes:
        shape: (C, H, W) of its plane.
        known: int64, where the plane of the scale before goes in this plane, in raster order of that plane;
            empty for scale 1.
        context: int64 (C * H * W,), for every position of this plane its position in the concatenation of
            the flattened context of the scale before (none for scale 1) and the flattened hyper parameters.
        steps: the coded steps.
    """

    shape: tuple[int, int, int]
    known: Tensor
    context: Tensor
    steps: tuple[Step, ...]


@lru_cache(maxsize=16)
def lattice(channels: int, height: int, width: int, device: torch.device) -> tuple[Scale, Scale, Scale]:
    """Return the schedule for latents of one shape.

    Args:
        channels, height, width: of the latents.
        device: where the index tensors are.

    Returns:
        The three scales.

    Raises:
        ValueError: channels are no multiple of 8, or height or width no multiple of 4.
    """
    if channels % 8 or height % 4 or width % 4:
        raise ValueError(f"latents of {channels}x{height}x{width} can't be split into three scales: "
                         "channels must be a multiple of 8, height and width of 4")
    raster3 = _raster(channels, height, width)
    source2 = _sample(raster3, EIGHTH_OFFSET)
    raster2 = _raster(*source2.shape)
    known2 = _sample(raster2, QUARTER_OFFSET)
    source1 = _sample(source2, QUARTER_OFFSET)
    raster1 = _raster(*source1.shape)

    context2 = _fill_scale2(source2, raster1.size)
    np.put(context2, known2, raster1)
    context3 = raster3 + raster2.size
    np.put(context3, source2, raster2)

    return (
        _scale(raster1, source1, np.empty(0, np.int64), source1, SCALE1_STEPS, 2, device),
        _scale(raster2, source2, known2, context2, SCALE2_STEPS, 2, device),
        _scale(raster3, raster3, source2, context3, SCALE3_STEPS, 4, device),
    )


def _raster(*shape: int) -> np.ndarray:
    """Plane of positions in raster order."""
    return np.arange(np.prod(shape), dtype=np.int64).reshape(shape)


def _sample(plane: np.ndarray, offsets: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Sample each group of channels with stride 2 at its own offset."""
    groups = np.split(plane, len(offsets))
    return np.concatenate([group[:, r::2, c::2] for group, (r, c) in zip(groups, offsets)])


def _fill_scale2(source2: np.ndarray, skipped: int) -> np.ndarray:
    """Positions of the hyper parameters that fill scale 2, by rank within each channel.

    Cells that are kept, listed in raster order, go to the free cells in raster order; the kept cells are not
    the free ones (see FILL_SOURCE_OFFSET). ``skipped`` is the number of entries before the hyper parameters.
    """
    filled = np.zeros_like(source2)
    eighth = len(source2) // 8
    for j in range(8):
        channels = slice(j * eighth, (j + 1) * eighth)
        kept = ~_cells(source2.shape[1:], (FILL_SOURCE_OFFSET[j],), 2)
        free = ~_cells(source2.shape[1:], (QUARTER_OFFSET[j // 2],), 2)
        filled[channels, free] = source2[channels, kept] + skipped
    return filled


def _cells(shape: tuple[int, ...], cells: tuple[tuple[int, int], ...], tile: int) -> np.ndarray:
    """True at the given cells of every tile x tile square of a plane."""
    rows, columns = np.indices(shape)
    return np.any([(rows % tile == r) & (columns % tile == c) for r, c in cells], axis=0)


def _scale(
    raster: np.ndarray, source: np.ndarray, known: np.ndarray, context: np.ndarray, steps: tuple, tile: int,
    device: torch.device,
) -> Scale:
    """Positions of one scale, whose steps code cells of ``tile`` x ``tile`` squares, as tensors."""

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values.reshape(-1))).to(device)

    coded = []
    for groups in steps:
        group_at = np.zeros(raster.shape[1:], np.int64)
        for number, cells in enumerate(groups):
            group_at[_cells(raster.shape[1:], cells, tile)] = number
        by_group = raster.reshape(len(groups), -1, *raster.shape[1:])
        index = np.take_along_axis(by_group, group_at[None, None], axis=0)[0]
        coded.append(Step(tensor(index), tensor(source.reshape(-1)[index])))
    channels, height, width = raster.shape
    return Scale((channels, height, width), tensor(known), tensor(context), tuple(coded))
