"""HPCM: transforms, hyperprior, and the codec around the context model (arXiv 2507.19125, 2508.09075)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.models import coders
from bench.models.coders import Quantiser, Reader
from bench.models.context import HierarchicalContext, unpack
from bench.models.entropy import CodingTables, GeneralisedGaussian, scale_index
from bench.models.entropy import scale_table as default_scale_table
from bench.models.lattice import lattice
from bench.models.layers import Branch, PConvRB, down2, down4, up2, up4

TABLE_BUFFERS = (
    "scale_table", "quantized_cdf_z", "cdf_length_z", "offset_z", "quantized_cdf_y", "cdf_length_y", "offset_y",
)
Stages = tuple[tuple[int, int], ...]  # (width, residual blocks) of each stage, from the image inwards


@dataclass(frozen=True)
class EncodedImage:
    """One encoded image.

    Attributes:
        y_stream, z_stream: the two arithmetic-coded streams.
        shape: (height, width) of the hyper-latents.
        y_hat: the latents that the decoder will have, (1, M, H, W).
        estimate_bits: returns what the entropy model predicts for both streams.
    """

    y_stream: bytes
    z_stream: bytes
    shape: tuple[int, int]
    y_hat: Tensor
    estimate_bits: Callable[[], float]


class HPCM(HierarchicalContext):
    """The family's base. Widths and depths are options; the defaults are HPCM-Base.

    Args:
        M, N: channels of latents and hyper-latents.
        stages: (width, blocks) of the stages of g_a, mirrored in g_s; each stage halves the image's sides.
        hyper_blocks: blocks in h_a before and after its first downsampling, in h_s before and after its
            last upsampling.
        prior_s1_s2, prior_s3, adaptor_depths, expansion, head_width: see :class:`HierarchicalContext`.
    """

    rebuilt_buffers = TABLE_BUFFERS  # never read from a checkpoint
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
        super().__init__(M, tuple(prior_s1_s2), tuple(prior_s3), adaptor_depths, expansion, head_width)
        self.N = N
        self.latent_stride = 2 ** (len(stages) + 1)
        self.hyper_stride = 4 * self.latent_stride
        self.padding_multiple = 16 * self.latent_stride  # scale 1 has windows of 4x4 on a quarter of the latents
        self.g_a, self.g_s = self.transforms(stages)
        self.h_a, self.h_s = self.hyper_transforms(hyper_blocks)
        self.means_hyper = nn.Parameter(torch.zeros(1, N, 1, 1))
        self.scales_hyper = nn.Parameter(torch.ones(1, N, 1, 1))
        self.entropy_estimation = GeneralisedGaussian()
        for name in TABLE_BUFFERS:
            self.register_buffer(name, torch.empty(0))

    def transforms(self, stages: Stages) -> tuple[nn.Module, nn.Module]:
        """Build g_a (image to latents) and g_s (latents to image)."""
        widths = [width for width, _ in stages]
        strided = [down4(3, widths[0]), *(down2(a, b) for a, b in zip(widths, [*widths[1:], self.M]))]
        upsampling = [*(up2(b, a) for a, b in zip(widths, [*widths[1:], self.M])), up4(widths[0], 3)]
        analysis, synthesis = [strided[0]], []
        for stage, down in zip(stages, strided[1:]):
            analysis += [*_blocks(*stage), down]
        for stage, up in zip(reversed(stages), reversed(upsampling[:-1])):
            synthesis += [up, *_blocks(*stage)]
        synthesis.append(upsampling[-1])
        return Branch(*analysis), Branch(*synthesis)

    def hyper_transforms(self, blocks: tuple[int, int, int, int]) -> tuple[nn.Module, nn.Module]:
        """Build h_a (latents to hyper-latents) and h_s (hyper-latents to scales and means)."""
        M, N = self.M, self.N
        first, second, third, last = blocks
        h_a = Branch(*_blocks(M, first), down2(M, N), *_blocks(N, second), down2(N, N))
        h_s = Branch(up2(N, N), *_blocks(N, third), up2(N, 2 * M), *_blocks(2 * M, last))
        return h_a, h_s

    def forward(self, x: Tensor) -> dict:
        """Return ``x_hat`` (B, 3, H, W), not clamped, and ``likelihoods`` {"y": (B, M, ., .), "z": (B, N, ., .)}.

        In training mode symbols are rounded with straight-through gradients, and likelihoods are those of
        residuals with uniform noise.
        """
        y = self.g_a(x)
        centred = self.h_a(y) - self.means_hyper
        z_symbols = self._round(centred)
        quantiser = Quantiser(y, straight_through=self.training)
        hyper = self.h_s(z_symbols + self.means_hyper)
        y_hat = self.code_latents(hyper, quantiser)
        plan = lattice(self.M, *hyper.shape[2:], hyper.device)
        y_values = unpack(quantiser.residuals if self.training else quantiser.symbols, plan, hyper)
        y_scales = unpack(quantiser.scales, plan, hyper)
        z_values = centred if self.training else z_symbols
        likelihoods = {
            "y": self.entropy_estimation(self._noisy(y_values), y_scales),
            "z": self.entropy_estimation(self._noisy(z_values), self.scales_hyper),
        }
        return {"x_hat": self.g_s(y_hat), "likelihoods": likelihoods}

    def _round(self, values: Tensor) -> Tensor:
        rounded = torch.round(values)
        return values + (rounded - values).detach() if self.training else rounded

    def _noisy(self, values: Tensor) -> Tensor:
        return values + torch.rand_like(values) - 0.5 if self.training else values

    @torch.no_grad()
    def update(self, scale_table: Tensor | None = None, force: bool = True) -> bool:
        """Build the coder's tables from the weights; returns True when they were built.

        Call it after loading weights and before ``compress`` or ``decompress``. Unlike CompressAI's, it
        rebuilds by default: tables of other weights decode nothing.
        """
        if not force and self.scale_table.numel():
            return False
        device = self.means_hyper.device
        self.scale_table = (default_scale_table() if scale_table is None else scale_table.float()).to(device)
        for name, scales in (("y", self.scale_table), ("z", self.scales_hyper.flatten())):
            tables = self.entropy_estimation.tables(scales)
            setattr(self, f"quantized_cdf_{name}", tables.cdf.to(device))
            setattr(self, f"cdf_length_{name}", tables.lengths.to(device))
            setattr(self, f"offset_{name}", tables.offsets.to(device))
        return True

    def tables(self, name: str) -> CodingTables:
        """Return the coder's tables of "y" or "z".

        Raises:
            RuntimeError: ``update`` was not called.
        """
        if not self.scale_table.numel():
            raise RuntimeError("the coder's tables are empty: call update() after loading weights")
        return CodingTables(*(getattr(self, f"{kind}_{name}") for kind in ("quantized_cdf", "cdf_length", "offset")))

    @torch.no_grad()
    def encode_image(self, x: Tensor) -> EncodedImage:
        """Encode one image, (1, 3, H, W) with H and W multiples of ``padding_multiple``."""
        y = self.g_a(x)
        z_symbols = torch.round(self.h_a(y) - self.means_hyper)
        z_stream = coders.encode(z_symbols.flatten(), self._z_rows(z_symbols.shape[2:]), self.tables("z"))
        quantiser = Quantiser(y)
        y_hat = self.code_latents(self.h_s(z_symbols + self.means_hyper), quantiser)
        symbols, scales = torch.cat(quantiser.symbols, dim=1), torch.cat(quantiser.scales, dim=1)
        y_stream = coders.encode(symbols.flatten(), scale_index(scales, self.scale_table).flatten(), self.tables("y"))

        @torch.no_grad()
        def estimate_bits() -> float:
            return (_bits(self.entropy_estimation(symbols, scales))
                    + _bits(self.entropy_estimation(z_symbols, self.scales_hyper)))

        return EncodedImage(y_stream, z_stream, tuple(z_symbols.shape[2:]), y_hat, estimate_bits)

    @torch.no_grad()
    def decode_latents(self, y_stream: bytes, z_stream: bytes, shape: Iterable[int]) -> Tensor:
        """Decode the latents of one image: (1, M, H, W)."""
        height, width = shape
        z_symbols = coders.decode(z_stream, self._z_rows((height, width)), self.tables("z"))
        z_hat = z_symbols.to(self.means_hyper).view(1, self.N, height, width) + self.means_hyper
        return self.code_latents(self.h_s(z_hat), Reader(y_stream, self.tables("y"), self.scale_table))

    @torch.no_grad()
    def reconstruct(self, y_hat: Tensor) -> Tensor:
        """Image of decoded latents: (B, 3, H, W), clamped to [0, 1]."""
        return self.g_s(y_hat).clamp(0, 1)

    def compress(self, x: Tensor) -> dict:
        """Encode (B, 3, H, W) in [0, 1] into {"strings": [y streams, z streams], "shape": (h, w)}.

        Images are coded one after another, so that a batch gives the streams of its images alone.
        """
        images = [self.encode_image(image[None]) for image in x]
        return {
            "strings": [[image.y_stream for image in images], [image.z_stream for image in images]],
            "shape": images[0].shape,
        }

    def decompress(self, strings: list[list[bytes]], shape: Iterable[int]) -> dict:
        """Decode what ``compress`` gave: {"x_hat": (B, 3, H, W), clamped to [0, 1]}."""
        shape = tuple(shape)
        images = [self.reconstruct(self.decode_latents(y, z, shape)) for y, z in zip(*strings)]
        return {"x_hat": torch.cat(images)}

    def _z_rows(self, shape: Iterable[int]) -> Tensor:
        height, width = shape
        return torch.arange(self.N).repeat_interleave(height * width)


class HPCM1B(HPCM):
    """The one-billion-parameter model: the schedule of HPCM without attention, other networks."""

    def transforms(self, stages: Stages) -> tuple[nn.Module, nn.Module]:
        (a, depth), (b, deep), (c, _) = stages
        M = self.M

        def chunk(width: int, number: int) -> nn.Sequential:
            return nn.Sequential(*_blocks(width, number, ratio=2))

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
        M, N = self.M, self.N
        first, second, third, last = blocks
        h_a = nn.Sequential(*_blocks(M, first, 2), down2(M, M), *_blocks(M, second, 2), down2(M, N))
        h_s = nn.Sequential(up2(N, M), *_blocks(M, third, 2), up2(M, 2 * M), *_blocks(2 * M, last, 2))
        return h_a, h_s


def _blocks(width: int, number: int, ratio: int = 4) -> list[nn.Module]:
    return [PConvRB(width, ratio) for _ in range(number)]


def _bits(likelihoods: Tensor) -> float:
    return float(-likelihoods.double().log2().sum())
