"""Depthwise convolution in float64, which torch computes channel by channel on a CPU, and oneDNN not at all."""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.operators.native import NativeOperator, c_arguments

SIDES = (3, 5)
KERNEL = NativeOperator("depthwise", "Depthwise convolution in float64", "plain torch",
                        {"cpu": Path(__file__).with_name("depthwise.cpp")})


def convolve_depthwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve each channel by itself, with zeros around the map; without gradients.

    Compiled and in plain torch, as without a compiler or with BENCH_NATIVE=0, it adds in another order.

    Args:
        x: float64, (B, C, H, W).
        weight: float64, (C, 1, side, side), side 3 or 5.
        bias: float64, (C,), or None.

    Returns:
        Tensor (B, C, H, W), channels last.
    """
    tokens = x.permute(0, 2, 3, 1).contiguous()
    taps = weight.flatten(1).t().contiguous()
    library = KERNEL.get(x.device.type)
    y = _convolve_plainly(tokens, taps, bias) if library is None else _call(library, tokens, taps, bias)
    return y.permute(0, 3, 1, 2)


def _call(library: ctypes.CDLL, tokens: Tensor, taps: Tensor, bias: Tensor | None) -> Tensor:
    """Run the compiled kernel."""
    y = torch.empty_like(tokens)
    side = round(len(taps) ** 0.5)
    start = ctypes.c_void_p(None) if bias is None else ctypes.c_void_p(bias.data_ptr())
    failure = library.depthwise(*c_arguments(tokens, taps), start,
                                *c_arguments(y, *tokens.shape, side, torch.get_num_threads()))
    if failure:
        raise ValueError(f"depthwise convolution has kernels with sides of {SIDES}, not {side}")
    return y


def _convolve_plainly(tokens: Tensor, taps: Tensor, bias: Tensor | None) -> Tensor:
    """The same as a sum of shifted products."""
    side = round(len(taps) ** 0.5)
    height, width = tokens.shape[1:3]
    padded = F.pad(tokens, (0, 0, *[side // 2] * 4))
    y = torch.zeros_like(tokens) if bias is None else bias.expand(tokens.shape).clone()
    for number, tap in enumerate(taps):
        row, column = divmod(number, side)
        y.addcmul_(padded[:, row : row + height, column : column + width], tap)
    return y
