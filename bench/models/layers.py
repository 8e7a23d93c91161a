"""Building blocks of the HPCM family (specification of LIC-HPCM, arXiv 2507.19125, section 3).

Attribute names are those of the published checkpoints. All tensors are (B, C, H, W).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.pointwise import Conv1x1


def conv3x3(inputs: int, outputs: int) -> nn.Conv2d:
    """Make a 3x3 convolution.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.

    Returns:
        Layer from (B, inputs, H, W) to (B, outputs, H, W).
    """
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def depthwise(channels: int) -> nn.Conv2d:
    """Make a 3x3 convolution of each channel by itself.

    Args:
        channels: of input and output.

    Returns:
        Layer from (B, channels, H, W) to the same shape.
    """
    return nn.Conv2d(channels, channels, 3, padding=1, groups=channels)


def down2(inputs: int, outputs: int) -> nn.Conv2d:
    """Make a 2x2 convolution of stride 2.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.

    Returns:
        Layer from (B, inputs, H, W) to (B, outputs, H/2, W/2).
    """
    return nn.Conv2d(inputs, outputs, 2, stride=2)


def up2(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Make a 2x2 transposed convolution of stride 2.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.

    Returns:
        Layer from (B, inputs, H, W) to (B, outputs, 2H, 2W).
    """
    return nn.ConvTranspose2d(inputs, outputs, 2, stride=2)


def down4(inputs: int, outputs: int) -> nn.Conv2d:
    """Make a 4x4 convolution of stride 2.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.

    Returns:
        Layer from (B, inputs, H, W) to (B, outputs, H/2, W/2).
    """
    return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)


def up4(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Make a 4x4 transposed convolution of stride 2.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.

    Returns:
        Layer from (B, inputs, H, W) to (B, outputs, 2H, 2W).
    """
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


class PartialConv(nn.Module):
    """3x3 convolution of the first channels; the others pass unchanged (FasterNet, CVPR 2023).

    Args:
        channels: of the input.
        ratio: channels over those that are convolved, rounded down.
    """

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        self.touched = channels // ratio
        self.pconv = conv3x3(self.touched, self.touched)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve the first channels.

        Args:
            x: (B, channels, H, W).

        Returns:
            Tensor in the same shape.
        """
        head, tail = x.split((self.touched, x.shape[1] - self.touched), dim=1)
        return torch.cat((self.pconv(head), tail), dim=1)


class Branch(nn.Module):
    """A transform: one sequence of layers under the name ``branch``.

    Args:
        layers: in order.
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers, one after another.

        Args:
            x: (B, C, H, W), as the first layer takes it.

        Returns:
            What the last layer gives.
        """
        return self.branch(x)


class ResidualBranch(Branch):
    """A branch whose result is added to its input."""

    def forward(self, x: Tensor) -> Tensor:
        """Add the branch's result to its input.

        Args:
            x: (B, channels, H, W).

        Returns:
            Tensor in the same shape.
        """
        return self.branch(x).add_(x)  # in place: new memory costs a CPU more than the sum


class PConvRB(ResidualBranch):
    """Residual block: partial convolution, then a pointwise network.

    Args:
        channels: of input and output.
        ratio: see :class:`PartialConv`.
        expansion: hidden width of the pointwise network over ``channels``.
    """

    def __init__(self, channels: int, ratio: int = 4, expansion: int = 4) -> None:
        super().__init__(PartialConv(channels, ratio), *_pointwise(channels, expansion))


class DWConvRB(ResidualBranch):
    """Residual block: depthwise 3x3 convolution, then a pointwise network.

    Args:
        channels: of input and output.
        expansion: hidden width of the pointwise network over ``channels``.
    """

    def __init__(self, channels: int, expansion: float = 2) -> None:
        super().__init__(depthwise(channels), *_pointwise(channels, expansion))


def residual_blocks(width: int, number: int, ratio: int = 4) -> list[PConvRB]:
    """Make residual blocks with partial convolution.

    Args:
        width: channels of each.
        number: of blocks.
        ratio: see :class:`PartialConv`.
    """
    return [PConvRB(width, ratio) for _ in range(number)]


class WindowCrossAttention(nn.Module):
    """Attention from the new parameters to the running context, in windows that do not overlap.

    ``conv_out`` acts on the parameters, the skip path, not on what attention gives: the published checkpoints were
    trained so.

    Args:
        channels: of parameters and context.
        window: side of a window.
        heads: divides ``channels``.
    """

    def __init__(self, channels: int, window: int, heads: int) -> None:
        super().__init__()
        self.window, self.heads = window, heads
        self.conv_q, self.conv_k, self.conv_v, self.conv_out = (Conv1x1(channels, channels) for _ in range(4))

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Join parameters and context.

        Args:
            x: new parameters, which give the queries, (B, channels, H, W) with H and W multiples of the window.
            h: running context, which gives keys and values, in the same shape.

        Returns:
            The next context, in the same shape.

        Raises:
            ValueError: H or W is no multiple of the window.
        """
        return self.attend(x, h, self.window) + self.conv_out(x)

    def attend(self, x: Tensor, h: Tensor, window: int) -> Tensor:
        """What attention gives in windows of one size.

        Args:
            x, h: see :meth:`forward`.
            window: side of a window.

        Returns:
            Tensor (B, channels, H, W).
        """
        query, key, value = (self._windows(t, window) for t in (self.conv_q(x), self.conv_k(h), self.conv_v(h)))
        return self._unwindow(F.scaled_dot_product_attention(query, key, value), x.shape, window)

    def _windows(self, x: Tensor, p: int) -> Tensor:
        """(B, C, H, W) to (B * windows, heads, p * p, C / heads)."""
        batch, channels, height, width = x.shape
        if height % p or width % p:
            raise ValueError(f"a plane of {height}x{width} has no whole windows of {p}x{p}: "
                             "pad the image to multiples of the model's padding_multiple")
        width_of_head = channels // self.heads
        x = x.reshape(batch, self.heads, width_of_head, height // p, p, width // p, p)
        return x.permute(0, 3, 5, 1, 4, 6, 2).reshape(-1, self.heads, p * p, width_of_head)

    def _unwindow(self, x: Tensor, shape: tuple[int, ...], p: int) -> Tensor:
        """Undo :meth:`_windows`: to (B, C, H, W), in the channels-last format, which convolutions need not convert."""
        batch, channels, height, width = shape
        x = x.reshape(batch, height // p, width // p, self.heads, p, p, channels // self.heads)
        return x.permute(0, 1, 4, 2, 5, 3, 6).reshape(batch, height, width, channels).permute(0, 3, 1, 2)


def _pointwise(channels: int, expansion: float) -> list[nn.Module]:
    """Layers of two 1x1 convolutions, with ``expansion`` times the width between.

    The activation is the first one's; a layer keeps its place, so that names stay those of checkpoints.
    """
    hidden = int(channels * expansion)
    return [Conv1x1(channels, hidden, activated=True), nn.Identity(), Conv1x1(hidden, channels)]
