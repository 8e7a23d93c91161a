"""The RWKV line: HPCM with linear-complexity mixing in cells, fusion and priors (yutendo0714/LIC-HPCM-LALIC).

The four phases replace, one after another, the attention of scale 3, that of scales 1 and 2, the fusion between
scales, and the spatial priors; a phase is a choice of options (``bench/models/__init__.py``).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench.models.context import SpatialPrior
from bench.models.hpcm import HPCM
from bench.models.options import check_whole
from bench.models.pointwise import Conv1x1
from bench.models.rwkv_layers import MERGED, MixingBlock
from bench.models.tabled_codec import TABLE_BUFFERS


class ContextCell(MixingBlock):
    """Joins new parameters and running context to the next context, in place of the base's attention.

    Args:
        width: channels of each.
        rate: hidden rate, see :class:`bench.models.rwkv_layers.PointwiseMix`.
        options: those of :class:`bench.models.rwkv_layers.MixingBlock`.
    """

    def __init__(self, width: int, rate: float, **options: Any) -> None:
        super().__init__(width, rate, **options)
        self.input_proj = Conv1x1(2 * width, width)
        self.output_proj = Conv1x1(width, width)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Join parameters and context to the next context.

        Args:
            x: new parameters, (B, width, H, W).
            h: running context, (B, width, H, W).

        Returns:
            The next context, (B, width, H, W).
        """
        return self.output_proj(self.mix_map(self.input_proj(torch.cat((x, h), dim=1))))


class RWKV(HPCM):
    """HPCM whose networks are replaced, one by one, by RWKV mixing blocks.

    ``padding_multiple`` stays 256, as in the published evaluation: decay and boost are divided by the number of
    tokens, so results depend on the padded size. Where no cross-attention is left (phases 2 to 4), sides that are
    multiples of 128 can be coded too.

    Parameter counts are the published ones without ``conv5x5_reparam``, which is derived here, plus 9 600 for the
    ten adaptive vectors, which the published code leaves out of its state dict.

    Args:
        cell_rates: hidden rate of the cell of each of the three scales, None for the base's cross-attention.
        fusion_rate, fusion_blocks: hidden rate of the fusion between scales, None for the base's 1x1
            convolution, and its number of blocks.
        prior_rate: hidden rate of the blocks of both spatial priors, None for the base's DWConvRB; their
            numbers are the base's ``prior_s1_s2`` and ``prior_s3``.
        runs: runs of the Bi-WKV operator.
        use_checkpoint: compute blocks again in the backward pass instead of keeping their activations.

    Raises:
        ValueError: an impossible value.
    """

    rebuilt = (*TABLE_BUFFERS, MERGED)
    native_operators = ("biwkv",)

    def __init__(
        self,
        cell_rates: Sequence[float | None] = (2, 3, 4),
        fusion_rate: float | None = None,
        fusion_blocks: int = 1,
        prior_rate: float | None = None,
        runs: int = 32,
        use_checkpoint: bool = False,
        **options: Any,
    ) -> None:
        if not isinstance(cell_rates, (list, tuple)) or len(cell_rates) != 3:
            raise ValueError(f"cell_rates must be three hidden rates or None, one a scale, not {cell_rates}")
        check_whole(fusion_blocks=fusion_blocks)
        if options.get("head_width", 20) is None:
            raise ValueError("head_width can't be None here: that leaves out the cells; give a number of channels")

        self.cell_rates, self.prior_rate = cell_rates, prior_rate
        self.fusion_rate, self.fusion_blocks = fusion_rate, fusion_blocks
        self.block_options: dict[str, Any] = {"runs": runs, "use_checkpoint": use_checkpoint}
        super().__init__(**options)

    def build_attention(self, number: int) -> nn.Module:
        """As of the base, or a cell where the scale has a hidden rate.

        Args:
            number: index of the scale in ``cell_rates``, from 0.

        Returns:
            The base's attention, or a :class:`ContextCell` of 2M channels.
        """
        rate = self.cell_rates[number]
        if rate is None:
            return super().build_attention(number)
        return ContextCell(2 * self.M, rate, **self.block_options)

    def build_fusion(self) -> nn.Module:
        """As of the base, or mixing blocks before its convolution where there is a hidden rate."""
        if self.fusion_rate is None:
            return super().build_fusion()
        blocks = self._blocks(2 * self.M, self.fusion_rate, self.fusion_blocks)
        return nn.Sequential(OrderedDict(blocks=nn.Sequential(*blocks), out_proj=super().build_fusion()))

    def build_prior(self, depths: tuple[int, ...]) -> nn.Module:
        """As of the base, or mixing blocks where there is a hidden rate.

        Args:
            depths: numbers of blocks; with a hidden rate two, before and after the adaptive vector.

        Returns:
            The base's prior, or one of mixing blocks, from 3M to 2M channels.

        Raises:
            ValueError: there is a hidden rate, and not two depths.
        """
        if self.prior_rate is None:
            return super().build_prior(depths)
        if len(depths) != 2:
            raise ValueError(f"a prior of RWKV blocks has two depths, before and after the vector, not {depths}")
        before, after = (self._blocks(3 * self.M, self.prior_rate, depth) for depth in depths)
        return SpatialPrior(before, [*after, Conv1x1(3 * self.M, 2 * self.M)])

    def _blocks(self, width: int, rate: float, number: int) -> list[nn.Module]:
        """Make ``number`` mixing blocks of one width and hidden rate."""
        return [MixingBlock(width, rate, **self.block_options) for _ in range(number)]
