"""1x1 convolutions, which are nine tenths of what the family computes, on a CPU always by oneDNN.

With one thread torch takes a plain matrix product for them, because it was faster once. oneDNN saves 5 to 20 % of their
time, and applies the activation while a result is still in the cache. Sums over few channels are the same to the bit,
unless there are too few outputs to fill a vector: these are left to torch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.01  # of LeakyReLU
VECTOR = 16  # float32 values of the widest registers
CONVOLVE: Callable[..., Tensor] | None = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)  # None: not built in


class Conv1x1(nn.Conv2d):
    """A 1x1 convolution.

    Args:
        inputs, outputs: channels.
        activated: apply LeakyReLU to the result.
    """

    def __init__(self, inputs: int, outputs: int, activated: bool = False) -> None:
        super().__init__(inputs, outputs, 1)
        self.activated = activated

    def forward(self, x: Tensor) -> Tensor:
        """Convolve.

        Args:
            x: (B, inputs, H, W).

        Returns:
            Tensor (B, outputs, H, W).
        """
        if CONVOLVE is not None and runs_onednn(x, self.weight):
            activation = ("leaky_relu", [SLOPE]) if self.activated else ("none", [])
            return CONVOLVE(x, self.weight, self.bias, [0, 0], [1, 1], [1, 1], 1, *activation, "")

        y = super().forward(x)
        return F.leaky_relu(y, SLOPE, inplace=True) if self.activated else y


def runs_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN's own operator may take a convolution: it has no gradient and no other precision."""
    if torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return False
    return x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32 and len(weight) >= VECTOR
