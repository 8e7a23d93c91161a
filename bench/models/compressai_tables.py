"""Tables of CompressAI's two entropy models that are the same on every machine.

The published arithmetic in float32, with correctly rounded functions and sums of products in a fixed order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import scipy.special
import torch
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from torch import Tensor, nn

from bench.common.errors import CheckpointError
from bench.models.coding_tables import pack_tables, space_scales
from bench.models.rounding import Array, CorrectlyRounded, exp, log1p, tanh
from bench.operators.rans import CodingTables

BUILT_BY = {  # what a subclass must not have changed
    EntropyBottleneck: ("update", "_likelihood", "_logits_cumulative", "_pmf_to_cdf"),
    GaussianConditional: ("update", "_standardized_cumulative", "_standardized_quantile", "_pmf_to_cdf"),
}
USUAL_SCALES = ((0.11, 256, 64), (0.12, 64, 60))  # CompressAI's default, and this family's
FEW_UNITS = 1e-6  # by which torch's own differ between machines, relative
LINEAR_ABOVE = 20  # torch's softplus(x) is x there
HALF, ONE = np.float32(0.5), np.float32(1)

erfc = CorrectlyRounded("erfc", scipy.special.erfc, 2e-13)  # scipy's is off by up to 6e-14 far out


@torch.no_grad()
def refuse_wide_channels(model: nn.Module) -> None:
    """Refuse a model of which a channel spans more symbols than a table of the coder's precision has room for.

    The range of a channel is trained by the auxiliary loss. Tables of one that was not may take gigabytes and hours.

    Args:
        model: is not changed.

    Raises:
        CheckpointError: it names the widest channel.
    """
    for name, module in model.named_modules():
        if not isinstance(module, EntropyBottleneck):
            continue
        low, median, high = module.quantiles.detach().double().cpu()[:, 0].T
        spans = (median - low).ceil().clamp(min=0) + (high - median).ceil().clamp(min=0) + 1
        channel, most = int(spans.argmax()), 2**module.entropy_coder_precision - 1  # one more is the escape
        if not spans[channel] <= most:
            raise CheckpointError(
                f"no coding tables can be built: channel {channel} of {name or type(model).__name__} spans"
                f" {spans[channel]:.0f} symbols, more than the {most} that a table has room for",
                "its quantiles were not trained: train on with the model's auxiliary loss, or take another checkpoint")


@torch.no_grad()
def replace_tables(model: nn.Module) -> None:
    """Replace the tables of every entropy model of CompressAI's in a model, where they are built.

    Subclasses that build their tables otherwise keep them.

    Args:
        model: in place.
    """
    for module in model.modules():
        if isinstance(module, EntropyBottleneck) and _is_built_by(module, EntropyBottleneck):
            _set_tables(module, tabulate_bottleneck(module))
        elif isinstance(module, GaussianConditional) and _is_built_by(module, GaussianConditional):
            module.scale_table.copy_(_settle_scales(module.scale_table.cpu()))
            _set_tables(module, tabulate_gaussian(module))


def _is_built_by(module: Any, base: type) -> bool:
    """Whether the tables of ``module`` are there and were built by the methods of ``base``."""
    kept = [getattr(type(module), name) is getattr(base, name) for name in BUILT_BY[base]]
    return len(module._offset) > 0 and all(kept)


def _set_tables(module: Any, tables: CodingTables) -> None:
    """Give an entropy model its tables, on the device of the old ones."""
    copies = [table.to(module._offset.device, copy=True) for table in tables]
    module._quantized_cdf, module._cdf_length, module._offset = copies


def _settle_scales(scales: Tensor) -> Tensor:
    """The usual scales where these are those but for the last bits of torch's exp, else these."""
    for usual in (space_scales(*settings) for settings in USUAL_SCALES):
        if usual.shape == scales.shape and torch.allclose(scales.float(), usual, rtol=FEW_UNITS, atol=0):
            return usual
    return scales


def tabulate_gaussian(module: GaussianConditional) -> CodingTables:
    """Build the tables of a Gaussian entropy model.

    Args:
        module: gives the scales and the mass beyond a row.

    Returns:
        A row for each scale.
    """
    reach = float(-module._standardized_quantile(module.tail_mass / 2))
    return _tabulate_scales(tuple(module.scale_table.tolist()), reach, module.entropy_coder_precision)


@lru_cache(maxsize=4)  # models have up to a dozen with the same scales
def _tabulate_scales(levels: tuple[float, ...], reach: float, precision: int) -> CodingTables:
    """Tables of normal distributions, each up to ``reach`` times its scale."""
    scales = np.array(levels, np.float32)
    centres = np.ceil(scales * np.float32(reach)).astype(int)

    distances = [np.arange(centre + 1, dtype=np.float32) for centre in centres]
    upper = _integrate_normal(np.concatenate([(HALF - row) / scale for row, scale in zip(distances, scales)]))
    lower = _integrate_normal(np.concatenate([(-HALF - row) / scale for row, scale in zip(distances, scales)]))

    ends = np.cumsum(centres + 1)[:-1]
    masses = []
    for mass, below in zip(np.split(upper - lower, ends), np.split(lower, ends)):
        masses.append(np.concatenate((mass[:0:-1], mass, 2 * below[-1:])))
    return pack_tables(masses, (-centres).tolist(), precision)


def _integrate_normal(x: Array) -> Array:
    """The standard normal distribution function."""
    return HALF * erfc(np.float32(-(2**-0.5)) * x)


def tabulate_bottleneck(module: EntropyBottleneck) -> CodingTables:
    """Build the tables of a factorised entropy model.

    Args:
        module: gives the network of each channel's distribution and its range.

    Returns:
        A row for each channel.
    """
    low, median, high = module.quantiles.detach().float().cpu().numpy()[:, 0].T
    below, above = (np.ceil(side).astype(np.int32).clip(min=0) for side in (median - low, high - median))
    lengths = below + above + 1

    samples = np.arange(lengths.max(), dtype=np.float32) + (median - below.astype(np.float32))[:, None, None]
    lower, upper = _compute_logits(module, samples - HALF)[:, 0], _compute_logits(module, samples + HALF)[:, 0]
    mass = (_sigmoid(upper) - _sigmoid(lower)).clip(min=0)
    escape = _sigmoid(lower[:, :1]) + _sigmoid(-upper[:, -1:])  # beyond the longest row, as published

    masses = [np.concatenate((row[:length], rest)) for row, length, rest in zip(mass, lengths, escape)]
    return pack_tables(masses, (-below).tolist(), module.entropy_coder_precision)


def _compute_logits(module: EntropyBottleneck, x: Array) -> Array:
    """Logits of each channel's distribution function at ``x``, (channels, 1, n)."""
    matrices, biases, factors = ([tensor.detach().float().cpu().numpy() for tensor in tensors]
                                 for tensors in (module.matrices, module.biases, module.factors))

    for number, (matrix, bias) in enumerate(zip(matrices, biases)):
        weights = np.where(matrix > LINEAR_ABOVE, matrix, log1p(exp(matrix)))
        total = weights[:, :, 0, None] * x[:, None, 0]
        for k in range(1, weights.shape[2]):
            total = total + weights[:, :, k, None] * x[:, None, k]
        x = total + bias
        if number < len(factors):
            x = x + tanh(factors[number]) * tanh(x)
    return x


def _sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), as torch computes it."""
    return ONE / (ONE + exp(-x))
