"""Layers in float64 that are faster than torch's own, which has no oneDNN for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.operators.depthwise import SIDES, convolve_depthwise


class DepthwiseConv(nn.Conv2d):
    """A convolution of each channel by itself, in float64 and without gradients."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve.

        Args:
            x: (B, C, H, W).

        Returns:
            Tensor in the same shape.
        """
        return convolve_depthwise(x, self.weight, self.bias)


def replace_layers(model: nn.Module) -> None:
    """Replace layers in float64 by faster ones of the same weights."""
    for module in model.modules():
        if type(module) is nn.Conv2d and is_depthwise(module) and module.weight.dtype == torch.float64:
            module.__class__ = DepthwiseConv


def is_depthwise(layer: nn.Conv2d) -> bool:
    """Whether a layer is a centred depthwise convolution that the operator computes."""
    side = layer.kernel_size[0]
    return (layer.groups == layer.in_channels == layer.out_channels and layer.kernel_size in {(n, n) for n in SIDES}
            and layer.padding == (side // 2, side // 2) and layer.stride == layer.dilation == (1, 1))
