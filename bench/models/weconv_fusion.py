"""The WeConv line, phases 4 and 5, in the decodable form of what their published classes are meant to do.

Fusion and gate need the undecoded high bands, so they belong to the encoder; the context of the decoded low band is
the prior of the others; quantisation steps scale the bands before they are coded.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from bench.models.bands import (
    AdaptiveMultiResolutionContext,
    AdaptiveQuantisation,
    ChannelwiseFrequencyGate,
    EnhancedContext,
    FrequencyAttentionFusion,
    LightweightEnhancedContext,
    LightweightMultiResolutionContext,
    LLContextEncoder,
    MultiResolutionContext,
)
from bench.models.coders import StepCoder
from bench.models.hpcm import Stages
from bench.models.layers import down2, up2
from bench.models.options import check_flags, check_whole, divisors
from bench.models.wavelet_transforms import (
    SplitHyperAnalysis,
    SplitHyperSynthesis,
    in_stages,
    outer_analysis,
    outer_synthesis,
    pointwise,
)
from bench.models.wavelets import BANDS, split_bands
from bench.models.weconv import Prior, WeConvPhase2

GROUPS = {2: (((0, 0), (1, 1)), ((0, 1), (1, 0))), 4: (((0, 0),), ((0, 1),), ((1, 0),), ((1, 1),))}


class WeConvPhase4(WeConvPhase2):
    """Phase 4: the encoder fuses and gates the high bands; hyper parameters and a quantisation step for each band.

    Its published ``forward`` can't run; ``hyper_blocks`` has no effect.

    Args:
        use_adaptive_quant: learn a quantisation step for each band, instead of 1.
        attention_heads: of the fusion and the low band's context; divides M.
        options: those of phase 2.
    """

    rebuilt = (*WeConvPhase2.rebuilt, "num_batches_tracked")
    float32_parts = ("g_a_weconv", "g_s_weconv", "h_a_wavelet", "dwt", "idwt", "channel_gate",
                     *(f"freq_attention_{band}" for band in BANDS[1:]))

    def __init__(self, use_adaptive_quant: bool = True, attention_heads: int = 8, **options: Any) -> None:
        check_flags(use_adaptive_quant=use_adaptive_quant)
        super().__init__(**options)

        M = self.M
        if type(attention_heads) is not int or attention_heads < 1 or M % attention_heads:
            raise ValueError(f"attention_heads must divide M = {M} ({divisors(M)}), not be {attention_heads!r}")

        self.ll_context_encoder = LLContextEncoder(M, attention_heads)
        for band in BANDS[1:]:
            self.add_module(f"freq_attention_{band}", FrequencyAttentionFusion(M, attention_heads))
        self.channel_gate = ChannelwiseFrequencyGate(M)
        self.adaptive_quant = AdaptiveQuantisation() if use_adaptive_quant else None
        self.param_aggregator_ll, self.param_aggregator_hf = (pointwise(2 * M, 2 * M, 2 * M) for _ in range(2))

    def build_transforms(self, stages: Stages, hyper_blocks: tuple[int, int, int, int]) -> None:
        check_whole(least=2, N=self.N)

        widths, depths = zip(*stages)
        inner, depth = widths[-1], depths[-1] + 1
        analysis = [*outer_analysis(widths, depths),
                    nn.Sequential(down2(widths[-2], inner), *self.mixed_blocks(inner, depth), down2(inner, self.M))]
        synthesis = [nn.Sequential(up2(self.M, inner), *self.mixed_blocks(inner, depth)),
                     *outer_synthesis(widths, depths)]

        self.g_a_weconv, self.g_s_weconv = in_stages(analysis), in_stages(synthesis)
        self.h_a_wavelet, self.h_s_wavelet = SplitHyperAnalysis(self.M, self.N), SplitHyperSynthesis(self.M, self.N)

    def analysis(self, x: Tensor) -> Tensor:
        return self.g_a_weconv(x)

    def synthesis(self, y_hat: Tensor) -> Tensor:
        return self.g_s_weconv(self.idwt(y_hat))

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self.h_a_wavelet(y)

    def hyper_synthesis(self, z_hat: Tensor) -> Tensor:
        return self.h_s_wavelet(z_hat)

    def band_parameters(self, hyper: Tensor) -> list[Tensor]:
        """Give each band its own hyper parameters.

        Args:
            hyper: what the hyper decoder gives, (B, 8M, h, w).

        Returns:
            Scales, then means, of LL, LH, HL and HH, (B, 2M, h, w) each.
        """
        low, *high = hyper.chunk(4, dim=1)
        return [self.param_aggregator_ll(low), *map(self.param_aggregator_hf, high)]

    def code_latents(self, hyper: Tensor, coder: StepCoder) -> Tensor:
        """As of the phases before; the encoder first brings the low band to units of its step.

        Args:
            hyper: what the hyper decoder gives, (B, 8M, h, w).
            coder: quantises, reads or otherwise supplies the latents of each step.

        Returns:
            The decoded bands, (B, 4M, h, w).
        """
        coder.adjust(self.scale_low_band)
        return super().code_latents(hyper, coder)

    def prior_of_high_bands(self, low: Tensor, coder: StepCoder) -> Tensor:
        """The low band's context; the encoder then fuses the high bands with it.

        Args:
            low: the decoded low band, (B, M, h, w).
            coder: of this pass.

        Returns:
            Tensor (B, M, h, w).
        """
        context = self.ll_context_encoder(low)
        coder.adjust(lambda bands: self.fuse_high_bands(bands, context))
        return context

    def code_band(self, number: int, parameters: Tensor, coder: StepCoder, prior: Tensor | None) -> Tensor:
        """As of the phases before, back in the band's own units.

        Args:
            number: of the band: LL, LH, HL, HH.
            parameters: its hyper parameters, (B, 2M, h, w).
            coder: of this pass.
            prior: of the high bands, (B, M, h, w); None for the low one.

        Returns:
            The decoded band, (B, M, h, w).
        """
        return self.quantisation_steps()[number] * super().code_band(number, parameters, coder, prior)

    def quantisation_steps(self) -> list[Tensor] | tuple[int, ...]:
        """The steps of LL, LH, HL and HH."""
        return self.adaptive_quant() if self.adaptive_quant is not None else (1, 1, 1, 1)

    def scale_low_band(self, bands: Tensor) -> Tensor:
        """Encoder only: bring the low band to units of its step.

        Args:
            bands: (B, 4M, h, w).

        Returns:
            Tensor (B, 4M, h, w), the high bands as they were.
        """
        low, high = split_bands(bands)
        return torch.cat((low / self.quantisation_steps()[0], high), dim=1)

    def fuse_high_bands(self, bands: Tensor, context: Tensor) -> Tensor:
        """Encoder only: fuse the high bands with the context, gate them, and bring them to units of their steps.

        Args:
            bands: (B, 4M, h, w).
            context: of the decoded low band, (B, M, h, w).

        Returns:
            Tensor (B, 4M, h, w), the low band as it was.
        """
        low, *high = bands.chunk(4, dim=1)
        context = context.to(bands)  # of another precision in an exact model
        fusions = [self.get_submodule(f"freq_attention_{band}") for band in BANDS[1:]]
        gated = self.channel_gate([fusion(band, context) for fusion, band in zip(fusions, high)])
        scaled = [band / step for band, step in zip(gated, self.quantisation_steps()[1:])]
        return torch.cat((low, *scaled), dim=1)


class WeConvPhase5(WeConvPhase4):
    """Phase 5: in place of the three scales, the positions of a band are coded in two or four groups.

    The only variant with a walk of its own, which forward pass, encoder and decoder share as the others do theirs.

    Multiples of 128 suffice for the sides; ``padding_multiple`` is that of the line. Options of the networks of the
    three scales have no effect.

    Args:
        num_checkerboard_groups: 2 or 4; with ``skip_s3_for_hf`` the high bands have 2.
        use_enhanced_context: a context network each for the low and the high bands, instead of the base's prior.
        lightweight_context: smaller context networks.
        adaptive_context: weigh the three resolutions by what is decoded; no published class selects it.
        options: those of phase 4.
    """

    def __init__(self, num_checkerboard_groups: int = 4, use_enhanced_context: bool = True,
                 lightweight_context: bool = False, adaptive_context: bool = False, **options: Any) -> None:
        check_flags(use_enhanced_context=use_enhanced_context, lightweight_context=lightweight_context,
                    adaptive_context=adaptive_context)
        if type(num_checkerboard_groups) is not int or num_checkerboard_groups not in (2, 4):
            raise ValueError(f"num_checkerboard_groups must be 2 or 4, not {num_checkerboard_groups!r}")
        if lightweight_context and adaptive_context:
            raise ValueError("lightweight_context and adaptive_context can't both be true")

        self.num_checkerboard_groups = num_checkerboard_groups
        self.use_enhanced_context, self.lightweight_context = use_enhanced_context, lightweight_context

        self.builder = MultiResolutionContext
        if lightweight_context:
            self.builder = LightweightMultiResolutionContext
        elif adaptive_context:
            self.builder = AdaptiveMultiResolutionContext

        super().__init__(**options)

    def build_context(self, prior_s1_s2: tuple[int, ...], prior_s3: tuple[int, ...],
                      adaptor_depths: tuple[int, int, int] | None, expansion: float, head_width: int | None) -> None:
        self.expansion = expansion
        self.multi_res_builder = self.builder(self.M)
        if self.use_enhanced_context:
            network = LightweightEnhancedContext if self.lightweight_context else EnhancedContext
            self.enhanced_context_ll, self.enhanced_context_hf = network(self.M), network(self.M)
        else:
            self.y_spatial_prior_s1_s2 = self.build_prior(prior_s1_s2)

    def walk(self, hyper: Tensor, coder: StepCoder, state: Prior, first: int = 0) -> Tensor:
        """As of the base; the positions of a band are coded group by group.

        Args:
            hyper: hyper parameters of the band, scales, then means, (B, 2M, h, w), h and w even.
            coder: quantises, reads or otherwise supplies the latents of each group.
            state: prior at three sizes, of which the last, (B, M, h, w), is used; None for the low band.
            first: position of the band's first value in all that the coder codes.

        Returns:
            The decoded band, (B, M, h, w), in units of its step.
        """
        latents = hyper.new_zeros(len(hyper), hyper[0].numel() // 2)
        parameters, shape = hyper, (self.M, *hyper.shape[2:])
        groups = 2 if state and self.skip_s3_for_hf else self.num_checkerboard_groups

        for number, index in enumerate(checkerboard(shape, groups, hyper.device)):
            if number > 0:
                parameters = self.predict_group(latents.view(-1, *shape), hyper, state)
            coded = coder.code(index + first, *self.packed(parameters, index))
            latents = latents.index_copy(1, index, coded)
        return latents.view(-1, *shape)

    def predict_group(self, latents: Tensor, hyper: Tensor, state: Prior) -> Tensor:
        """Predict a group from what is decoded of a band.

        Args:
            latents: (B, M, h, w), zero where not decoded.
            hyper: hyper parameters of the band, (B, 2M, h, w).
            state: of the band.

        Returns:
            Scales, then means, (B, 2M, h, w).
        """
        context = self.multi_res_builder(latents + state[2] if state else latents)
        if not self.use_enhanced_context:
            return self.y_spatial_prior_s1_s2(torch.cat((hyper, context), dim=1), 1)
        network = self.enhanced_context_hf if state else self.enhanced_context_ll
        return network(torch.cat((context, hyper), dim=1))


@lru_cache(maxsize=16)
def checkerboard(shape: tuple[int, int, int], groups: int, device: torch.device) -> tuple[Tensor, ...]:
    """List the positions of each group of a checkerboard of 2x2 cells.

    Args:
        shape: (C, H, W) of the plane, H and W even.
        groups: 2 or 4.
        device: where the index tensors are.

    Returns:
        For each group int64 positions in the flattened plane, channel by channel in raster order.
    """
    positions = torch.arange(shape[0] * shape[1] * shape[2], device=device).view(shape)
    indices = []
    for cells in GROUPS[groups]:
        planes = [positions[:, row::2, column::2].flatten() for row, column in cells]
        indices.append(torch.cat(planes).sort().values)
    return tuple(indices)
