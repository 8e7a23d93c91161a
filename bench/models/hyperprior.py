"""A hyperprior codec (Ballé et al., ICLR 2018) with real bitstreams; what conditions the latents is a subclass' affair.

:meth:`HyperpriorCodec.code_latents` is called by the forward pass, the encoder and the decoder alike, so they
cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from zlib import crc32

import torch
from torch import Tensor, nn

from bench.models.coders import Quantiser, Reader, StepCoder, round_through
from bench.models.entropy import scale_index
from bench.models.exact import Agreement, agree, split_agreement
from bench.models.image_codec import DecodedImage, EncodedImage, count_bits
from bench.models.latents import update_crc
from bench.models.tabled_codec import TabledCodec
from bench.operators import rans


class HyperpriorCodec(TabledCodec):
    """Latents y, coded step by step, and hyper-latents z, coded under one scale a channel.

    A subclass calls ``build_entropy_models`` and gives itself the four transforms.

    Attributes:
        M, N: channels of latents and hyper-latents.
        g_a, g_s: analysis and synthesis, image to latents and back.
        h_a, h_s: hyper analysis and synthesis.
    """

    stream_count = 2
    M: int
    g_a: nn.Module
    g_s: nn.Module
    h_a: nn.Module
    h_s: nn.Module

    def analysis(self, x: Tensor) -> Tensor:
        """Image to latents y.

        Args:
            x: (B, 3, H, W).

        Returns:
            Tensor (B, M, H / latent_stride, W / latent_stride).
        """
        return self.g_a(x)

    def synthesis(self, y_hat: Tensor) -> Tensor:
        """What ``code_latents`` returns to the image.

        Args:
            y_hat: reconstructed latents, in the shape of ``to_code(y)``.

        Returns:
            Tensor (B, 3, H, W), not clamped.
        """
        return self.g_s(y_hat)

    def hyper_analysis(self, y: Tensor) -> Tensor:
        """Latents y to hyper-latents z.

        Args:
            y: (B, M, H / latent_stride, W / latent_stride), of an image (B, 3, H, W).

        Returns:
            Tensor (B, N, H / hyper_stride, W / hyper_stride).
        """
        return self.h_a(y)

    def hyper_synthesis(self, z_hat: Tensor) -> Tensor:
        """Hyper-latents z to what ``code_latents`` takes.

        Args:
            z_hat: (B, N, H / hyper_stride, W / hyper_stride), of an image (B, 3, H, W).

        Returns:
            The ``hyper`` of ``code_latents``.
        """
        return self.h_s(z_hat)

    def to_code(self, y: Tensor) -> Tensor:
        """What is coded of the latents y: y itself, unless a model codes another form of it.

        Args:
            y: (B, M, H / latent_stride, W / latent_stride), of an image (B, 3, H, W).

        Returns:
            Tensor (B, C, h, w); here that of ``y``.
        """
        return y

    def code_latents(self, hyper: Tensor, coder: StepCoder) -> Tensor:
        """Code latents step by step; the same for the forward pass, the encoder and the decoder.

        Args:
            hyper: what the hyper decoder gives.
            coder: quantises, reads or otherwise supplies the latents of each step.

        Returns:
            The reconstructed latents, in the shape of ``to_code(y)``.
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> dict:
        """Estimate rate and distortion of images.

        In training mode symbols are rounded with straight-through gradients, and likelihoods are those of
        residuals with uniform noise.

        Args:
            x: (B, 3, H, W) in [0, 1], H and W multiples of ``padding_multiple``.

        Returns:
            ``x_hat``, (B, 3, H, W), not clamped, and ``likelihoods``: "y" in the shape of what is coded, "z" in that of
            the hyper-latents.
        """
        y = self.analysis(x)
        centred = self.hyper_analysis(y) - self.means_hyper
        z_symbols = round_through(centred) if self.training else torch.round(centred)

        quantiser = Quantiser(self.to_code(y), straight_through=self.training)
        y_hat = self.code_latents(self.hyper_synthesis(z_symbols + self.means_hyper), quantiser)

        y_values, z_values = (quantiser.residuals, centred) if self.training else (quantiser.symbols, z_symbols)
        likelihoods = {
            "y": self.entropy_estimation(self._noisy(quantiser.unpack(y_values)), quantiser.unpack(quantiser.scales)),
            "z": self.entropy_estimation(self._noisy(z_values), self.scales_hyper),
        }
        return {"x_hat": self.to_image(y_hat), "likelihoods": likelihoods}

    def _noisy(self, values: Tensor) -> Tensor:
        """Add uniform noise of one quantisation step in training mode."""
        return values + torch.rand_like(values) - 0.5 if self.training else values

    @torch.no_grad()
    def encode_image(self, x: Tensor) -> EncodedImage:
        """Encode one image.

        Args:
            x: (1, 3, H, W) in [0, 1], H and W multiples of ``padding_multiple``.

        Returns:
            Streams "y" and "z", (height, width) of the hyper-latents, and what gives reconstruction and estimated bits.
        """
        y = self.analysis(x)
        z_symbols = torch.round(self.hyper_analysis(y) - self.means_hyper)
        quantiser = Quantiser(self.to_code(y))
        y_hat = self.code_latents(self.hyper_synthesis(z_symbols + self.means_hyper), quantiser)

        # Coding waits for the symbols: only once all other work of a GPU is queued.
        symbols, scales = torch.cat(quantiser.symbols, dim=1), torch.cat(quantiser.scales, dim=1)
        z_coded, y_coded = (part.flatten().to("cpu", torch.int32) for part in (z_symbols, symbols))
        z_stream = rans.encode(z_coded, self._z_rows(z_symbols.shape[2:].numel()), self.tables("z"))

        agreement = agree(scales, self.scale_table, quantiser.choices) if self.exact else Agreement()
        rows = scale_index(scales, self.levels(agreement))
        agreed = bytes(agreement) if self.exact else b""
        y_stream = agreed + rans.encode(y_coded, rows.flatten(), self.tables("y"))

        @torch.no_grad()
        def estimate_bits() -> float:
            return count_bits((self.entropy_estimation(symbols, scales),
                               self.entropy_estimation(z_symbols, self.scales_hyper)))

        return EncodedImage({"y": y_stream, "z": z_stream}, tuple(z_symbols.shape[2:]),
                            lambda: self.reconstruct(y_hat), estimate_bits,
                            latents_crc=update_crc(update_crc(crc32(agreed), z_coded), y_coded))

    @torch.no_grad()
    def decode_latents(self, y_stream: bytes, z_stream: bytes, shape: Iterable[int]) -> tuple[Tensor, int]:
        """Decode the latents of one image.

        Args:
            y_stream, z_stream: what ``encode_image`` wrote.
            shape: (height, width) of the hyper-latents.

        Returns:
            Latents in the shape of ``to_code(y)``, and the CRC-32 of what an exact model's encoder decided, the symbols
            of z, then those of y.

        Raises:
            StreamError: a stream ends too early or too late, or is damaged.
        """
        height, width = shape
        agreement, y_coded = split_agreement(y_stream) if self.exact else (Agreement(), y_stream)
        decoder = rans.Decoder(z_stream, self.tables("z"))
        z_symbols = decoder.decode(self._z_rows(height * width))
        decoder.finish()  # so that a wrong size is found here, before anything is made of it

        z_hat = z_symbols.to(self.means_hyper).view(1, self.N, height, width) + self.means_hyper
        crc = update_crc(crc32(y_stream[: len(y_stream) - len(y_coded)]), z_symbols)
        reader = Reader(y_coded, self.tables("y"), self.levels(agreement), crc, agreement.slots)
        y_hat = self.code_latents(self.hyper_synthesis(z_hat), reader)
        reader.finish()
        return y_hat, reader.crc

    @torch.no_grad()
    def reconstruct(self, y_hat: Tensor) -> Tensor:
        """Decoded latents to the image.

        Args:
            y_hat: in the shape of ``to_code(y)``.

        Returns:
            Tensor (B, 3, H, W), clamped to [0, 1].
        """
        return self.to_image(y_hat).clamp(0, 1)

    def to_image(self, y_hat: Tensor) -> Tensor:
        """Synthesis of reconstructed latents, in an exact model in float32 as in any other.

        Args:
            y_hat: in the shape of ``to_code(y)``.

        Returns:
            Tensor (B, 3, H, W), not clamped.
        """
        return self.synthesis(y_hat.float() if self.exact else y_hat)

    def decode_image(self, streams: Sequence[bytes], shape: Iterable[int]) -> DecodedImage:
        """Decode the streams of one image.

        Args:
            streams: of y and z, in the order of ``EncodedImage.streams``.
            shape: (height, width) of the hyper-latents.

        Returns:
            The image, and the checksum of its latents.

        Raises:
            CodecError: the streams are not what the encoder wrote.
        """
        y_stream, z_stream = streams
        y_hat, latents_crc = self.decode_latents(y_stream, z_stream, shape)
        return DecodedImage(self.reconstruct(y_hat), latents_crc)
