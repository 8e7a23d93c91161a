"""Networks over wavelet bands: what phases 4 and 5 of the WeConv line add (yutendo0714/LIC-HPCM-WeConvene).

Attribute names are those of the published classes; bands are (B, C, h, w).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.layers import conv3x3, depthwise
from bench.models.pointwise import Conv1x1
from bench.models.wavelets import BANDS


class TokenAttention(nn.MultiheadAttention):
    """Multi-head attention over tokens (B, n, C) with the parameters of torch's module.

    One computation in every mode (torch's own switches to another without gradients, which rounds differently), and
    no matrix of all weights.
    """

    def attend(self, query: Tensor, memory: Tensor) -> Tensor:
        """Let each token of one sequence look at all of another.

        Args:
            query: tokens that look, (B, n, C).
            memory: tokens that are looked at, (B, m, C).

        Returns:
            Tensor (B, n, C).
        """
        parts = zip((query, memory, memory), self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3))
        heads = (F.linear(*part).unflatten(2, (self.num_heads, -1)).transpose(1, 2) for part in parts)
        return self.out_proj(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))


class LLContextEncoder(nn.Module):
    """From the decoded low band to what the high bands look at.

    Args:
        channels: C of the band.
        heads: of the attention over all positions; divides ``channels``.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.self_attn = TokenAttention(channels, heads)
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.BatchNorm2d(channels)
        self.conv_layers = nn.Sequential(conv3x3(channels, channels), nn.ReLU(), conv3x3(channels, channels), nn.ReLU(),
                                         conv3x3(channels, channels))
        self.refine = nn.Sequential(Conv1x1(channels, channels), nn.ReLU(), Conv1x1(channels, channels))

    def forward(self, low: Tensor) -> Tensor:
        """Low band to its context.

        Args:
            low: (B, C, h, w).

        Returns:
            Tensor (B, C, h, w).
        """
        tokens = to_tokens(low)
        normed = self.norm1(tokens)
        attended = to_map(tokens + self.self_attn.attend(normed, normed), low)
        context = self.norm2(self.conv_layers(attended)) + low
        return context + self.refine(context)


class FrequencyAttentionFusion(nn.Module):
    """A high band attends to the context of the low one: quadratic in the number of positions.

    Args:
        channels: C of a band.
        heads: of the attention; divides ``channels``.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.cross_attn = TokenAttention(channels, heads)
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        # Identities where published classes have dropout, which is 0.
        self.ffn = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Identity(),
                                 nn.Linear(4 * channels, channels), nn.Identity())

    def forward(self, high: Tensor, context: Tensor) -> Tensor:
        """High band and the low band's context to the fused band.

        Args:
            high: (B, C, h, w).
            context: of the low band, (B, C, h, w).

        Returns:
            Tensor (B, C, h, w).
        """
        tokens = to_tokens(high)
        tokens = tokens + self.cross_attn.attend(self.norm1(tokens), to_tokens(context))
        return to_map(tokens + self.ffn(self.norm2(tokens)), high)


class ChannelwiseFrequencyGate(nn.Module):
    """Scales the three high bands, each by channel weights of its own and all by a gate that sees their means.

    Args:
        channels: C of a band.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        for band, start in zip(BANDS[1:], (1.0, 1.0, 0.8)):
            self.register_parameter(f"weight_{band}", nn.Parameter(torch.full((1, channels, 1, 1), start)))
        hidden = max(1, channels // 4)
        self.fc = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid())

    def forward(self, bands: list[Tensor]) -> list[Tensor]:
        """Scale the high bands.

        Args:
            bands: LH, HL and HH, (B, C, h, w) each.

        Returns:
            The same three scaled, (B, C, h, w) each.
        """
        gate = self.fc(torch.stack(bands).mean(dim=(0, 3, 4)))[..., None, None]
        weights = [self.get_parameter(f"weight_{band}") for band in BANDS[1:]]
        return [band * weight * gate for band, weight in zip(bands, weights)]


class AdaptiveQuantisation(nn.Module):
    """A quantisation step for each band, which learns."""

    def __init__(self) -> None:
        super().__init__()
        for band, start in zip(BANDS, (1.0, 1.2, 1.2, 1.5)):
            self.register_parameter(f"log_delta_{band}", nn.Parameter(torch.tensor(math.log(start))))

    def forward(self) -> list[Tensor]:
        """The steps of LL, LH, HL and HH: positive numbers, in units of the unscaled bands."""
        return [self.get_parameter(f"log_delta_{band}").exp() for band in BANDS]


class EnhancedContext(nn.Module):
    """Context to entropy parameters: a weight for each position, then 3x3 convolutions.

    Args:
        M: channels of the latents.
    """

    def __init__(self, M: int) -> None:
        super().__init__()
        self.build_networks(M)
        self.residual_proj = Conv1x1(3 * M, 2 * M)

    def build_networks(self, M: int) -> None:
        """Add what weighs positions and what convolves them.

        Args:
            M: channels of the latents.
        """
        hidden = max(1, M // 4)
        self.spatial_attn = nn.Sequential(Conv1x1(3 * M, M), nn.ReLU(), Conv1x1(M, hidden), nn.ReLU(),
                                          Conv1x1(hidden, 1), nn.Sigmoid())
        widths = (3 * M, 2 * M, 2 * M, 2 * M, M)
        self.conv_stack = nn.Sequential()
        for a, b in pairwise(widths):
            self.conv_stack.extend((conv3x3(a, b), nn.ReLU()))
        self.conv_stack.append(Conv1x1(M, 2 * M))

    def forward(self, context: Tensor) -> Tensor:
        """Context to entropy parameters.

        Args:
            context: (B, 3M, h, w).

        Returns:
            Scales, then means, (B, 2M, h, w).
        """
        return self.conv_stack(context * self.spatial_attn(context)) + self.residual_proj(context)


class LightweightEnhancedContext(EnhancedContext):
    """The same with one grouped 3x3 convolution."""

    def build_networks(self, M: int) -> None:
        self.spatial_attn = nn.Sequential(depthwise(3 * M), Conv1x1(3 * M, 1), nn.Sigmoid())
        grouped = nn.Conv2d(3 * M, 3 * M, 3, padding=1, groups=M)
        self.conv_stack = nn.Sequential(grouped, nn.ReLU(), Conv1x1(3 * M, 2 * M), nn.ReLU(), Conv1x1(2 * M, 2 * M))


class MultiResolutionContext(nn.Module):
    """What is decoded so far, seen at a quarter, at half and at full resolution.

    Args:
        M: channels of the latents.
    """

    def __init__(self, M: int) -> None:
        super().__init__()
        self.build_networks(M)

    def build_networks(self, M: int) -> None:
        """Add a network for each resolution, and what joins them.

        Args:
            M: channels of the latents.
        """

        def stack(*pooling: nn.Module) -> nn.Sequential:
            return nn.Sequential(*pooling, conv3x3(M, M), nn.ReLU(), conv3x3(M, M), nn.ReLU())

        self.coarse_context, self.medium_context, self.fine_context = (
            stack(nn.AvgPool2d(4)), stack(nn.AvgPool2d(2)), stack())
        self.fusion = nn.Sequential(Conv1x1(3 * M, 2 * M), nn.ReLU(), Conv1x1(2 * M, M))

    def forward(self, latents: Tensor) -> Tensor:
        """Latents decoded so far to their context.

        Args:
            latents: (B, M, h, w), h and w of at least 4.

        Returns:
            Tensor (B, M, h, w).
        """
        return self.fusion(torch.cat(self.views(latents), dim=1))

    def views(self, latents: Tensor) -> list[Tensor]:
        """The maps of all three resolutions.

        Args:
            latents: (B, M, h, w).

        Returns:
            Coarse, medium and fine maps, (B, M, h, w) each.
        """
        networks = (self.coarse_context, self.medium_context, self.fine_context)
        maps = [network(pooled) for network, pooled in zip(networks, self.pooled(latents))]
        return [F.interpolate(view, latents.shape[2:]) for view in maps[:2]] + maps[2:]

    def pooled(self, latents: Tensor) -> list[Tensor]:
        """What the three networks are given; these pool by themselves.

        Args:
            latents: (B, M, h, w).

        Returns:
            ``latents`` three times, (B, M, h, w) each.
        """
        return [latents] * 3


class LightweightMultiResolutionContext(MultiResolutionContext):
    """The same with depthwise-separable convolutions."""

    def build_networks(self, M: int) -> None:
        self.coarse_context, self.medium_context, self.fine_context = (self.stack(M) for _ in range(3))
        self.fusion = nn.Sequential(Conv1x1(3 * M, M), nn.ReLU())

    def stack(self, M: int) -> nn.Sequential:
        """Build the network of one resolution.

        Args:
            M: channels of the latents.

        Returns:
            A network from (B, M, h, w) to the same shape.
        """
        return nn.Sequential(depthwise(M), nn.ReLU(), Conv1x1(M, M), nn.ReLU())

    def pooled(self, latents: Tensor) -> list[Tensor]:
        return [F.avg_pool2d(latents, 4), F.avg_pool2d(latents, 2), latents]


class AdaptiveMultiResolutionContext(LightweightMultiResolutionContext):
    """The same with one 3x3 convolution a resolution, and weights of the resolutions that depend on the input."""

    def build_networks(self, M: int) -> None:
        super().build_networks(M)
        hidden = max(1, M // 4)
        self.scale_weights = nn.Sequential(nn.AdaptiveAvgPool2d(1), Conv1x1(M, hidden), nn.ReLU(), Conv1x1(hidden, 3),
                                           nn.Softmax(dim=1))

    def stack(self, M: int) -> nn.Sequential:
        return nn.Sequential(conv3x3(M, M), nn.ReLU())

    def views(self, latents: Tensor) -> list[Tensor]:
        weights = self.scale_weights(latents).split(1, dim=1)
        return [view * weight for view, weight in zip(super().views(latents), weights)]


def to_tokens(x: Tensor) -> Tensor:
    """Map to tokens.

    Args:
        x: (B, C, H, W).

    Returns:
        Tensor (B, H * W, C).
    """
    return x.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, like: Tensor) -> Tensor:
    """Tokens to a map.

    Args:
        tokens: (B, H * W, C).
        like: gives the shape, (B, C, H, W).

    Returns:
        Tensor (B, C, H, W).
    """
    return tokens.transpose(1, 2).reshape(like.shape)
