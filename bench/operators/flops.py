"""Lets torch's counter of operations count Bi-WKV; apart from the operator, because that counter imports triton."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import register_flop_formula

import bench.operators.biwkv  # noqa: F401  (registers the operator)

# Additions, multiplications, divisions, maxima and exponentials for a token of a channel, one each, as in the kernels.
FORWARD_OPERATIONS = 66
BACKWARD_OPERATIONS = 199


@register_flop_formula(torch.ops.bench.biwkv)
def _forward_flops(w: tuple, u: tuple, k: tuple, *args: Any, **kwargs: Any) -> int:
    """Every arithmetic operation of the kernel, exponentials as one; comparisons and selections are not counted."""
    return FORWARD_OPERATIONS * k[0] * k[1] * k[2]


@register_flop_formula(torch.ops.bench.biwkv_backward)
def _backward_flops(grad: tuple, *args: Any, **kwargs: Any) -> int:
    """As for the forward; the backward pass computes the forward again."""
    return BACKWARD_OPERATIONS * grad[0] * grad[1] * grad[2]
