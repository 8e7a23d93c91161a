"""Multiply-accumulate operations of a model, counted while it runs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

aten = torch.ops.aten


def _attention_flops(query: tuple, key: tuple, value: tuple, *args, out_shape=None, **kwargs) -> int:
    return sdpa_flop_count(query, key, value)


# torch counts this operator's variants for GPUs, not the one that CPUs run.
UNCOUNTED_BY_TORCH = {aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}


def kmac_per_pixel(model: nn.Module, x: Tensor) -> float:
    """Return thousands of multiply-accumulates a pixel of ``model(x)``, x (B, C, H, W).

    Counted: convolutions, matrix products, attention's two products, operators with a formula of their own. One
    multiplication is one MAC; additions, activations and normalisation are not counted.
    """
    counter = FlopCounterMode(display=False, custom_mapping=UNCOUNTED_BY_TORCH)
    with torch.no_grad(), counter:
        model(x)
    return counter.get_total_flops() / 2 / (x.shape[0] * x.shape[-2] * x.shape[-1]) / 1000
