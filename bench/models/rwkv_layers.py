"""Building blocks of the RWKV line and of LALIC (sjtu-medialab/RwkvCompress; yutendo0714/LIC-HPCM-LALIC).

Attribute names are those of the published checkpoints. Blocks take and give maps (B, C, H, W); inside they work
on (B, H, W, C), contiguous, which are the raster-ordered tokens (B, H * W, C) without a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from bench.models.options import check_flags, check_positive, check_whole
from bench.models.pointwise import Conv1x1
from bench.operators import biwkv
from bench.operators.depthwise import convolve_depthwise

MERGED = "conv5x5_reparam.weight"


class OmniShift(nn.Module):
    """Token shift: α0 x + α1 conv1(x) + α2 conv3(x) + α3 conv5(x), depthwise, as one 5x5 convolution.

    Source: Restore-RWKV (arXiv 2407.11087). With gradients the merged kernel is derived anew in every pass, so that
    they reach its parts; without, it is kept until a part changes or :meth:`train` is called. The published code stores
    it as a parameter: here it appears in ``state_dict()`` and is ignored when loaded.

    Args:
        width: channels C.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.randn(4))
        self.conv1x1, self.conv3x3, self.conv5x5 = (
            nn.Conv2d(width, width, size, padding=size // 2, groups=width, bias=False) for size in (1, 3, 5))
        self._kept: tuple[list[tuple[int, int]], Tensor] | None = None  # states of the parts, and what they merge to

    def train(self, mode: bool = True) -> OmniShift:
        """As of any module; forgets the merged kernel, should a part have changed where torch doesn't count it."""
        self._kept = None
        return super().train(mode)

    def kernel(self) -> Tensor:
        """Return the merged kernel, (C, 1, 5, 5)."""
        centre = F.pad(self.alpha[0] + self.alpha[1] * self.conv1x1.weight, (2, 2, 2, 2))
        return centre + F.pad(self.alpha[2] * self.conv3x3.weight, (1, 1, 1, 1)) + self.alpha[3] * self.conv5x5.weight

    def forward(self, x: Tensor) -> Tensor:
        """Shift the tokens with the merged kernel.

        Args:
            x: tokens, (B, H, W, C).

        Returns:
            The shifted tokens, (B, H, W, C).
        """
        derive = torch.is_grad_enabled() or torch.compiler.is_compiling()
        kernel = self.kernel() if derive else self._keep_kernel()
        tokens = x.permute(0, 3, 1, 2)
        if x.dtype == torch.float64 and not derive:
            return convolve_depthwise(tokens, kernel, None).permute(0, 2, 3, 1)
        return F.conv2d(tokens, kernel, padding=2, groups=x.shape[3]).permute(0, 2, 3, 1)

    def _keep_kernel(self) -> Tensor:
        """The merged kernel of the parts as they are, merged when one of them is another or was changed."""
        states = [(part.data_ptr(), part._version) for part in self.parameters()]
        if self._kept is None or self._kept[0] != states:
            self._kept = states, self.kernel()
        return self._kept[1]

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Add the merged kernel, as published checkpoints have it."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        kernel = self.kernel()
        destination[prefix + MERGED] = kernel if keep_vars else kernel.detach()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Leave out a merged kernel: it is derived."""
        state_dict.pop(prefix + MERGED, None)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class SpatialMix(nn.Module):
    """Bi-WKV attention over all tokens, gated (Vision-RWKV, arXiv 2403.02308, with another token shift).

    Args:
        width: channels C.
        runs: of the Bi-WKV operator, see :func:`bench.operators.biwkv`.
    """

    def __init__(self, width: int, runs: int) -> None:
        super().__init__()
        check_whole(runs=runs)
        self.runs = runs
        self.decay, self.boost = (nn.Parameter(torch.randn(width)) for _ in range(2))
        self.omni_shift = OmniShift(width)
        self.key, self.value, self.receptance, self.output = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """Mix over all tokens.

        Args:
            x: tokens, (B, H, W, C).

        Returns:
            The mixed tokens, (B, H, W, C).
        """
        shifted = self.omni_shift(x)
        tokens = x.shape[1] * x.shape[2]
        keys, values = self.key(shifted).flatten(1, 2), self.value(shifted).flatten(1, 2)
        mixed = biwkv(self.decay / tokens, self.boost / tokens, keys, values, runs=self.runs)
        return self.output(torch.sigmoid(self.receptance(shifted)) * mixed.view(x.shape))


class PointwiseMix(nn.Module):
    """Gated two-layer network on each token: sigmoid(receptance(x)) value(relu(key(x))²).

    Args:
        width: channels of input and output.
        rate: hidden width over ``width``, positive.

    Raises:
        ValueError: the rate is not positive, or leaves no hidden channel.
    """

    def __init__(self, width: int, rate: float) -> None:
        super().__init__()
        check_positive(**{"a hidden rate": rate})
        hidden = int(rate * width)
        if hidden < 1:
            raise ValueError(f"a hidden rate must be a positive number that leaves hidden channels, not {rate}")
        self.key = nn.Linear(width, hidden, bias=False)
        self.value = nn.Linear(hidden, width, bias=False)
        self.receptance = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the channels of each token.

        Args:
            x: tokens, (..., width).

        Returns:
            The mixed tokens, (..., width).
        """
        return torch.sigmoid(self.receptance(x)) * self.value(torch.relu(self.key(x)).square())


class ChannelMix(PointwiseMix):
    """Vision-RWKV's channel mix: a token shift, then :class:`PointwiseMix`.

    Args:
        width, rate: see there.
    """

    def __init__(self, width: int, rate: float) -> None:
        super().__init__(width, rate)
        self.omni_shift = OmniShift(width)

    def forward(self, x: Tensor) -> Tensor:
        """Shift the tokens, then mix the channels of each.

        Args:
            x: tokens, (B, H, W, C).

        Returns:
            The mixed tokens, (B, H, W, C).
        """
        return super().forward(self.omni_shift(x))


class GatedProjection(PointwiseMix):
    """1x1 convolution with a gated residual network after it.

    Args:
        inputs, outputs: channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(outputs, 2)
        self.mix = Conv1x1(inputs, outputs)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Project, then add the gated network's output.

        Args:
            x: map, (B, inputs, H, W).

        Returns:
            The projected map, (B, outputs, H, W).
        """
        x = self.mix(x).permute(0, 2, 3, 1)
        return (x + super().forward(self.norm(x))).permute(0, 3, 1, 2)


class _Block(nn.Module):
    """What both forms of a mixing block share: scales, norms, and the way from map to tokens and back.

    Args:
        width: channels.
        use_checkpoint: compute the block again in the backward pass instead of keeping its activations.
    """

    def __init__(self, width: int, use_checkpoint: bool) -> None:
        super().__init__()
        check_flags(use_checkpoint=use_checkpoint)
        self.use_checkpoint = use_checkpoint
        self.gamma1, self.gamma2 = nn.Parameter(torch.ones(width)), nn.Parameter(torch.ones(width))
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def mix(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to the same shape."""
        raise NotImplementedError

    def mix_map(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        x = x.permute(0, 2, 3, 1).contiguous()
        again = self.use_checkpoint and torch.is_grad_enabled()
        x = checkpoint(self.mix, x, use_reentrant=False) if again else self.mix(x)
        return x.permute(0, 3, 1, 2)

    forward: Callable[..., Tensor] = mix_map


class MixingBlock(_Block):
    """Form of the RWKV line: x moves by γ from itself to the normalised mix, at first all the way.

    Args:
        width: channels.
        rate: hidden rate, see :class:`PointwiseMix`.
        runs: of the Bi-WKV operator.
        use_checkpoint: compute the block again in the backward pass instead of keeping its activations.
    """

    def __init__(self, width: int, rate: float, runs: int = 32, use_checkpoint: bool = False) -> None:
        super().__init__(width, use_checkpoint)
        self.spatial_mix = SpatialMix(width, runs)
        self.channel_mix = ChannelMix(width, rate)

    def mix(self, x: Tensor) -> Tensor:
        x = torch.lerp(x, self.ln1(self.spatial_mix(x)), self.gamma1)
        return torch.lerp(x, self.ln2(self.channel_mix(x)), self.gamma2)


class PreNormBlock(_Block):
    """Form of LALIC: x plus γ times the mix of the normalised x.

    Args:
        width, rate, runs, use_checkpoint: see :class:`MixingBlock`.
    """

    def __init__(self, width: int, rate: float, runs: int = 32, use_checkpoint: bool = False) -> None:
        super().__init__(width, use_checkpoint)
        self.att = SpatialMix(width, runs)
        self.ffn = ChannelMix(width, rate)

    def mix(self, x: Tensor) -> Tensor:
        x = torch.addcmul(x, self.gamma1, self.att(self.ln1(x)))
        return torch.addcmul(x, self.gamma2, self.ffn(self.ln2(x)))
