"""Learned codecs: a model, its weights, padding, and a file that a second process can decode."""

from __future__ import annotations

import json
from binascii import crc_hqx
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.codecs.base import CODECS, CodecEntry, CodecSpec, Encoding
from bench.codecs.container import pack_file, unpack_file
from bench.common.errors import CodecError, ConfigurationError
from bench.common.hashing import sha256_of
from bench.common.import_paths import is_import_path
from bench.variants import Variant, find_checkpoints, load_variants

if TYPE_CHECKING:
    from torch import Tensor

LEARNED = "learned"
ALL, CLASSICAL = "all", "classical"
GROUPS = (ALL, CLASSICAL, LEARNED)  # of codecs, on the command line
# Raise it when a change here or in bench/models changes streams or reconstructions: of the family's models, of others.
REVISION, REVISION_OF_OTHERS = 3, 4
FORMAT = 0xB3  # where the checksum of a file's tag starts


class LearnedCodec:
    """Codes 8-bit images with a model.

    Images are padded with zeros to the model's ``padding_multiple``, centred, as the published evaluation does;
    the rate is over the original pixels.

    Args:
        model: has ``encode_image``, ``decode_image`` and ``padding_multiple``, see
            :class:`bench.models.image_codec.ImageCodec`; ``hyper_stride`` (None: files hold the shape of the
            hyper-latents) and ``stream_tag`` (0) where it needs them. Or CompressAI's interface, see
            :class:`bench.models.compressai_models.CompressAIAdapter`.
        device: "cpu" or "cuda".
        tag: 16 bits that a file must have been coded with, see :func:`bench.codecs.container.unpack_file`.
    """

    def __init__(self, model: Any, device: str, tag: int = 0) -> None:
        import torch

        self._model = model.eval().to(device)
        own = hasattr(model, "encode_image")
        if own or type(model).__module__.startswith("compressai."):
            # Convolutions are up to a third faster so. It is the codec's choice, for encoder and decoder alike: results
            # differ in their last bits from those of the default format. Models by others may view tensors in that one.
            self._model.to(memory_format=torch.channels_last)
        if not own:
            from bench.models.compressai_models import CompressAIAdapter

            self._model = CompressAIAdapter(model).eval()
        self._device = device
        self._spec_tag = tag

    def encode(self, image: np.ndarray) -> Encoding:
        import torch

        height, width = image.shape[:2]
        padding = centred_padding(width, height, self._model.padding_multiple)
        left, top, right, bottom = padding
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self._device).permute(2, 0, 1)[None].float() / 255
        encoded = self._model.encode_image(torch.nn.functional.pad(pixels, (left, right, top, bottom)))
        shape = tuple(encoded.shape)
        stored = () if shape == self._shape(width, height) else shape
        data = pack_file(width, height, stored, tuple(encoded.streams.values()), self._tag())

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
        )

    def decode(self, stream: bytes) -> np.ndarray:
        width, height, stored, streams = unpack_file(stream, self._tag())
        shape = stored or self._shape(width, height)
        if shape is None:
            raise CodecError("the file lacks the shape of the hyper-latents")
        return self._pixels(self._model.decode_image(streams, shape), width, height)

    def _shape(self, width: int, height: int) -> tuple[int, int] | None:
        """(height, width) of the hyper-latents, where the model's stride tells."""
        left, top, right, bottom = centred_padding(width, height, self._model.padding_multiple)
        stride = getattr(self._model, "hyper_stride", None)
        return stride and ((height + top + bottom) // stride, (width + left + right) // stride)

    def _tag(self) -> int:
        """Of the specification and of what the model may change at run time."""
        return crc_hqx(str(getattr(self._model, "stream_tag", 0)).encode(), self._spec_tag)

    def _pixels(self, padded: Tensor, width: int, height: int) -> np.ndarray:
        """Crop and round to 8 bits: uint8 (height, width, 3)."""
        left, top, _, _ = centred_padding(width, height, self._model.padding_multiple)
        image = padded[0, :, top : top + height, left : left + width]
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


def spec_tag(settings: Mapping[str, Any]) -> int:
    """16 bits that differ for files of another model, or of the same one with other options."""
    agreed = [settings["model"], settings["options"]]
    text = json.dumps(agreed, sort_keys=True, separators=(",", ":"), default=dict)
    return crc_hqx(text.encode(), FORMAT)


def _build(spec: CodecSpec) -> LearnedCodec:
    from bench.models import create_model
    from bench.models.checkpoints import load_weights, read_weights

    model = create_model(spec.settings["model"], **spec.settings["options"])
    checkpoint = Path(spec.location["checkpoint"])
    load_weights(model, read_weights(checkpoint), checkpoint.name)
    return LearnedCodec(model, spec.location.get("device", "cpu"), spec_tag(spec.settings))


def _identify(spec: CodecSpec) -> dict[str, Any]:
    model = spec.settings["model"]
    identity = {
        "coder": _name_coder(),
        "revision": REVISION_OF_OTHERS if ":" in model or model == "lalic" else REVISION,
        "settings": {"model": model, "options": dict(spec.settings["options"]), "metric": spec.settings["metric"]},
        "weights_sha256": sha256_of(Path(spec.location["checkpoint"])),
    }
    if is_import_path(model):
        from bench.models.own_models import source_sha256

        identity["source_sha256"] = source_sha256(model)
    return identity


@lru_cache
def _name_coder() -> str:
    return f"compressai {version('compressai')} rANS"  # by reading a file


def _list_imports(spec: CodecSpec) -> tuple[str, ...]:
    from bench.models import list_imports

    return ("bench.models.checkpoints", *list_imports(spec.settings["model"]))


def _operators(spec: CodecSpec) -> str | None:
    """What computes a model's own operators on the device of ``spec``: native code with its flags, or plain torch."""
    from bench.models import find_factory

    if not getattr(find_factory(spec.settings["model"]), "native_operators", ()):
        return None
    from bench.operators import identity

    return identity(spec.location.get("device", "cpu"))


def load_learned(path: Path | None = None) -> dict[str, Variant]:
    """Return the variants of variants.yaml, each of which is a codec here.

    Raises:
        ConfigurationError: the file is wrong, or a variant has the name of another codec or of a group.
    """
    variants = load_variants(path)
    for name, variant in variants.items():
        if name in CODECS or name in GROUPS:
            raise ConfigurationError(f"{variant.where}: variant '{name}' has the name of a codec or of a group of"
                                     " codecs", "give it another")
    return variants


def list_specs(variant: Variant) -> list[CodecSpec]:
    """One codec specification for each checkpoint of ``variant`` that is here."""
    return [make_spec(variant, found.lambda_, found.path) for found in find_checkpoints(variant) if found.path]


def make_spec(variant: Variant, lambda_: float, checkpoint: Path) -> CodecSpec:
    """The specification of ``variant`` with one checkpoint file."""
    return CodecSpec(
        codec=LEARNED,
        name=variant.name,
        point=f"{lambda_:g}",
        point_settings={"lambda": lambda_},
        settings={"model": variant.model, "options": variant.options_for(lambda_), "label": variant.label,
                  "miniature": variant.miniature, "metric": variant.metric},
        location={"checkpoint": str(checkpoint)},
    )


CODECS.add(LEARNED, CodecEntry(
    build=_build, identify=_identify, label="learned codec",
    default_specs=lambda: [spec for variant in load_learned().values() for spec in list_specs(variant)],
    colour="RGB", seconds_per_megapixel=8.0, uses_torch=True, operators=_operators, imports=_list_imports,
))
