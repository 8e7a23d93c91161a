"""LALIC: linear attention modelling for learned image compression (CVPR 2025; sjtu-medialab/RwkvCompress).

The entropy model is CompressAI's space-channel context model, with RWKV networks inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from compressai.entropy_models import EntropyBottleneck
from compressai.latent_codecs import (
    ChannelGroupsLatentCodec,
    CheckerboardLatentCodec,
    GaussianConditionalLatentCodec,
    HyperLatentCodec,
    HyperpriorLatentCodec,
)
from compressai.layers import CheckerboardMaskedConv2d
from compressai.models import SimpleVAECompressionModel
from compressai.models.utils import conv, deconv, remap_old_keys
from torch import Tensor, nn

from bench.models.compressai_models import TABLES
from bench.models.exact_compressai import Edges, decode_streams, encode_streams, widen_networks
from bench.models.image_codec import DecodedImage, EncodedImage, ImageCodec, count_bits
from bench.models.options import check_counts, check_positive, check_whole
from bench.models.pointwise import Conv1x1
from bench.models.rwkv_layers import MERGED, GatedProjection, PreNormBlock

LATENTS_PER_HYPER = 4  # in each direction
CONTEXT_RATE = 8  # hidden rate of the blocks between channel groups


class CheckerboardConv(CheckerboardMaskedConv2d):
    """CompressAI's, without writing to its weight in the forward pass, which other threads may be reading."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve the neighbours of the other colour alone.

        Args:
            x: (B, C, H, W).

        Returns:
            Tensor (B, outputs, H, W).
        """
        return self._conv_forward(x, self.weight * self.mask, self.bias)


class LALIC(ImageCodec, SimpleVAECompressionModel):
    """LALIC with CompressAI's interface; the defaults are the published widths.

    Its 65 621 045 parameters are the published ones without ``conv5x5_reparam``, which is derived here.

    Args:
        N: half the least width inside the entropy-parameter networks.
        dims: channels of the three stages of g_a, of the latents, of the hyper transforms and of the hyper-latents.
        depths: blocks of the three stages of g_a and of the hyper transforms.
        groups: channels of the groups in which latents are coded; each group is coded knowing those before.
        rate: hidden rate of the blocks in all transforms.
        runs: runs of the Bi-WKV operator. Published checkpoints may have been trained with 64.
        use_checkpoint: compute blocks again in the backward pass instead of keeping their activations.

    Raises:
        ValueError: an impossible value.
    """

    hyper_stride = 64
    padding_multiple = 128  # as the published evaluation; hyper_stride would do
    rebuilt = (*TABLES, MERGED)
    native_operators = ("biwkv",)
    edges: Edges | None = None  # of an exact model

    def __init__(
        self,
        N: int = 128,
        dims: Sequence[int] = (96, 144, 256, 320, 256, 192),
        depths: Sequence[int] = (2, 4, 6, 6),
        groups: Sequence[int] = (16, 16, 32, 64, 192),
        rate: float = 4,
        runs: int = 32,
        use_checkpoint: bool = False,
    ) -> None:
        super().__init__()
        check_whole(N=N)
        check_counts("dims", dims, (6,), least=1)
        check_counts("depths", depths, (4,))
        check_counts("groups", groups, least=1)
        check_positive(rate=rate)
        if sum(groups) != dims[3]:
            raise ValueError(f"groups must add up to the latents' {dims[3]} channels, not {groups}")
        self.N, self.M, self.groups = N, dims[3], tuple(groups)
        self.stream_count = 2 * len(self.groups) + 1
        self.block_options: dict[str, Any] = {"runs": runs, "use_checkpoint": use_checkpoint}

        def transform(layer: Callable, widths: Sequence[int], kernels: Sequence[int], *depths: int) -> nn.Sequential:
            """Strided layers from width to width, with ``depths`` blocks after each but the last."""
            layers = []
            for a, b, kernel, depth in zip(widths, widths[1:], kernels, (*depths, 0)):
                layers += [layer(a, b, kernel), *self._blocks(b, rate, depth)]
            return nn.Sequential(*layers)

        first, second, third, M, hyper, hyper_latents = dims
        self.g_a = transform(conv, (3, first, second, third, M), (5, 3, 3, 3), *depths[:3])
        self.g_s = transform(deconv, (M, third, second, first, 3), (3, 3, 3, 5), *depths[2::-1])
        h_a = transform(conv, (M, hyper, hyper_latents), (5, 5), depths[3])
        h_s = transform(deconv, (hyper_latents, hyper, M), (5, 5), depths[3])
        numbers = range(len(groups))
        self.latent_codec = HyperpriorLatentCodec({
            "y": ChannelGroupsLatentCodec({f"y{k}": self._group_codec(k) for k in numbers},
                                          {f"y{k}": self._group_context(k) for k in numbers[1:]}, groups=groups),
            "hyper": HyperLatentCodec(EntropyBottleneck(hyper_latents), h_a, h_s, quantizer="ste"),
        })
        self.h_a, self.h_s = h_a, h_s  # published state dicts hold them a second time, after the codec's

    def make_exact(self) -> None:
        """Compute what decides a row of the coder's tables in float64, see :mod:`bench.models.exact`."""
        y = self.latent_codec["y"]
        groups = y.latent_codec.values()
        networks = [self.h_s, *y.channel_context.values(), *(group.context_prediction for group in groups),
                    *(group.entropy_parameters for group in groups)]
        self.edges = widen_networks(self, networks, [self.g_s, self.h_a])

    def _blocks(self, width: int, rate: float, number: int) -> list[nn.Module]:
        """Make ``number`` mixing blocks of one width and hidden rate."""
        return [PreNormBlock(width, rate, **self.block_options) for _ in range(number)]

    def _group_context(self, k: int) -> nn.Sequential:
        """Network from the groups before group ``k`` to its channel context."""
        return nn.Sequential(nn.Conv2d(sum(self.groups[:k]), self.M, 3, padding=1),
                             *self._blocks(self.M, CONTEXT_RATE, 2), Conv1x1(self.M, 2 * self.groups[k]))

    def _group_codec(self, k: int) -> CheckerboardLatentCodec:
        """Codec of group ``k`` in two passes, from hyper parameters and the groups before."""
        wanted = 2 * self.groups[k]
        given = wanted + (wanted if k else 0) + self.M  # spatial context, channel context, hyper parameters
        inner = [max(2 * self.N, ((3 - i) * given + i * wanted) // 3) for i in (1, 2)]  # a linear ramp

        layers = [GatedProjection(a, b) for a, b in pairwise((given, *inner, wanted))]
        return CheckerboardLatentCodec(
            {"y": GaussianConditionalLatentCodec(quantizer="ste")},
            entropy_parameters=nn.Sequential(layers[0], nn.Identity(), layers[1], nn.Identity(), layers[2]),
            context_prediction=CheckerboardConv(self.groups[k], wanted, 5, padding=2),
        )

    @torch.no_grad()
    def encode_image(self, x: Tensor) -> EncodedImage:
        """Encode one image.

        Args:
            x: (1, 3, H, W) in [0, 1], H and W multiples of 64.

        Returns:
            Streams of the two passes of each group, "y0", "y1", ..., then that of z.

        Raises:
            RuntimeError: the model is in training mode, or not in float32, in which alone CompressAI decodes.
        """
        self._check_coding()
        # Contiguous, as the decoder's latents are: convolutions round differently in another memory format.
        y = self.g_a(x).contiguous()
        y = y if self.edges is None else y.double()  # so are the latents that contexts are made of

        def code() -> tuple[tuple[bytes, ...], dict[str, Any]]:
            coded = self.latent_codec.compress(y)
            return tuple(stream for [stream] in coded["strings"]), coded

        streams, coded, latents_crc = encode_streams(code, self.edges)
        names = [*(f"y{number}" for number in range(2 * len(self.groups))), "z"]

        @torch.no_grad()
        def estimate_bits() -> float:
            return count_bits(self(x)["likelihoods"].values())

        return EncodedImage(dict(zip(names, streams)), tuple(coded["shape"]["hyper"]),
                            lambda: self.reconstruct(coded["y_hat"]), estimate_bits, latents_crc=latents_crc)

    @torch.no_grad()
    def decode_image(self, streams: Sequence[bytes], shape: Iterable[int]) -> DecodedImage:
        """Decode one image.

        Args:
            streams: those of the two passes of each group, then that of z.
            shape: (height, width) of the hyper-latents.

        Returns:
            The image, and the checksum of its latents.

        Raises:
            CodecError: the streams are not what the encoder wrote.
            RuntimeError: as for ``encode_image``.
        """
        self._check_coding()
        height, width = shape
        latents = [(group, LATENTS_PER_HYPER * height, LATENTS_PER_HYPER * width) for group in self.groups]
        shapes = {"y": latents, "hyper": (height, width)}
        decoded, latents_crc = decode_streams(lambda given: self.latent_codec.decompress(given, shapes), streams,
                                              self.edges)
        return DecodedImage(self.reconstruct(decoded["y_hat"]), latents_crc)

    @torch.no_grad()
    def reconstruct(self, y_hat: Tensor) -> Tensor:
        """Bring decoded latents to the image.

        Args:
            y_hat: decoded latents, (B, M, H/16, W/16).

        Returns:
            Tensor (B, 3, H, W), clamped to [0, 1].
        """
        return self.g_s(y_hat).clamp(0, 1)

    def _check_coding(self) -> None:
        """Raise RuntimeError where the model is not ready to code."""
        if self.training:
            raise RuntimeError("call eval() before compress and decompress")
        if (dtype := self.g_a[0].weight.dtype) != torch.float32:
            raise RuntimeError(f"LALIC codes in float32 only, not in {dtype}: call float()")

    def rename(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Bring the names that CompressAI gave its entropy bottleneck before 1.2.8 to today's.

        Args:
            weights: a file's tensors by name.

        Returns:
            The same tensors by today's names.
        """
        return remap_old_keys("latent_codec.hyper.entropy_bottleneck", weights)
