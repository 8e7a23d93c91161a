"""Learned codecs: a model, its weights, padding, and a file that a second process can decode.

File: checksum of all that follows, width, height (2 bytes each), length of the y stream in words of 4 bytes
(3 bytes), the y stream, the z stream; big-endian. All of it counts as rate. The checksum is there because the
arithmetic decoder neither notices damage nor stops at its stream's end.
"""

from __future__ import annotations

import struct
from binascii import crc_hqx
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.codecs.base import CODECS, CodecEntry, CodecSpec, Encoding
from bench.errors import CodecError
from bench.hashing import sha256_of

if TYPE_CHECKING:
    from torch import Tensor, nn

REVISION = 2  # raise it when a change here or in bench/models changes streams or reconstructions
HEADER = struct.Struct(">HHH3s")
CHECKSUM_BYTES, WORD = 2, 4
FORMAT = 0xB2  # the checksum's start value, so that no other file's checksum fits
LONGEST_SIDE = 2**16 - 1


class LearnedCodec:
    """Codes 8-bit images with a model that has ``encode_image`` and ``decode_image``.

    Images are padded with zeros to the model's ``padding_multiple``, centred, as the published evaluation
    does; the rate is over the original pixels.
    """

    def __init__(self, model: nn.Module, device: str) -> None:
        self._model = model.eval().to(device)
        self._device = device

    def encode(self, image: np.ndarray) -> Encoding:
        import torch

        height, width = image.shape[:2]
        if max(height, width) > LONGEST_SIDE:
            raise CodecError(f"{width}x{height} is too large: the header holds sides up to {LONGEST_SIDE} pixels")
        padding = centred_padding(width, height, self._model.padding_multiple)
        left, top, right, bottom = padding
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self._device).permute(2, 0, 1)[None].float() / 255
        encoded = self._model.encode_image(torch.nn.functional.pad(pixels, (left, right, top, bottom)))
        return Encoding(
            stream=_pack(width, height, encoded.streams["y"], encoded.streams["z"]),
            parts={"header": HEADER.size, **{name: len(stream) for name, stream in encoded.streams.items()}},
            padding=padding,
            reconstruct=lambda: self._pixels(encoded.reconstruct(), width, height),
            estimate_bits=encoded.estimate_bits,
        )

    def decode(self, stream: bytes) -> np.ndarray:
        width, height, y_stream, z_stream = _unpack(stream)
        left, top, right, bottom = centred_padding(width, height, self._model.padding_multiple)
        stride = self._model.hyper_stride
        shape = ((height + top + bottom) // stride, (width + left + right) // stride)
        return self._pixels(self._model.decode_image((y_stream, z_stream), shape), width, height)

    def _pixels(self, padded: Tensor, width: int, height: int) -> np.ndarray:
        """Crop and round to 8 bits: uint8 (height, width, 3)."""
        import torch

        left, top, _, _ = centred_padding(width, height, self._model.padding_multiple)
        image = padded[0, :, top : top + height, left : left + width]
        if not torch.isfinite(image).all():
            raise CodecError("the model's reconstruction is not finite")
        return (image * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def _pack(width: int, height: int, y_stream: bytes, z_stream: bytes) -> bytes:
    """The file's bytes; both streams are whole words, as CompressAI's coder writes them."""
    length = (len(y_stream) // WORD).to_bytes(3, "big")
    checked = HEADER.pack(0, width, height, length)[CHECKSUM_BYTES:] + y_stream + z_stream
    return crc_hqx(checked, FORMAT).to_bytes(CHECKSUM_BYTES, "big") + checked


def _unpack(stream: bytes) -> tuple[int, int, bytes, bytes]:
    """Width, height, y stream and z stream of a file.

    Raises:
        CodecError: the file is damaged, truncated, or of another codec.
    """
    if len(stream) < HEADER.size:
        raise CodecError(f"the file is truncated: {len(stream)} bytes, its header alone has {HEADER.size}")
    checksum, width, height, length = HEADER.unpack_from(stream)
    if crc_hqx(stream[CHECKSUM_BYTES:], FORMAT) != checksum:
        raise CodecError("the file is damaged, truncated, or of another codec: its checksum is wrong")
    y_end = HEADER.size + WORD * int.from_bytes(length, "big")
    return width, height, stream[HEADER.size : y_end], stream[y_end:]


def centred_padding(width: int, height: int, multiple: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) that bring an image to multiples of ``multiple``; the odd pixel goes right, down."""
    across, down = -width % multiple, -height % multiple
    return across // 2, down // 2, across - across // 2, down - down // 2


def _build(spec: CodecSpec) -> LearnedCodec:
    from bench.models import create
    from bench.models.checkpoints import load_weights, read_weights

    model = create(spec.settings["model"], **spec.settings["options"])
    checkpoint = Path(spec.location["checkpoint"])
    load_weights(model, read_weights(checkpoint), checkpoint.name)
    return LearnedCodec(model, spec.location.get("device", "cpu"))


def _identify(spec: CodecSpec) -> dict[str, Any]:
    return {
        "codec_version": f"torch {version('torch')}, compressai {version('compressai')} rANS",
        "revision": REVISION,
        "settings": {key: _plain(spec.settings[key]) for key in ("model", "options", "metric")},
        "weights_sha256": sha256_of(Path(spec.location["checkpoint"])),
        "label": spec.settings["label"],
        "miniature": spec.settings["miniature"],
        "per_device": True,
    }


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _default_specs() -> list[CodecSpec]:
    from bench.variants import load_variants, specs

    return [spec for variant in load_variants().values() for spec in specs(variant)]


CODECS.add("learned", CodecEntry(
    build=_build, identify=_identify, default_specs=_default_specs, label="learned codec",
    colour="RGB", seconds_per_megapixel=8.0,
))
