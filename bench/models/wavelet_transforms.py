"""Transforms and hyper transforms of the WeConv line, phases 2 to 5 (yutendo0714/LIC-HPCM-WeConvene).

Attribute names are those of the published classes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench.models.layers import PConvRB, down2, down4, residual_blocks, up2, up4
from bench.models.pointwise import Conv1x1
from bench.models.wavelets import HaarDWT, HaarIDWT, split_bands


def outer_analysis(widths: Sequence[int], depths: Sequence[int]) -> list[nn.Sequential]:
    """Make the stages of g_a but the innermost.

    Args:
        widths, depths: channels and blocks of all stages, from the image inwards.
    """
    # One layer more than is used: fresh weights stay those of earlier revisions for a seed.
    strided = [down4(3, widths[0]), *(down2(a, b) for a, b in zip(widths, widths[1:]))]
    return [nn.Sequential(down, *residual_blocks(width, number))
            for down, width, number in zip(strided, widths, depths[:-1])]


def outer_synthesis(widths: Sequence[int], depths: Sequence[int]) -> list[nn.Sequential]:
    """Make the stages of g_s that mirror all but the innermost of g_a.

    Args:
        widths, depths: channels and blocks of all stages, from the image inwards.
    """
    outer = [nn.Sequential(up2(b, a), *residual_blocks(a, number)) for a, b, number in zip(widths, widths[1:], depths)]
    outer[0].append(up4(widths[0], 3))
    return outer[::-1]


def in_stages(stages: Sequence[nn.Module]) -> nn.Module:
    """Join stages to a sequence whose parts are called stage1, stage2, ...

    Args:
        stages: in order.
    """
    return nn.Sequential(OrderedDict((f"stage{number}", stage) for number, stage in enumerate(stages, 1)))


class WaveletHyperAnalysis(nn.Module):
    """Hyper analysis of phase 3.

    Args:
        M, N: channels of latents and hyper-latents.
        weconv: class of the wavelet blocks.
    """

    def __init__(self, M: int, N: int, weconv: type[nn.Module]) -> None:
        super().__init__()
        self.input_conv, self.down1, self.dwt = PConvRB(M), down2(M, N), HaarDWT()
        self.ll_branch = nn.Sequential(PConvRB(N), weconv(N), PConvRB(N))
        self.hf_branch = nn.Sequential(*residual_blocks(3 * N, 2))
        self.fusion = nn.Sequential(Conv1x1(4 * N, N), PConvRB(N))
        self.down2 = down2(N, N)

    def forward(self, y: Tensor) -> Tensor:
        """Latents to hyper-latents.

        Args:
            y: latents, (B, M, H, W).

        Returns:
            Hyper-latents, (B, N, H/8, W/8).
        """
        low, high = split_bands(self.dwt(self.down1(self.input_conv(y))))
        return self.down2(self.fusion(torch.cat((self.ll_branch(low), self.hf_branch(high)), dim=1)))


class WaveletHyperSynthesis(nn.Module):
    """Hyper synthesis of phase 3.

    Args:
        M, N: channels of latents and hyper-latents.
        weconv: class of the wavelet blocks.
    """

    def __init__(self, M: int, N: int, weconv: type[nn.Module]) -> None:
        super().__init__()
        self.up1, self.spatial_process = up2(N, N), nn.Sequential(*residual_blocks(N, 3))
        self.expand, self.up2 = Conv1x1(N, 8 * M), up2(8 * M, 2 * M)
        self.final_refine = nn.Sequential(weconv(2 * M), PConvRB(2 * M))
        self.idwt = HaarIDWT()  # in published state dicts, and never used

    def forward(self, z_hat: Tensor) -> Tensor:
        """Hyper-latents to hyper parameters at the size of the bands.

        Args:
            z_hat: hyper-latents, (B, N, h, w).

        Returns:
            Hyper parameters, (B, 2M, 4h, 4w).
        """
        return self.final_refine(self.up2(self.expand(self.spatial_process(self.up1(z_hat)))))


class SplitHyperAnalysis(nn.Module):
    """Hyper analysis of phases 4 and 5: half of the hyper-latents come from LL, half from the other bands.

    Args:
        M, N: channels of latents and hyper-latents.
    """

    def __init__(self, M: int, N: int) -> None:
        super().__init__()
        self.initial = nn.Sequential(Conv1x1(M, M), nn.ReLU())
        self.down = nn.Sequential(down4(M, M), nn.ReLU(), Conv1x1(M, M), nn.ReLU())
        self.dwt = HaarDWT()
        self.ll_path, self.hf_path = pointwise(M, M, N // 2), pointwise(3 * M, M, N - N // 2)

    def forward(self, y: Tensor) -> Tensor:
        """Latents to hyper-latents.

        Args:
            y: latents, (B, M, H, W).

        Returns:
            Hyper-latents, (B, N, H/4, W/4).
        """
        low, high = split_bands(self.dwt(self.down(self.initial(y))))
        return torch.cat((self.ll_path(low), self.hf_path(high)), dim=1)


class SplitHyperSynthesis(nn.Module):
    """Hyper synthesis of phases 4 and 5.

    Args:
        M, N: channels of latents and hyper-latents.
    """

    def __init__(self, M: int, N: int) -> None:
        super().__init__()
        wide = 3 * M // 2
        self.initial = nn.Sequential(Conv1x1(N, M), nn.ReLU())
        self.up = nn.Sequential(up4(M, M), nn.ReLU(), Conv1x1(M, wide), nn.ReLU())
        self.ll_params, self.hf_params = pointwise(wide, M, 2 * M), pointwise(wide, M, 6 * M)

    def forward(self, z_hat: Tensor) -> Tensor:
        """Hyper-latents to 2M hyper parameters of each band in turn.

        Args:
            z_hat: hyper-latents, (B, N, h, w).

        Returns:
            Hyper parameters, (B, 8M, 2h, 2w).
        """
        features = self.up(self.initial(z_hat))
        return torch.cat((self.ll_params(features), self.hf_params(features)), dim=1)


def pointwise(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two 1x1 convolutions with a ReLU between.

    Args:
        inputs: channels of the input.
        hidden: channels between the convolutions.
        outputs: channels of the output.

    Returns:
        The network, (B, inputs, H, W) to (B, outputs, H, W).
    """
    return nn.Sequential(Conv1x1(inputs, hidden), nn.ReLU(), Conv1x1(hidden, outputs))
