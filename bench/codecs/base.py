"""What a codec is: 8-bit RGB pixels to bytes, and bytes to 8-bit RGB pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from bench.common.registry import Registry

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True)
class CodecSpec:
    """Everything needed to build one codec at one rate point, in this process or another.

    Plain JSON values only, so that a specification can travel to a decoder process or a cluster.

    Attributes:
        codec: name in :data:`CODECS` ("jpeg", "vvenc", "learned", ...).
        name: how the codec is called in rows and tables ("hpcm_base"); equals ``codec`` for classical ones.
        point: label of the rate point, unique within the codec ("q55", "qp32", "0.0067").
        point_settings: the rate point as values ({"quality": 50}, {"qp": 32}, {"lambda": 0.0067}).
        settings: all other options that change the bitstream or the reconstruction.
        location: where to find what the codec needs (a checkpoint file, a binary); not part of its identity.
    """

    codec: str
    name: str
    point: str
    point_settings: Mapping[str, Json] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    location: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Encoding:
    """What ``Codec.encode`` returns for one image.

    Attributes:
        stream: the whole file, header included.
        parts: bytes by part; the values add up to ``len(stream)``. Learned codecs give "y", "z" and
            "header"; a codec without parts gives ``{}``.
        padding: (left, top, right, bottom) pixels added before coding.
        reconstruct: returns the encoder's own reconstruction, uint8 (H, W, 3), or None where the codec
            has none apart from decoding. Called outside the timed section.
        expect: returns what the decoder most likely gives, where that costs less than ``reconstruct``, or None; a
            decoder that gives it needs no other comparison.
        estimate_bits: returns the bits that the entropy model predicts, or None. Called outside the
            timed section.
        latents_crc: CRC-32 of the coded symbols, which the decoder's must equal; None where it is unknown.
    """

    stream: bytes
    parts: Mapping[str, int] = field(default_factory=dict)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    reconstruct: Callable[[], np.ndarray | None] = lambda: None
    expect: Callable[[], np.ndarray | None] = lambda: None
    estimate_bits: Callable[[], float | None] = lambda: None
    latents_crc: int | None = None


@dataclass(frozen=True)
class Decoded:
    """What a codec that checks itself decoded.

    Attributes:
        pixels: uint8 (H, W, 3) RGB.
        latents_crc: CRC-32 of the decoded symbols; None where nobody knows them.
        checked: whether they were compared with a checksum in the file.
    """

    pixels: np.ndarray
    latents_crc: int | None = None
    checked: bool = False


class Codec(Protocol):
    """One codec at one rate point. Built by the factory registered under ``CodecSpec.codec``."""

    def encode(self, image: np.ndarray) -> Encoding:
        """Encode an image, uint8 (H, W, 3) RGB.

        Raises:
            CodecError: this image can't be coded; the message says why.
        """

    def decode(self, stream: bytes) -> np.ndarray:
        """Decode what ``encode`` wrote into a file: uint8 (H, W, 3) RGB.

        Raises:
            CodecError: the stream is damaged or of another codec.
        """


@dataclass(frozen=True)
class Preview:
    """What can be told of a codec before it is built.

    Attributes:
        fault: why it can't be built; None where nothing speaks against it.
        note: what is to be known of how it will be; empty for nothing.
    """

    fault: str | None = None
    note: str = ""


@dataclass(frozen=True)
class CodecEntry:
    """A kind of codec.

    Attributes:
        build: makes the codec; may be slow (loads weights).
        identify: what makes two measurements of a specification the same measurement, without
            building the codec: {"codec_version": str, "revision": int, "settings": {...},
            "weights_sha256": str | None, ...}. ``revision`` is raised by hand whenever the code changes
            what is measured.
        default_specs: the specifications evaluated when the user names only the codec.
        label: how plots and tables call it.
        colour: the colour path in a few words ("RGB", "YCbCr 4:4:4 8-bit, rounded").
        available: None, or the reason why it can't run here and what to do.
        seconds_per_megapixel: rough seconds to code and decode one megapixel, for the plan's estimate.
        uses_torch: it runs through torch on a chosen device, which is set up for it and told to it as
            ``location["device"]``; exactness and speed are then properties of the device too.
        operators: what computes the codec's operators on its device, for the row's provenance; None where all is
            the library's own.
        imports: modules that building and coding import and that take long: processes that code are forked from one
            that has them.
        preview: what a plan can tell of a codec, in a second or two.
    """

    build: Callable[[CodecSpec], Codec]
    identify: Callable[[CodecSpec], dict[str, Any]]
    default_specs: Callable[[], list[CodecSpec]]
    label: str
    colour: str = "RGB"
    available: Callable[[], str | None] = lambda: None
    seconds_per_megapixel: float = 1.0
    uses_torch: bool = False
    operators: Callable[[CodecSpec], str | None] = lambda spec: None
    imports: Callable[[CodecSpec], Sequence[str]] = lambda spec: ()
    preview: Callable[[CodecSpec], Preview] = lambda spec: Preview()


CODECS: Registry[CodecEntry] = Registry("codec")


def build_codec(spec: CodecSpec) -> Codec:
    """Build the codec that ``spec`` describes.

    Raises:
        ConfigurationError: no such codec, or impossible settings.
        CodecUnavailable: its program or library is missing.
    """
    return CODECS.get(spec.codec).build(spec)
