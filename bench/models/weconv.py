"""The WeConv line, phases 1 to 3: HPCM over wavelet bands of the latents (yutendo0714/LIC-HPCM-WeConvene).

The published decoder of phase 1 adds the prior to what it returns, so that no stream decodes; phases 2 and 3 do not
run as published. Here the prior enters contexts only, and the later phases take over phase 1's coder.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.coders import StepCoder
from bench.models.context import STEPS
from bench.models.hpcm import HPCM, Stages
from bench.models.lattice import Scale
from bench.models.layers import PConvRB, WindowCrossAttention, down2, up2
from bench.models.options import check_flags
from bench.models.tabled_codec import TABLE_BUFFERS
from bench.models.wavelet_transforms import (
    WaveletHyperAnalysis,
    WaveletHyperSynthesis,
    in_stages,
    outer_analysis,
    outer_synthesis,
)
from bench.models.wavelets import FILTER_BUFFERS, HaarDWT, HaarIDWT, WeConv, WeConvSimple

# What is added to the latents in the contexts of each scale, (B, M, ., .); None for the low band.
Prior = tuple[Tensor, Tensor, Tensor] | None


class BandAttention(WindowCrossAttention):
    """The base's attention on planes that may be smaller than its window; below 2x2 there is none."""

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Join parameters and context.

        Args:
            x: new parameters, (B, C, H, W), H and W multiples of the least of window, H and W.
            h: running context, in the same shape.

        Returns:
            The next context, in the same shape.

        Raises:
            ValueError: H or W is no such multiple.
        """
        window = min(self.window, *x.shape[2:])
        return (self.attend(x, h, window) if window > 1 else x) + self.conv_out(x)


class WeConvPhase1(HPCM):
    """Phase 1: the bands of the latents are coded one by one, by the same networks; LL is the prior of the others.

    Sides must be multiples of 512, or of 256 where the shorter is 256; ``padding_multiple`` is 512.

    Args:
        skip_s3_for_hf: code scale 3 of the high bands from the hyper parameters alone. The published code ignores it.
        options: those of HPCM.
    """

    rebuilt = (*TABLE_BUFFERS, *FILTER_BUFFERS)
    float32_parts = (*HPCM.float32_parts, "dwt", "idwt")
    attention_type = BandAttention

    def __init__(self, skip_s3_for_hf: bool = False, **options: Any) -> None:
        check_flags(skip_s3_for_hf=skip_s3_for_hf)
        super().__init__(**options)
        self.skip_s3_for_hf = skip_s3_for_hf
        self.padding_multiple = 32 * self.latent_stride
        self.dwt, self.idwt = HaarDWT(), HaarIDWT()

    def to_code(self, y: Tensor) -> Tensor:
        """Split latents into bands.

        Args:
            y: latents, (B, M, H, W).

        Returns:
            LL, LH, HL and HH, (B, 4M, H/2, W/2).
        """
        return self.dwt(y)

    def synthesis(self, y_hat: Tensor) -> Tensor:
        """Make the image of decoded bands.

        Args:
            y_hat: bands, (B, 4M, h, w).

        Returns:
            The image, not clamped, (B, 3, 32h, 32w) with three stages.
        """
        return super().synthesis(self.idwt(y_hat))

    def band_parameters(self, hyper: Tensor) -> list[Tensor]:
        """Give each band its hyper parameters.

        Args:
            hyper: what the hyper decoder gives, (B, 2M, 2h, 2w).

        Returns:
            Scales, then means, of LL, LH, HL and HH, (B, 2M, h, w) each.
        """
        return [F.avg_pool2d(hyper, 2)] * 4

    def code_latents(self, hyper: Tensor, coder: StepCoder) -> Tensor:
        """Code the four bands.

        Args:
            hyper: what the hyper decoder gives.
            coder: quantises, reads or otherwise supplies the latents of each step.

        Returns:
            The decoded bands, (B, 4M, h, w).
        """
        low, *high = self.band_parameters(hyper)
        bands = [self.code_band(0, low, coder, None)]
        prior = self.prior_of_high_bands(bands[0], coder)
        bands += [self.code_band(number, parameters, coder, prior) for number, parameters in enumerate(high, 1)]
        return torch.cat(bands, dim=1)

    def prior_of_high_bands(self, low: Tensor, coder: StepCoder) -> Tensor:
        """What the high bands may know of the decoded low one.

        Args:
            low: (B, M, h, w).
            coder: of this pass.

        Returns:
            Tensor (B, M, h, w).
        """
        return low

    def code_band(self, number: int, parameters: Tensor, coder: StepCoder, prior: Tensor | None) -> Tensor:
        """Code one band.

        Args:
            number: of the band: LL, LH, HL, HH.
            parameters: its hyper parameters, (B, 2M, h, w).
            coder: of this pass.
            prior: of the high bands, (B, M, h, w); None for the low one.

        Returns:
            The decoded band, (B, M, h, w).
        """
        pyramid = None if prior is None else (F.avg_pool2d(prior, 4), F.avg_pool2d(prior, 2), prior)
        return self.walk(parameters, coder, pyramid, first=number * parameters[0].numel() // 2)

    def enter_scale(self, number: int, scale: Scale, context: Tensor | None, hyper: Tensor, state: Prior) -> Tensor:
        """As of the base; where scale 3 is skipped its context is the hyper parameters.

        Args:
            number: of the scale, 0 to 2.
            scale: its positions.
            context: last one of the scale before, (B, 2M, ., .); None for scale 0.
            hyper: hyper parameters of the band, (B, 2M, H, W).
            state: prior at the size of each scale, (B, M, ., .); None for the low band.

        Returns:
            Tensor (B, 2M, h, w) of the scale's own h and w.
        """
        if number == 2 and state and self.skip_s3_for_hf:
            return hyper
        return super().enter_scale(number, scale, context, hyper, state)

    def predict(self, number: int, i: int, context: Tensor, latents: Tensor, state: Prior) -> Tensor:
        """As of the base, with the prior added to the latents; where scale 3 is skipped its context alone.

        Args:
            number: of the scale, 0 to 2.
            i: of the step in it; (0, 0) is not predicted.
            context: (B, 2M, h, w).
            latents: of the band, (B, M, h, w), zero where not decoded.
            state: prior at the size of each scale, (B, M, ., .); None for the low band.

        Returns:
            Scales, then means, (B, 2M, h, w).
        """
        if number == 2 and state and self.skip_s3_for_hf:
            return context
        if state:
            latents = latents + state[number]
        return super().predict(number, i, context, latents, state)

    def next_context(self, number: int, i: int, parameters: Tensor, context: Tensor, state: Prior) -> Tensor:
        """As of the base, unless nothing reads it.

        Args:
            number: of the scale, 0 to 2.
            i: of the step in it.
            parameters: what was predicted for step ``i``, (B, 2M, h, w).
            context: what it saw, in the same shape.
            state: prior at the size of each scale, (B, M, ., .); None for the low band.

        Returns:
            Tensor (B, 2M, h, w); ``context`` itself where nothing reads the next one.
        """
        if state and self.skip_s3_for_hf and (number, i) >= (1, STEPS[1] - 1):  # what follows does not read it
            return context
        return super().next_context(number, i, parameters, context, state)


class WeConvPhase2(WeConvPhase1):
    """Phase 2: in the innermost stage of g_a and g_s every second block is a wavelet block.

    Args:
        use_simple_weconv: the simple block, not the full one.
        options: those of phase 1; ``stages`` has two or more.
    """

    least_stages = 2

    def __init__(self, use_simple_weconv: bool = True, **options: Any) -> None:
        check_flags(use_simple_weconv=use_simple_weconv)
        self.weconv = WeConvSimple if use_simple_weconv else WeConv
        super().__init__(**options)

    def mixed_blocks(self, width: int, number: int, weconv_first: bool = False) -> list[nn.Module]:
        """Make residual and wavelet blocks in turn.

        Args:
            width: channels.
            number: of blocks.
            weconv_first: begin with a wavelet block.
        """
        return [(self.weconv if i % 2 != weconv_first else PConvRB)(width) for i in range(number)]

    def transforms(self, stages: Stages) -> tuple[nn.Module, nn.Module]:
        """As of the base, with wavelet blocks in the innermost stage, as parts called stage1, stage2, ...

        Args:
            stages: (width, blocks) from the image inwards, two or more.

        Returns:
            g_a, image (B, 3, H, W) to latents (B, M, H/16, W/16) with three stages, and g_s, the way back.
        """
        widths, depths = zip(*stages)
        inner, depth = widths[-1], depths[-1]
        analysis = [*outer_analysis(widths, depths),
                    nn.Sequential(down2(widths[-2], inner), *self.mixed_blocks(inner, depth)), down2(inner, self.M)]
        synthesis = [up2(self.M, inner), nn.Sequential(*self.mixed_blocks(inner, depth, weconv_first=True)),
                     *outer_synthesis(widths, depths)]
        return in_stages(analysis), in_stages(synthesis)


class WeConvPhase3(WeConvPhase2):
    """Phase 3: hyper transforms over wavelet bands, with hyper-latents at half the side.

    The hyper decoder ends at the size of the bands, so the pooling of phase 1 is left out. ``hyper_blocks`` has no
    effect.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.hyper_stride = 8 * self.latent_stride

    def hyper_transforms(self, blocks: tuple[int, int, int, int]) -> tuple[nn.Module, nn.Module]:
        """Build the hyper transforms over bands.

        Args:
            blocks: has no effect.

        Returns:
            h_a, latents (B, M, H, W) to (B, N, H/8, W/8), and h_s, these to hyper parameters (B, 2M, H/2, W/2).
        """
        return WaveletHyperAnalysis(self.M, self.N, self.weconv), WaveletHyperSynthesis(self.M, self.N, self.weconv)

    def band_parameters(self, hyper: Tensor) -> list[Tensor]:
        """Give each band the same hyper parameters.

        Args:
            hyper: what the hyper decoder gives, (B, 2M, h, w).

        Returns:
            Scales, then means, of LL, LH, HL and HH, (B, 2M, h, w) each.
        """
        return [hyper] * 4
