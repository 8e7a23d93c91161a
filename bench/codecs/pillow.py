"""JPEG, JPEG 2000 and WebP through Pillow, in this process, on one thread.

What is counted is the file that Pillow writes: a JFIF file, a raw JPEG 2000 codestream and a RIFF file, each
without metadata. JPEG is coded 4:4:4 in full range with the BT.601 matrix that JFIF prescribes; JPEG 2000 by
its own irreversible transforms, colour and 9/7 wavelet; WebP in 4:2:0 and limited range, which is all that
its lossy mode has. Pillow's AVIF is not used: its colour conversion truncates, which shifts every channel by
half a step or more and caps PSNR at 49 dB.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import PIL
from PIL import Image, UnidentifiedImageError, features

from bench.codecs.base import Encoding
from bench.codecs.classical import ClassicalCodec, RateParameter
from bench.common.errors import CodecError


class PillowCodec:
    """One of Pillow's file formats with fixed arguments of ``Image.save``."""

    def __init__(self, file_format: str, **options: Any) -> None:
        self._format = file_format
        self._options = options

    def encode(self, image: np.ndarray) -> Encoding:
        target = io.BytesIO()
        try:
            Image.fromarray(image).save(target, format=self._format, **self._options)
        except (OSError, ValueError, OverflowError) as error:
            height, width = image.shape[:2]
            raise CodecError(f"{self._format} can't code this {width}x{height} image: {error}") from None
        return Encoding(stream=target.getvalue())

    def decode(self, stream: bytes) -> np.ndarray:
        try:
            with Image.open(io.BytesIO(stream), formats=[self._format]) as image:
                return np.asarray(image.convert("RGB"))
        except UnidentifiedImageError:
            raise CodecError(f"this is no {self._format} file") from None
        except (OSError, SyntaxError, ValueError) as error:
            raise CodecError(f"the {self._format} file can't be decoded: {error}") from None


def _name_version(library: str, feature: str) -> str:
    """Pillow and a library, with their versions."""
    return f"Pillow {PIL.__version__}, {library} {features.version(feature)}"


def _find_missing(name: str, feature: str) -> str | None:
    """Say that this Pillow lacks a format; None where it has it."""
    if features.check(feature):
        return None
    return f"this Pillow has no {name}; install Pillow as a wheel from the package registry"


ClassicalCodec(
    name="jpeg", label="JPEG (4:4:4)", colour="YCbCr BT.601 4:4:4 8-bit full range, by libjpeg-turbo",
    rate=RateParameter("quality", "q", (1, 100), (5, 10, 20, 35, 55, 75, 90)),
    settings={"optimize": True}, facts={"subsampling": "4:4:4", "threads": 1, "file": "JFIF"},
    build=lambda settings, quality: PillowCodec("JPEG", quality=quality, subsampling="4:4:4",
                                                optimize=settings["optimize"]),
    version=lambda: _name_version("libjpeg-turbo", "libjpeg_turbo"),
    missing=lambda: _find_missing("JPEG", "jpg"), seconds_per_megapixel=0.01,
).register()

ClassicalCodec(
    name="jpeg2000", label="JPEG 2000 (9/7)", colour="RGB, irreversible colour transform inside the codec",
    rate=RateParameter("target_psnr_db", "psnr", (1, 100), (24, 27, 30, 33, 36, 39, 42), fractional=True),
    facts={"wavelet": "irreversible 9/7", "colour_transform": True, "threads": 1, "file": "codestream"},
    # The one-letter comment takes the place of OpenJPEG's own, which costs 32 bytes more.
    build=lambda settings, decibels: PillowCodec("JPEG2000", quality_mode="dB", quality_layers=[decibels],
                                                 irreversible=True, mct=1, no_jp2=True, comment=" "),
    version=lambda: _name_version("OpenJPEG", "jpg_2000"),
    missing=lambda: _find_missing("JPEG 2000", "jpg_2000"), seconds_per_megapixel=0.2,
).register()

ClassicalCodec(
    name="webp", label="WebP (4:2:0)", colour="YCbCr BT.601 4:2:0 8-bit limited range, by libwebp",
    rate=RateParameter("quality", "q", (0, 100), (1, 10, 30, 55, 75, 88, 95), fractional=True),
    settings={"method": 6}, facts={"subsampling": "4:2:0", "threads": 1, "file": "RIFF"},
    build=lambda settings, quality: PillowCodec("WEBP", quality=quality, method=settings["method"]),
    version=lambda: _name_version("libwebp", "webp"),
    missing=lambda: _find_missing("WebP", "webp"), seconds_per_megapixel=0.2,
).register()
