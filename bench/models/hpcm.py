"""HPCM: the base of the family, HPCM-Base by default (arXiv 2507.19125), and the 1B model (arXiv 2508.09075)."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from bench.models.context import HierarchicalContext
from bench.models.layers import Branch, down2, down4, residual_blocks, up2, up4
from bench.models.options import check_counts, check_positive, check_whole, divisors

Stages = tuple[tuple[int, int], ...]  # (width, residual blocks) of each stage, from the image inwards


class HPCM(HierarchicalContext):
    """The family's base (arXiv 2507.19125, ICCV 2025). Widths and depths are options; the defaults are HPCM-Base.

    Args:
        M, N: channels of latents and hyper-latents.
        stages: (width, blocks) of the stages of g_a, mirrored in g_s; each stage halves the image's sides.
        hyper_blocks: blocks in h_a before and after its first downsampling, in h_s before and after its
            last upsampling.
        prior_s1_s2, prior_s3, adaptor_depths, expansion, head_width: see
            :meth:`HierarchicalContext.build_context`.

    Raises:
        ValueError: an impossible value.
    """

    least_stages = 1
    fill_missing = {"adaptive_params_list.": 1.0}  # forks keep them outside the state dict, always one

    def __init__(
        self,
        M: int = 320,
        N: int = 256,
        stages: Stages = ((96, 2), (192, 2), (384, 4)),
        hyper_blocks: tuple[int, int, int, int] = (1, 3, 3, 1),
        prior_s1_s2: tuple[int, ...] = (2, 1),
        prior_s3: tuple[int, ...] = (3, 2),
        adaptor_depths: tuple[int, int, int] | None = None,
        expansion: float = 2,
        head_width: int | None = 20,
    ) -> None:
        super().__init__()
        check_whole(M=M, N=N)
        check_positive(expansion=expansion)
        check_stages(stages, self.least_stages)
        check_counts("hyper_blocks", hyper_blocks, (4,))
        for name, depths in (("prior_s1_s2", prior_s1_s2), ("prior_s3", prior_s3)):
            check_counts(name, depths, (2, 3))
        if adaptor_depths is not None:
            check_counts("adaptor_depths", adaptor_depths, (3,))
        if M % 8:
            raise ValueError(f"M must be a multiple of 8, not {M}")
        if head_width is not None and (type(head_width) is not int or head_width < 1 or 2 * M % head_width):
            raise ValueError(f"head_width must be null or divide 2M = {2 * M} ({divisors(2 * M)}), not {head_width!r}")

        self.M, self.N = M, N
        self.build_context(tuple(prior_s1_s2), tuple(prior_s3), adaptor_depths, expansion, head_width)

        self.latent_stride = 2 ** (len(stages) + 1)
        self.hyper_stride = 4 * self.latent_stride
        self.padding_multiple = 16 * self.latent_stride  # scale 1 has windows of 4x4 on a quarter of the latents

        self.build_transforms(stages, hyper_blocks)
        self.build_entropy_models()

    def build_transforms(self, stages: Stages, hyper_blocks: tuple[int, int, int, int]) -> None:
        """Add the transforms under their published names.

        Args:
            stages, hyper_blocks: see :class:`HPCM`.
        """
        self.g_a, self.g_s = self.transforms(stages)
        self.h_a, self.h_s = self.hyper_transforms(hyper_blocks)

    def transforms(self, stages: Stages) -> tuple[nn.Module, nn.Module]:
        """Build g_a, image (B, 3, H, W) to latents (B, M, H/16, W/16) with three stages, and g_s, the way back.

        Args:
            stages: (width, blocks) from the image inwards.

        Returns:
            g_a and g_s.
        """
        widths = [width for width, _ in stages]
        strided = [down4(3, widths[0]), *(down2(a, b) for a, b in zip(widths, [*widths[1:], self.M]))]
        upsampling = [*(up2(b, a) for a, b in zip(widths, [*widths[1:], self.M])), up4(widths[0], 3)]

        analysis: list[nn.Module] = [strided[0]]
        synthesis: list[nn.Module] = []
        for stage, down in zip(stages, strided[1:]):
            analysis += [*residual_blocks(*stage), down]

        for stage, up in zip(reversed(stages), reversed(upsampling[:-1])):
            synthesis += [up, *residual_blocks(*stage)]

        return Branch(*analysis), Branch(*synthesis, upsampling[-1])

    def hyper_transforms(self, blocks: tuple[int, int, int, int]) -> tuple[nn.Module, nn.Module]:
        """Build h_a, latents (B, M, h, w) to hyper-latents (B, N, h/4, w/4), and h_s, these to (B, 2M, h, w).

        Args:
            blocks: ``hyper_blocks``, see :class:`HPCM`.

        Returns:
            h_a and h_s.
        """
        M, N = self.M, self.N
        first, second, third, last = blocks
        h_a = Branch(*residual_blocks(M, first), down2(M, N), *residual_blocks(N, second), down2(N, N))
        h_s = Branch(up2(N, N), *residual_blocks(N, third), up2(N, 2 * M), *residual_blocks(2 * M, last))
        return h_a, h_s


class HPCM1B(HPCM):
    """The one-billion-parameter model (arXiv 2508.09075): the schedule of HPCM without attention, other networks."""

    def transforms(self, stages: Stages) -> tuple[nn.Module, nn.Module]:
        """As of the base, for three stages; four downsamplings by 2 under published names.

        Args:
            stages: (width, blocks) of three stages; the third's blocks are not read.

        Returns:
            g_a, (B, 3, H, W) to (B, M, H/16, W/16), and g_s, the way back.
        """
        (a, depth), (b, deep), (c, _) = stages
        M = self.M

        def chunk(width: int, number: int) -> nn.Sequential:
            return nn.Sequential(*residual_blocks(width, number, ratio=2))

        analysis = {
            "g_a_down1": down2(3, a), "g_a_chunk1": chunk(a, depth), "g_a_down2": down2(a, b),
            "g_a_chunk2": chunk(b, deep), "g_a_down3": down2(b, c), "g_a_chunk3": chunk(c, depth),
            "g_a_down4": down2(c, M), "g_a_chunk4": chunk(M, depth),
        }
        synthesis = {
            "g_s_chunk4": chunk(M, depth), "g_s_up4": up2(M, c), "g_s_chunk3": chunk(c, deep),
            "g_s_up3": up2(c, b), "g_s_chunk2": chunk(b, depth), "g_s_up2": up2(b, a),
            "g_s_chunk1": chunk(a, depth), "g_s_up1": up2(a, 3),
        }
        return nn.Sequential(OrderedDict(analysis)), nn.Sequential(OrderedDict(synthesis))

    def hyper_transforms(self, blocks: tuple[int, int, int, int]) -> tuple[nn.Module, nn.Module]:
        """As of the base, with M channels before the hyper-latents.

        Args:
            blocks: ``hyper_blocks``, see :class:`HPCM`.

        Returns:
            h_a, (B, M, h, w) to (B, N, h/4, w/4), and h_s, these to (B, 2M, h, w).
        """
        M, N = self.M, self.N
        first, second, third, last = blocks
        h_a = nn.Sequential(*residual_blocks(M, first, 2), down2(M, M), *residual_blocks(M, second, 2), down2(M, N))
        h_s = nn.Sequential(up2(N, M), *residual_blocks(M, third, 2), up2(M, 2 * M), *residual_blocks(2 * M, last, 2))
        return h_a, h_s


def check_stages(stages: Stages, least: int) -> None:
    """Check that stages are pairs of a width and a number of blocks.

    Args:
        stages: what is checked.
        least: fewest stages allowed.

    Raises:
        ValueError: they are not.
    """
    if not isinstance(stages, (list, tuple)) or len(stages) < least:
        raise ValueError(f"stages must be {least} or more (width, blocks), not {stages!r}")
    for stage in stages:
        check_counts("a stage's width and blocks", stage, (2,))
        check_whole(**{"a stage's width": stage[0]})
