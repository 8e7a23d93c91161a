"""Haar wavelet transforms, and convolution blocks on their bands (WeConvene, ECCV 2024; fengyurenpingsheng/WeConvene).

Bands are stacked band-major: all channels of LL, then of LH, HL and HH. Heights and widths are even.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.layers import depthwise
from bench.models.pointwise import Conv1x1

BANDS = ("ll", "lh", "hl", "hh")
# Published filters are products of float32(0.70710677), a little less than 1/2, and so the inverse is not exact.
TAP = 0.4999999701976776
SIGNS = ((1, 1, 1, 1), (1, 1, -1, -1), (1, -1, 1, -1), (1, -1, -1, 1))  # of LL, LH, HL, HH, row by row
FILTER_BUFFERS = ("w_ll", "w_lh", "w_hl", "w_hh", "filters")  # the model's own are kept, whatever a file holds


def haar_filters() -> Tensor:
    """The filters of LL, LH, HL and HH, float32 (4, 1, 2, 2)."""
    return TAP * torch.tensor(SIGNS, dtype=torch.float32).view(4, 1, 2, 2)


class HaarDWT(nn.Module):
    """Haar analysis of each channel."""

    def __init__(self) -> None:
        super().__init__()
        for band, taps in zip(BANDS, haar_filters()):
            self.register_buffer(f"w_{band}", taps[None].clone())

    def forward(self, x: Tensor) -> Tensor:
        """Split a map into its bands.

        Args:
            x: map, (B, C, H, W).

        Returns:
            Bands, band-major, (B, 4C, H/2, W/2).
        """
        batch, channels, height, width = x.shape
        filters = torch.cat([self.get_buffer(f"w_{band}") for band in BANDS])
        bands = F.conv2d(x.reshape(-1, 1, height, width), filters, stride=2)
        return bands.view(batch, channels, 4, height // 2, width // 2).transpose(1, 2).flatten(1, 2)


class HaarIDWT(nn.Module):
    """Haar synthesis of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", haar_filters())

    def forward(self, bands: Tensor) -> Tensor:
        """Join bands to a map.

        Args:
            bands: bands, band-major, (B, 4C, h, w).

        Returns:
            The map, (B, C, 2h, 2w).
        """
        batch, channels, height, width = bands.shape
        by_channel = bands.view(batch, 4, channels // 4, height, width).transpose(1, 2).flatten(0, 1)
        x = F.conv_transpose2d(by_channel, self.get_buffer("filters"), stride=2)
        return x.view(batch, -1, 2 * height, 2 * width)


class WeConvSimple(nn.Module):
    """Pointwise convolutions of the low and of the high bands, added with a factor that learns.

    Args:
        channels: of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwt, self.idwt = HaarDWT(), HaarIDWT()
        self.alpha = nn.Parameter(torch.tensor([0.1]))
        self.ll_conv = Conv1x1(channels, channels)
        self.hf_conv = Conv1x1(3 * channels, 3 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Add the convolved bands to a map.

        Args:
            x: map, (B, C, H, W).

        Returns:
            The map with them added, (B, C, H, W).
        """
        low, high = split_bands(self.dwt(x))
        return x + self.alpha * self.idwt(torch.cat((self.ll_conv(low), self.hf_conv(high)), dim=1))


class WeConv(nn.Module):
    """Depthwise convolutions of the bands, fused with the input, and a pointwise network.

    The published block can't run: its fusion expects twice the channels that it is given, and what its first
    normalisation gives is dropped. Here the fusion takes what there is, and the normalisation counts.

    Args:
        channels: of input and output.
        expansion: hidden width of the pointwise network over ``channels``.
    """

    def __init__(self, channels: int, expansion: int = 4) -> None:
        super().__init__()
        self.dwt, self.idwt = HaarDWT(), HaarIDWT()
        self.ll_conv1, self.ll_conv2 = depthwise(channels), Conv1x1(channels, channels)
        self.hf_conv = depthwise(3 * channels)
        self.fusion = nn.Sequential(Conv1x1(2 * channels, channels), nn.GELU(), depthwise(channels))
        hidden = expansion * channels
        self.mlp = nn.Sequential(Conv1x1(channels, hidden), nn.GELU(), Conv1x1(hidden, channels))
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Add the fused bands to a map, then the pointwise network's output.

        Args:
            x: map, (B, C, H, W).

        Returns:
            The map with both added, (B, C, H, W).
        """
        low, high = split_bands(self.dwt(x))
        bands = (self.ll_conv2(F.gelu(self.ll_conv1(low))), F.gelu(self.hf_conv(high)))
        mixed = x + over_channels(self.norm1, self.fusion(torch.cat((self.idwt(torch.cat(bands, dim=1)), x), dim=1)))
        return mixed + over_channels(self.norm2, self.mlp(mixed))


def split_bands(bands: Tensor) -> tuple[Tensor, Tensor]:
    """Split bands into the low one and the three others.

    Args:
        bands: bands, band-major, (B, 4C, h, w).

    Returns:
        The low band, (B, C, h, w), and the others, (B, 3C, h, w).
    """
    channels = bands.shape[1] // 4
    return bands[:, :channels], bands[:, channels:]


def over_channels(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """Normalise a map over its channels.

    Args:
        norm: layer norm of C channels.
        x: map, (B, C, H, W).

    Returns:
        The normalised map, (B, C, H, W).
    """
    return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
