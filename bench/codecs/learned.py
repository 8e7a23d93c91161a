"""Learned codecs: a model, its weights, padding, and a file that a second process can decode.

File: 1 byte of format, width and height (2 bytes each), length of the y stream (4 bytes), the y stream, the z
stream; big-endian. All of it counts as rate.
"""

from __future__ import annotations

import struct
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

REVISION = 1  # raise it when a change here or in bench/models changes streams or reconstructions
FORMAT = 0xB1
HEADER = struct.Struct(">BHHI")


class LearnedCodec:
    """Codes 8-bit images with a model that has ``encode_image``, ``decode_latents`` and ``reconstruct``.

    Images are padded with zeros to the model's ``padding_multiple``, centred, as the published evaluation
    does; the rate is over the original pixels.
    """

    def __init__(self, model: nn.Module, device: str) -> None:
        self._model = model.eval().to(device)
        self._device = device

    def encode(self, image: np.ndarray) -> Encoding:
        import torch

        height, width = image.shape[:2]
        padding = centred_padding(width, height, self._model.padding_multiple)
        left, top, right, bottom = padding
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self._device).permute(2, 0, 1)[None].float() / 255
        encoded = self._model.encode_image(torch.nn.functional.pad(pixels, (left, right, top, bottom)))
        header = HEADER.pack(FORMAT, width, height, len(encoded.y_stream))
        return Encoding(
            stream=header + encoded.y_stream + encoded.z_stream,
            parts={"header": len(header), "y": len(encoded.y_stream), "z": len(encoded.z_stream)},
            padding=padding,
            reconstruct=lambda: self._pixels(encoded.y_hat, width, height),
            estimate_bits=lambda: encoded.bits,
        )

    def decode(self, stream: bytes) -> np.ndarray:
        if len(stream) < HEADER.size or stream[0] != FORMAT:
            raise CodecError("this is no file of a learned codec of this suite")
        _, width, height, y_length = HEADER.unpack_from(stream)
        y_stream, z_stream = stream[HEADER.size :][:y_length], stream[HEADER.size + y_length :]
        if len(y_stream) < y_length or not z_stream or not width or not height:
            raise CodecError(f"the file is truncated: {len(stream)} bytes, its y stream alone has {y_length}")
        left, top, right, bottom = centred_padding(width, height, self._model.padding_multiple)
        stride = self._model.hyper_stride
        shape = ((height + top + bottom) // stride, (width + left + right) // stride)
        return self._pixels(self._model.decode_latents(y_stream, z_stream, shape), width, height)

    def _pixels(self, y_hat: Tensor, width: int, height: int) -> np.ndarray:
        """Reconstruct, crop and round to 8 bits: uint8 (height, width, 3)."""
        import torch

        left, top, _, _ = centred_padding(width, height, self._model.padding_multiple)
        image = self._model.reconstruct(y_hat)[0, :, top : top + height, left : left + width]
        if not torch.isfinite(image).all():
            raise CodecError("the model's reconstruction is not finite")
        return (image * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


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
