"""Memory banks of the multi-reference line (yutendo0714/LIC-HPCM-MultiRef): networks over what is remembered.

Attribute names are those of the published classes. Contexts are (B, C, h, w), keys and queries (B, K).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.layers import depthwise
from bench.models.memory import KERNELS, BankOptions, Memory
from bench.models.options import divisors
from bench.models.pointwise import Conv1x1


class CosineBank(nn.Module):
    """Bank of phase 1: cosine similarity, values at a quarter of the context's size, a gate for each channel.

    Args:
        width: channels C of a context.
        options: of the bank.

    Raises:
        ValueError: an option does not fit the width.
    """

    query_proj: nn.Module
    value_proj: nn.Module

    def __init__(self, width: int, options: BankOptions) -> None:
        super().__init__()
        self.options = options
        self.build_networks(width)

    def build_networks(self, width: int) -> None:
        """Add the networks under their published names.

        Args:
            width: channels C of a context.
        """
        if self.options.compress_ratio > width:
            raise ValueError(f"compress_ratio must be at most {width}, the context's channels, "
                             f"not {self.options.compress_ratio}")
        length = width // self.options.compress_ratio
        self.key_encoder = nn.Sequential(nn.Conv2d(width, length, 1, bias=False), group_norm(8, length))
        self.query_proj = Conv1x1(width, length)
        self.value_proj = Conv1x1(width, width)
        self.fusion_gate = nn.Sequential(Conv1x1(2 * width, width), nn.Sigmoid())

    def keys_are_noise(self) -> bool:
        """Whether keys are means of channels that are normalised one by one: zero but for rounding."""
        norm = self.key_encoder[1]
        return norm.num_groups == norm.num_channels

    def add(self, memory: Memory, context: Tensor) -> None:
        """Remember a context.

        Args:
            memory: of this pass.
            context: (B, C, h, w).
        """
        key, value = self.key(context), self.value(context)
        memory.add(*((key.detach(), value.detach()) if self.options.detach else (key, value)))

    def enhance(self, memory: Memory, context: Tensor) -> Tensor:
        """Join a context with the remembered ones that are most similar; each image has its own choice.

        Args:
            memory: of this pass, not empty.
            context: (B, C, h, w).

        Returns:
            Tensor (B, C, h, w).
        """
        slots, weights = self.choose(memory, context)
        images = torch.arange(len(context), device=context.device)[:, None]
        values = torch.stack(memory.values, dim=1)[images, slots].flatten(0, 1)
        resized = F.interpolate(values, context.shape[2:], mode="bilinear", align_corners=False)
        maps = self.decode(resized).unflatten(0, slots.shape)
        return self.fuse(context, (weights[:, :, None, None, None] * maps).sum(dim=1))

    def choose(self, memory: Memory, context: Tensor) -> tuple[Tensor, Tensor]:
        """Choose the best matches of a context, best first; of equals the lower slot.

        Args:
            memory: of this pass, not empty.
            context: (B, C, h, w).

        Returns:
            Slots, int64, and weights that add up to 1, (B, k) each.
        """
        scores = self.scores(self.query(context), torch.stack(memory.keys, dim=1))
        slots = memory.choose(scores, self.options.topk_refs)
        return slots, scores.gather(1, slots).softmax(dim=1)

    def key(self, context: Tensor) -> Tensor:
        """Make what a context is found by.

        Args:
            context: (B, C, h, w).

        Returns:
            Tensor (B, K).
        """
        return self.key_encoder(context).mean(dim=(2, 3))

    def query(self, context: Tensor) -> Tensor:
        """Make what a context looks for.

        Args:
            context: (B, C, h, w).

        Returns:
            Tensor (B, K).
        """
        return self.query_proj(context).mean(dim=(2, 3))

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """Compare a query with the remembered keys.

        Args:
            query: (B, K).
            keys: (B, n, K).

        Returns:
            Logits of the keys' weights, (B, n).
        """
        cosines = (F.normalize(query, dim=1)[:, None] * F.normalize(keys, dim=2)).sum(dim=2)
        return cosines / self.options.temperature

    def value(self, context: Tensor) -> Tensor:
        """Make what is found of a context.

        Args:
            context: (B, C, h, w).

        Returns:
            Tensor (B, C, h', w'): here a quarter of h and w, at least 1; :class:`FusionBank` has a fixed size.
        """
        height, width = context.shape[2:]
        return F.adaptive_avg_pool2d(self.value_proj(context), (max(1, height // 4), max(1, width // 4)))

    def decode(self, value: Tensor) -> Tensor:
        """Bring stored values to what is retrieved.

        Args:
            value: stored values, resized to (n, C, h, w).

        Returns:
            Tensor in the same shape.
        """
        return value

    def fuse(self, context: Tensor, retrieved: Tensor) -> Tensor:
        """Join a context and what was retrieved for it.

        Args:
            context: (B, C, h, w).
            retrieved: in the same shape.

        Returns:
            The joined context, in the same shape.
        """
        return torch.lerp(context, retrieved, self.fusion_gate(torch.cat((context, retrieved), dim=1)))


class FusionBank(CosineBank):
    """Bank of phase 2: values of fixed size through an encoder and a decoder, fused by a network."""

    def build_networks(self, width: int) -> None:
        super().build_networks(width)
        del self.value_proj
        self.query_proj = nn.Sequential(self.query_proj, nn.GELU())
        self.value_encoder = nn.Sequential(depthwise(width), Conv1x1(width, width), nn.GELU())
        self.value_decoder = nn.Sequential(Conv1x1(width, width), nn.GELU(), depthwise(width))

        self.fusion_net = nn.Sequential(Conv1x1(2 * width, width), group_norm(32, width), nn.GELU(), depthwise(width),
                                        Conv1x1(width, width))

        # Published, and never used.
        length = width // self.options.compress_ratio
        self.mha_query, self.mha_key, self.mha_value = (nn.Linear(length, length) for _ in range(3))

    def value(self, context: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(self.value_encoder(context), self.options.value_resolution)

    def decode(self, value: Tensor) -> Tensor:
        return self.value_decoder(value)

    def fuse(self, context: Tensor, retrieved: Tensor) -> Tensor:
        both = torch.cat((context, retrieved), dim=1)
        return torch.lerp(context, self.fusion_net(both), self.gate(both))

    def gate(self, both: Tensor) -> Tensor:
        """Decide how much of the fused map enters the context.

        Args:
            both: context and retrieved map, (B, 2C, h, w).

        Returns:
            Share of the fused map, (B, C, h, w), or (B, 1, h, w) where one gate serves all channels.
        """
        return self.fusion_gate(both)


class KernelBank(FusionBank):
    """Bank of phase 3: products of positive features with a temperature that learns, one gate for all channels."""

    def build_networks(self, width: int) -> None:
        heads = self.options.num_heads
        self.temperature = nn.Parameter(torch.tensor([float(self.options.temperature)]))
        # value_proj is published, and never used.
        self.query_proj, self.key_proj, self.value_proj = (normalised(width, heads) for _ in range(3))

        self.value_encoder = nn.Sequential(depthwise(width), Conv1x1(width, width), nn.GELU(), Conv1x1(width, width))
        self.value_decoder = nn.Sequential(Conv1x1(width, width), nn.GELU(), depthwise(width), Conv1x1(width, width))

        self.fusion_net = nn.Sequential(
            Conv1x1(2 * width, width), group_norm(8, width), nn.GELU(), nn.Conv2d(width, width, 3, padding=1),
            group_norm(8, width), nn.GELU(), Conv1x1(width, width))
        self.gate_net = nn.Sequential(Conv1x1(2 * width, width // 2), nn.GELU(), Conv1x1(width // 2, 1), nn.Sigmoid())

    def keys_are_noise(self) -> bool:
        return False  # the kernel comes before the mean

    def key(self, context: Tensor) -> Tensor:
        return KERNELS[self.options.kernel_type](self.key_proj(context)).mean(dim=(2, 3))

    def query(self, context: Tensor) -> Tensor:
        return KERNELS[self.options.kernel_type](self.query_proj(context)).mean(dim=(2, 3))

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        return (query[:, None] * keys).sum(dim=2) / (self.temperature + 1e-8)

    def gate(self, both: Tensor) -> Tensor:
        return self.gate_net(both)


def normalised(width: int, groups: int) -> nn.Sequential:
    """Make a 1x1 convolution and a normalisation in groups of channels.

    Args:
        width: channels.
        groups: divides ``width``.

    Raises:
        ValueError: it does not.
    """
    if width % groups:
        raise ValueError(f"num_heads must divide the context's {width} channels ({divisors(width)}), not be {groups}")
    return nn.Sequential(Conv1x1(width, width), nn.GroupNorm(groups, width))


def group_norm(groups: int, width: int) -> nn.GroupNorm:
    """Make a normalisation in groups of channels, at widths that they don't divide in fewer.

    Args:
        groups: wanted.
        width: channels.
    """
    return nn.GroupNorm(math.gcd(groups, width), width)
