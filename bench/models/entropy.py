"""Generalised Gaussian entropy model with fixed shape: likelihoods and the coder's tables.

Source: LIC-HPCM, the "GGM" of its entropy model, shape β = 1.5. With P the regularised lower incomplete gamma
function, F(t) = (1 + sign(t) P(1/β, |t|^β)) / 2 and p(v) = F((v + 1/2) / s) - F((v - 1/2) / s).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.common.import_paths import import_alone
from bench.models.coding_tables import pack_tables, space_scales
from bench.models.incomplete_gamma import incomplete_gamma
from bench.models.rounding import Array
from bench.operators.rans import CodingTables

LowerBound = import_alone("compressai.ops").LowerBound

BETA = 1.5
SCALE_MIN, SCALE_MAX, SCALE_LEVELS = 0.12, 64.0, 60
LIKELIHOOD_MIN = 1e-9
# -quantile(5e-7) of the generalised normal distribution with β = 1.5: how many scales a table row reaches.
TAIL = 5.426911270933747
HALF = np.float32(0.5)
HALVES = (torch.float16, torch.bfloat16)


class Cumulative(torch.autograd.Function):
    """F(t) with its gradient exp(-|t|^β) β / (2 Γ(1/β)) with respect to t."""

    @staticmethod
    def forward(ctx: Any, t: Tensor, beta: Tensor) -> Tensor:
        ctx.save_for_backward(t, beta)
        inverse = (1 / beta).expand_as(t)
        return (1 + torch.sign(t) * torch.special.gammainc(inverse, t.abs() ** beta)) / 2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        t, beta = ctx.saved_tensors
        return gradient * torch.exp(-t.abs() ** beta - torch.lgamma(1 / beta)) * beta / 2, None


class GeneralisedGaussian(nn.Module):
    """Likelihood of integers under the zero-mean distribution of a given scale."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("beta", torch.tensor([BETA]))
        self.scale_lower_bound = LowerBound(SCALE_MIN)
        self.likelihood_lower_bound = LowerBound(LIKELIHOOD_MIN)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        """As of any module, but constants stay float32 or more: float16 can't hold the bound of 1e-9."""

        def kept(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return tensor.to(moved.device) if moved.dtype in HALVES else moved

        return super()._apply(kept, recurse)

    def forward(self, values: Tensor, scales: Tensor) -> Tensor:
        """Return the likelihood of values under scales, at least 1e-9.

        The plain difference of two distribution values, without a symmetry trick: estimates of published
        checkpoints were made so.

        Args:
            values: integers, or with noise in training, any shape.
            scales: in units of quantisation steps, broadcastable; below 0.12 they count as that.

        Returns:
            Tensor in the shape of ``values``, float32 where they are of 16 bits.
        """
        if values.dtype in HALVES:
            values, scales = values.float(), scales.float()
        scales = self.scale_lower_bound(scales)
        upper = Cumulative.apply((values + 0.5) / scales, self.beta)
        lower = Cumulative.apply((values - 0.5) / scales, self.beta)
        return self.likelihood_lower_bound(upper - lower)

    @torch.no_grad()
    def tables(self, scales: Tensor, legacy: bool = False) -> CodingTables:
        """Build the coder's tables: the published ones, the same on every machine.

        The escape mass keeps the published rule: above a row's own range it counts only what lies beyond
        the *widest* row, so streams stay those of the published coder.

        Args:
            scales: (rows,), in units of quantisation steps.
            legacy: as the published construction gives them on this very machine, for files of format 1.

        Returns:
            A row for each of ``scales``.
        """
        scales = scales.detach().float().cpu().clamp_min(torch.tensor(SCALE_MIN))
        centres = [math.ceil(float(scale) * TAIL) for scale in scales]
        masses = _list_masses_here(scales, centres) if legacy else _list_masses(scales.numpy(), centres)
        return pack_tables(masses, [-centre for centre in centres])


def _list_masses(scales: Array, centres: list[int]) -> list[Array]:
    """Masses of each row's symbols and of the escape, computed alike on every machine."""
    beyond = 2 * max(centres)
    edges = [np.array([*range(centre + 1), beyond - centre], np.float32) + HALF for centre in centres]
    distances = np.concatenate([row / scale for row, scale in zip(edges, scales)])

    wide = distances.astype(np.float64)
    inside = incomplete_gamma((wide * np.sqrt(wide)).astype(np.float32))  # ^1.5; two IEEE operations
    below, above = (1 - inside) / 2, (1 + inside) / 2

    masses, start = [], 0
    for centre in centres:
        end = start + centre + 1
        distribution = np.concatenate((below[start:end][::-1], above[start:end]))
        escape = distribution[:1] + (1 - above[end : end + 1])
        masses.append(np.concatenate((np.diff(distribution), escape)))
        start = end + 1
    return masses


def _list_masses_here(scales: Tensor, centres: list[int]) -> list[Array]:
    """The same as torch computes it on this machine."""
    beta, widest = torch.tensor([BETA]), 2 * max(centres)
    masses = []
    for centre, scale in zip(centres, scales):
        edges = torch.arange(-centre, centre + 2).float() - 0.5
        distribution = Cumulative.apply(edges / scale, beta)
        beyond = Cumulative.apply((torch.tensor([widest - centre]) + 0.5) / scale, beta)
        masses.append(torch.cat((distribution.diff(), distribution[:1] + (1 - beyond))).numpy())
    return masses


def scale_table(legacy: bool = False) -> Tensor:
    """Return the 60 scales that index the table of y.

    Args:
        legacy: as torch computes them on this very machine, for files of format 1.

    Returns:
        float32 (60,), logarithmically spaced from 0.12 to 64 quantisation steps.
    """
    if legacy:
        return torch.exp(torch.linspace(math.log(SCALE_MIN), math.log(SCALE_MAX), SCALE_LEVELS))
    return space_scales(SCALE_MIN, SCALE_MAX, SCALE_LEVELS)


def scale_index(scales: Tensor, table: Tensor) -> Tensor:
    """Return the row of the table for each scale: how many of all but the last entry are strictly smaller.

    Args:
        scales: any shape.
        table: ascending, (rows,).

    Returns:
        int64 in the shape of ``scales``.
    """
    return torch.searchsorted(table[:-1], scales.contiguous())
