"""The hierarchical progressive context model of HPCM (arXiv 2507.19125, section 3.3).

:meth:`HierarchicalContext.walk` is the one walk over scales and steps. Variants change the small methods that
it calls and the networks that it uses; only WeConv's phase 5, which has no scales, has a walk of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench.models.coders import StepCoder
from bench.models.hyperprior import HyperpriorCodec
from bench.models.lattice import Scale, lattice
from bench.models.layers import DWConvRB, WindowCrossAttention
from bench.models.pointwise import Conv1x1

STEPS = (2, 3, 6)  # coded steps of each scale


class SpatialPrior(nn.Module):
    """Network from adapted context to entropy parameters: ``branch_2(branch_1(x) * q)``.

    Args:
        branch_1, branch_2: layers before and after the product.
    """

    def __init__(self, branch_1: Sequence[nn.Module], branch_2: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branch_1 = nn.Sequential(*branch_1)
        self.branch_2 = nn.Sequential(*branch_2)

    def forward(self, x: Tensor, q: Tensor) -> Tensor:
        """Adapted context to entropy parameters.

        Args:
            x: adapted context, (B, 3M, h, w).
            q: scale of each channel, (1, 3M, 1, 1).

        Returns:
            Scales, then means, (B, 2M, h, w).
        """
        return self.branch_2(self.branch_1(x) * q)


class HierarchicalContext(HyperpriorCodec):
    """Context model for latents of ``M`` channels; a base class, so that names stay those of checkpoints.

    Attributes:
        attention_type: of what joins parameters and context.
        windows: side of the attention's windows at each scale.
    """

    attention_type: type[WindowCrossAttention] = WindowCrossAttention
    windows: tuple[int, int, int] = (4, 8, 8)

    def build_context(
        self,
        prior_s1_s2: tuple[int, ...],
        prior_s3: tuple[int, ...],
        adaptor_depths: tuple[int, int, int] | None,
        expansion: float,
        head_width: int | None,
    ) -> None:
        """Add the networks.

        Args:
            prior_s1_s2, prior_s3: blocks in the spatial priors, see :meth:`build_prior`.
            adaptor_depths: DWConvRB in each adaptor of the three scales, or None for one 1x1 convolution.
            expansion: hidden width of the DWConvRB over their width.
            head_width: channels of an attention head, or None for a model without attention.
        """
        M = self.M
        self.expansion, self.head_width = expansion, head_width

        def adaptor(scale: int) -> nn.Module:
            if adaptor_depths is None:
                return Conv1x1(3 * M, 3 * M)
            return nn.Sequential(*(DWConvRB(3 * M, expansion) for _ in range(adaptor_depths[scale])))

        self.y_spatial_prior_adaptor_list_s1 = nn.ModuleList([adaptor(0)])
        self.y_spatial_prior_adaptor_list_s2 = nn.ModuleList([adaptor(1) for _ in range(3)])
        self.y_spatial_prior_adaptor_list_s3 = nn.ModuleList([adaptor(2) for _ in range(6)])
        self.y_spatial_prior_s1_s2 = self.build_prior(prior_s1_s2)
        self.y_spatial_prior_s3 = self.build_prior(prior_s3)
        self.adaptive_params_list = nn.ParameterList([nn.Parameter(torch.ones(1, 3 * M, 1, 1)) for _ in range(10)])
        self.context_net = nn.ModuleList([self.build_fusion() for _ in range(2)])
        if head_width is not None:
            self.heads = 2 * M // head_width
            self.attn_s1, self.attn_s2, self.attn_s3 = (self.build_attention(number) for number in range(3))

    def build_prior(self, depths: tuple[int, ...]) -> nn.Module:
        """Build a network from adapted context (B, 3M, h, w) and q to scales and means (B, 2M, h, w).

        Args:
            depths: DWConvRB before q, after q, and (1B only) after the projection to 2M channels.
        """
        before, after, *final = depths
        wide = [DWConvRB(3 * self.M, self.expansion) for _ in range(before + after)]
        narrow = [DWConvRB(2 * self.M, self.expansion) for _ in range(sum(final))]
        return SpatialPrior(wide[:before], [*wide[before:], Conv1x1(3 * self.M, 2 * self.M), *narrow])

    def build_fusion(self) -> nn.Module:
        """Build a network over the context on its way to the next scale: (B, 2M, h, w) to the same shape."""
        return Conv1x1(2 * self.M, 2 * self.M)

    def build_attention(self, number: int) -> nn.Module:
        """Build what joins new parameters and running context, (B, 2M, h, w) each, to the next context.

        Args:
            number: of the scale, 0 to 2.
        """
        return self.attention_type(2 * self.M, self.windows[number], self.heads)

    def code_latents(self, hyper: Tensor, coder: StepCoder) -> Tensor:
        """Code all latents, see :meth:`bench.models.hyperprior.HyperpriorCodec.code_latents`.

        Args:
            hyper: (B, 2M, H, W), what the hyper decoder gives: scales, then means.
            coder: quantises, reads or otherwise supplies the latents of each step.

        Returns:
            The reconstructed latents, (B, M, H, W).
        """
        return self.walk(hyper, coder, self.new_state(coder))

    def walk(self, hyper: Tensor, coder: StepCoder, state: Any, first: int = 0) -> Tensor:
        """Code one plane of latents step by step.

        Args:
            hyper: (B, 2M, H, W), what the hyper decoder gives: scales, then means.
            coder: quantises, reads or otherwise supplies the latents of each step.
            state: what this pass remembers, handed to every hook.
            first: position of the plane's first value in all that the coder codes.

        Returns:
            The reconstructed latents, (B, M, H, W).
        """
        batch = len(hyper)
        context, latents = None, hyper.new_empty(batch, 0)

        for number, scale in enumerate(lattice(self.M, *hyper.shape[2:], hyper.device)):
            context = self.enter_scale(number, scale, context, hyper, state)
            parameters = context
            latents = hyper.new_zeros(batch, scale.context.numel()).index_copy(1, scale.known, latents)

            for i, step in enumerate(scale.steps):
                if (number, i) != (0, 0):
                    parameters = self.predict(number, i, context, latents.view(batch, *scale.shape), state)
                    if not (number == 2 and i == len(scale.steps) - 1):  # nothing reads the last context
                        context = self.next_context(number, i, parameters, context, state)

                coded = coder.code(step.source + first, *self.packed(parameters, step.index))
                latents = latents.index_copy(1, step.index, coded)

        return latents.view(batch, *scale.shape)

    def new_state(self, coder: StepCoder) -> Any:
        """Return what one coding pass remembers between its steps; the base remembers nothing.

        Args:
            coder: of the pass.
        """
        return None

    def enter_scale(self, number: int, scale: Scale, context: Tensor | None, hyper: Tensor, state: Any) -> Tensor:
        """Make the first context of a scale: that of the scale before, completed by hyper parameters.

        Args:
            number: of the scale, 0 to 2.
            scale: its positions.
            context: last one of the scale before, (B, 2M, ., .); None for scale 0.
            hyper: (B, 2M, H, W), what the hyper decoder gives.
            state: of the pass.

        Returns:
            Tensor (B, 2M, h, w) of the scale's own h and w.
        """
        halves = hyper.reshape(2 * len(hyper), -1)
        if context is not None:
            halves = torch.cat((context.reshape(len(halves), -1), halves), dim=1)
        entered = halves.index_select(1, scale.context).view(len(hyper), 2 * self.M, *scale.shape[1:])
        return entered if number == 0 else self.context_net[number - 1](entered)

    def predict(self, number: int, i: int, context: Tensor, latents: Tensor, state: Any) -> Tensor:
        """Predict a step from what is decoded so far.

        Adaptors of scales 2 and 3 are used in a rotated order: published checkpoints were trained so.

        Args:
            number: of the scale, 0 to 2.
            i: of the step in it; (0, 0) is not predicted.
            context: (B, 2M, h, w).
            latents: (B, M, h, w), zero where not decoded.
            state: of the pass.

        Returns:
            Scales, then means, (B, 2M, h, w).
        """
        adaptors = (self.y_spatial_prior_adaptor_list_s1, self.y_spatial_prior_adaptor_list_s2,
                    self.y_spatial_prior_adaptor_list_s3)[number]
        # In one format torch joins them in it, which is the one of the convolution.
        latents = latents.contiguous(memory_format=torch.channels_last)
        adapted = adaptors[(i - 1) % len(adaptors)](torch.cat((context, latents), dim=1))
        prior = self.y_spatial_prior_s3 if number == 2 else self.y_spatial_prior_s1_s2
        return prior(adapted, self.adaptive_params_list[sum(STEPS[:number]) + i - 1])

    def next_context(self, number: int, i: int, parameters: Tensor, context: Tensor, state: Any) -> Tensor:
        """Make the context that the step after step ``i`` of a scale sees.

        Args:
            number: of the scale, 0 to 2.
            i: of the step in it.
            parameters: what was predicted for step ``i``, (B, 2M, h, w).
            context: what it saw, in the same shape.
            state: of the pass.

        Returns:
            Tensor (B, 2M, h, w).
        """
        if self.head_width is None:
            return parameters
        return (self.attn_s1, self.attn_s2, self.attn_s3)[number](parameters, context)

    def packed(self, parameters: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Gather scales and means of the positions of one step.

        Args:
            parameters: (B, 2M, h, w).
            index: int64 (n,), positions in the flattened (M, h, w).

        Returns:
            Scales and means, (B, n) each.
        """
        scales, means = parameters.reshape(len(parameters), 2, -1).unbind(1)
        return scales.index_select(1, index), means.index_select(1, index)
