"""A learned codec: a model, padding, and a file that a second process can decode and check."""

from __future__ import annotations

import math
from binascii import crc_hqx
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from bench.codecs.base import Decoded, Encoding
from bench.codecs.container import FileContents, has_tag, pack_file, unpack_file
from bench.common.errors import BenchError, CodecError, ConfigurationError

if TYPE_CHECKING:
    from torch import Tensor

    from bench.models.image_codec import DecodedImage

VERSION = 2  # of the format of files
FORMATS = {2: 0xB4, 1: 0xB3}  # by version: where the checksum of a file's tag starts


class LatentsMismatch(CodecError):
    """A file's checksum is not that of what was decoded: nothing that was decoded is right."""


class LearnedCodec:
    """Codes 8-bit images with a model.

    Images are padded with zeros to the model's ``padding_multiple``, centred, as the published evaluation does;
    the rate is over the original pixels.

    Args:
        model: has ``encode_image``, ``decode_image`` and ``padding_multiple``, see
            :class:`bench.models.image_codec.ImageCodec`; ``hyper_stride`` (None: files hold the shape of the
            hyper-latents), ``stream_tag`` (0) and ``stream_count`` (None) where it needs them. Or CompressAI's
            interface, see :class:`bench.models.compressai_models.CompressAIAdapter`. Its weights are loaded.
        device: "cpu" or "cuda".
        agreed: text that a file must have been coded with, see :func:`describe_agreed`.
        version: of the format to write; all of :data:`FORMATS` are read.
        exact: make the model exact, see :mod:`bench.models.exact`: its files are decoded by an exact codec alone.

    Raises:
        ConfigurationError: the model has no exact configuration, or exact files not this version.
    """

    def __init__(self, model: Any, device: str, agreed: str = "", version: int = VERSION, exact: bool = False) -> None:
        import torch

        from bench.models.latents import digest_weights

        if exact and version != VERSION:
            raise ConfigurationError(f"exact files are of version {VERSION} alone, not {version}",
                                     "leave exact or the version out")
        own = hasattr(model, "encode_image")
        self._model = model
        if not own:
            from bench.models.compressai_models import CompressAIAdapter

            self._model = CompressAIAdapter(model)
        self._weights_crc = digest_weights(model)  # as loaded: before anything below changes them

        self._exact = exact
        if exact:
            from bench.models.exact import make_exact

            make_exact(self._model)

        self._model.eval().to(device)
        if own or type(model).__module__.startswith("compressai."):
            # Convolutions are up to a third faster so. It is the codec's choice, for encoder and decoder alike: results
            # differ in their last bits from those of the default format. Models by others may view tensors in that one.
            model.to(memory_format=torch.channels_last)
        self._device = device
        self._agreed = agreed
        self._version = version
        self._tables_version = VERSION  # of what loading builds

    @property
    def _formats(self) -> tuple[int, ...]:
        """Versions of files that are read: exact files have had a checksum from the first."""
        return (VERSION,) if self._exact else tuple(FORMATS)

    @property
    def weights_digest(self) -> str:
        """Of the loaded weights, hexadecimal."""
        return f"{self._weights_crc:08x}"

    def encode(self, image: np.ndarray) -> Encoding:
        import torch

        height, width = image.shape[:2]
        padding = centred_padding(width, height, self._model.padding_multiple)
        left, top, right, bottom = padding
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self._device).permute(2, 0, 1)[None].float() / 255
        self._use_tables(self._version)
        encoded = self._model.encode_image(torch.nn.functional.pad(pixels, (left, right, top, bottom)))

        shape, streams = tuple(encoded.shape), tuple(encoded.streams.values())
        stored = () if shape == self._shape(width, height) else shape
        contents = FileContents(width, height, stored, streams)
        self._find_shape(contents)  # what the decoder refuses is not written
        if self._version > 1:
            contents = contents._replace(checksum=self._checksum(contents, encoded.latents_crc))
        data = pack_file(contents, self._tag(self._version))

        def expect() -> np.ndarray | None:
            expected = encoded.expect()
            return None if expected is None else self._pixels(expected, width, height)

        return Encoding(
            stream=data,
            parts=_parts(encoded.streams, len(data)),
            padding=padding,
            reconstruct=lambda: self._pixels(encoded.reconstruct(), width, height),
            estimate_bits=encoded.estimate_bits,
            expect=expect,
            latents_crc=encoded.latents_crc,
        )

    def decode(self, stream: bytes) -> np.ndarray:
        return self.decode_checked(stream).pixels

    def decode_checked(self, stream: bytes) -> Decoded:
        """Decode a file; also return the checksum of its latents, and whether the file vouches for it.

        Args:
            stream: of any version of the format.

        Raises:
            LatentsMismatch: the decoded latents are not those that were encoded.
            CodecError: the file is damaged, or of another codec.
        """
        version = next((version for version in self._formats if has_tag(stream, self._tag(version))), VERSION)
        if has_tag(stream, self._tag(version, not self._exact)):
            kinds = ("in the default configuration", "exact") if self._exact else ("exact", "in the default one")
            raise CodecError(f"the file was coded {kinds[0]}, this decoder is {kinds[1]}",
                             f"decode it {'without' if self._exact else 'with'} --exact")
        contents = unpack_file(stream, self._tag(version), has_checksum=version > 1)
        shape = self._find_shape(contents)
        self._use_tables(version)
        decoded = self._decode_streams(contents.streams, shape)

        if version > 1 and contents.checksum != self._checksum(contents, decoded.latents_crc):
            raise LatentsMismatch("the decoded latents are not those that were encoded: the weights are others, the"
                                  " file is damaged, or this machine computes otherwise than the encoder's",
                                  "decode with the encoder's checkpoint, on a machine and with settings like its own;"
                                  " what is coded with --exact decodes on any")
        pixels = self._pixels(decoded.image, contents.width, contents.height)
        return Decoded(pixels, decoded.latents_crc, checked=version > 1 and decoded.latents_crc is not None)

    def _use_tables(self, version: int) -> None:
        """Give the model the coder's tables of a version of the format."""
        from bench.models.coding_tables import use_tables

        if version != self._tables_version:
            use_tables(self._model, version)
            self._tables_version = version

    def _decode_streams(self, streams: tuple[bytes, ...], shape: tuple[int, ...]) -> DecodedImage:
        """Let the model decode; whatever it raises on a stream that no encoder wrote is a codec's error."""
        from torch import Tensor

        from bench.models.image_codec import DecodedImage

        count = getattr(self._model, "stream_count", None)
        if count not in (None, len(streams)):
            raise CodecError(f"the file's header is wrong: it has {len(streams)} streams, the model {count}")
        try:
            decoded = self._model.decode_image(streams, shape)
        except (BenchError, OSError):
            raise
        except Exception as error:
            raise CodecError(f"the model can't decode this file: {type(error).__name__}: {error}") from error
        return DecodedImage(decoded) if isinstance(decoded, Tensor) else decoded

    def _checksum(self, contents: FileContents, latents_crc: int | None) -> int:
        """What version 2 stores, 32 bits: of the image's size, the weights, and the latents if anybody knows them."""
        numbers = (contents.width, contents.height, *contents.shape, self._weights_crc)
        known = () if latents_crc is None else (latents_crc,)
        return crc32(b"".join(number.to_bytes(4, "little") for number in (*numbers, *known)))

    def _find_shape(self, contents: FileContents) -> tuple[int, ...]:
        """Shape of a file's hyper-latents, stored or by the model's stride.

        Raises:
            CodecError: it lacks, or is no shape that an image of this size can have.
        """
        width, height, stored = contents[:3]
        derived = self._shape(width, height)
        if not stored and derived:
            return derived
        if not stored:
            raise CodecError("the file lacks the shape of the hyper-latents")

        sides = self._padded_size(width, height)
        is_too_large = max(stored) > max(sides) or math.prod(sorted(stored)[-2:]) > math.prod(sides)
        follows_stride = derived is not None and hasattr(self._model, "stream_count")  # as the suite's own models do
        if is_too_large or follows_stride or stored == derived:
            raise CodecError(f"{width}x{height} pixels can't have hyper-latents of shape {stored}")
        return stored

    def _shape(self, width: int, height: int) -> tuple[int, int] | None:
        """(height, width) of the hyper-latents, where the model's stride tells."""
        stride = getattr(self._model, "hyper_stride", None)
        if stride is None:
            return None
        padded_width, padded_height = self._padded_size(width, height)
        return padded_height // stride, padded_width // stride

    def _padded_size(self, width: int, height: int) -> tuple[int, int]:
        left, top, right, bottom = centred_padding(width, height, self._model.padding_multiple)
        return left + width + right, top + height + bottom

    def _tag(self, version: int = VERSION, exact: bool | None = None) -> int:
        """Of the format, the specification, what the model may change at run time, and whether the codec is exact."""
        kind = "exact" if (self._exact if exact is None else exact) else ""
        return crc_hqx(f"{self._agreed}{getattr(self._model, 'stream_tag', 0)}{kind}".encode(), FORMATS[version])

    def _pixels(self, padded: Tensor, width: int, height: int) -> np.ndarray:
        """Crop and round to 8 bits: uint8 (height, width, 3)."""
        left, top, _, _ = centred_padding(width, height, self._model.padding_multiple)
        image = padded[0, :, top : top + height, left : left + width]
        if image.shape[1:] != (height, width):
            raise CodecError(f"the model's reconstruction has {padded.shape[3]}x{padded.shape[2]} pixels, less than the"
                             f" image's {width}x{height}")
        if not image.isfinite().all():
            raise CodecError("the model's reconstruction is not finite")
        return (image * 255).round().byte().permute(1, 2, 0).cpu().numpy()


def _parts(streams: Mapping[str, bytes], total: int) -> dict[str, int]:
    """Bytes of each stream, of numbered ones ("y0", "y1", ...) together, and of the header: all that is no stream."""
    parts: Counter[str] = Counter()
    for name, stream in streams.items():
        parts[name.rstrip("0123456789")] += len(stream)
    return {"header": total - parts.total(), **parts}


def centred_padding(width: int, height: int, multiple: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) that bring an image to multiples of ``multiple``; the odd pixel goes right, down."""
    across, down = -width % multiple, -height % multiple
    return across // 2, down // 2, across - across // 2, down - down // 2
