"""The codecs that :mod:`bench.codecs.ffmpeg` runs: their settings, rate points and versions.

AVIF is libaom's still-picture mode at a constant quality, tuned for PSNR; what is counted is the AV1 stream
without the boxes of an AVIF file, as the others are counted without containers. libjxl has no setting that
aims at PSNR; its distance is perceptual, 15 at most. HEVC is x265 with one intra frame at a constant QP: no
offset between that QP and the frame's, no rate control, tuned for PSNR, without the text that x265 adds to
its streams. VVC is VVenC with one intra frame at a constant QP, without its perceptual adaptation; it takes
4:2:0 10-bit only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.codecs.base import Codec, Json
from bench.codecs.classical import ClassicalCodec, RateParameter
from bench.codecs.colour import YCbCrFormat
from bench.codecs.ffmpeg import (
    JpegXlCodec,
    VideoCoder,
    find_library_version,
    find_missing,
    list_codecs,
    pixel_format,
)
from bench.codecs.planes import PlaneCodec

ANNEX_B = "4 bytes with the image's size, Annex B stream"


def _avif(settings: dict[str, Any], crf: int) -> list[str]:
    return ["-usage", "allintra", "-still-picture", "1", "-b:v", "0", "-crf", str(crf),
            "-cpu-used", str(settings["speed"]), "-tune", settings["tune"]]


def _hevc(settings: dict[str, Any], qp: int) -> list[str]:
    options = f"qp={qp}:keyint=1:ipratio=1:info=0:pools=none:frame-threads=1:wpp=0:log-level=error"
    return ["-preset", settings["preset"], "-tune", settings["tune"], "-x265-params", options]


def _vvenc(settings: dict[str, Any], qp: int) -> list[str]:
    return ["-preset", settings["preset"], "-qp", str(qp), "-qpa", str(int(settings["perceptual_qpa"])),
            "-vvenc-params", "intraperiod=1:gopsize=1:decodingrefreshtype=idr"]


def _name_version(library: str) -> str:
    return f"{library}, ffmpeg {list_codecs()[0]}"


@dataclass(frozen=True)
class VideoLibrary:
    """A library that ffmpeg encodes frames with.

    Attributes:
        name: in the version of its codec.
        encoder, codec, muxer: how ffmpeg calls the encoder, its standard, and the bare stream.
        file: what the file is made of.
        version: pattern of its version in ffmpeg's log, in a group.
        layout: the planes it is given.
    """

    name: str
    encoder: str
    codec: str
    muxer: str
    file: str
    version: str
    layout: YCbCrFormat

    def register(self, name: str, label: str, rate: RateParameter, settings: dict[str, Json],
                 options: Callable[[dict[str, Any], int], list[str]], seconds_per_megapixel: float) -> None:
        """Add the codec ``name``, whose encoder gets what ``options`` makes of settings and rate parameter."""

        def build(chosen: dict[str, Any], value: int) -> Codec:
            command = ["-c:v", self.encoder, *options(chosen, value)]
            return PlaneCodec(VideoCoder(self.muxer, self.layout, command), self.layout)

        def version() -> str:
            number = find_library_version(self.encoder, pixel_format(self.layout), self.version)
            return _name_version(f"{self.name} {number}")

        ClassicalCodec(
            name=name, label=label, colour=f"BT.709 full-range {self.layout}, rounded", rate=rate, settings=settings,
            facts={"threads": 1, "file": self.file}, build=build, version=version,
            missing=lambda: find_missing(self.codec, self.encoder), seconds_per_megapixel=seconds_per_megapixel,
        ).register()


LIBAOM = VideoLibrary("libaom", "libaom-av1", "av1", "obu", "4 bytes with the image's size, OBU stream",
                      r"\[libaom-av1[^]]*\] v(\d\S*)", YCbCrFormat("444", 10))
X265 = VideoLibrary("x265", "libx265", "hevc", "hevc", ANNEX_B, r"HEVC encoder version (\S+)", YCbCrFormat("444", 10))
VVENC = VideoLibrary("VVenC", "libvvenc", "vvc", "vvc", ANNEX_B, r"libvvenc version: (\S+)", YCbCrFormat("420", 10))

LIBAOM.register(
    "avif", "AVIF (libaom, 4:4:4 10-bit)", RateParameter("crf", "crf", (0, 63), (60, 54, 47, 40, 32, 24, 16)),
    {"speed": 4, "tune": "psnr"}, _avif, seconds_per_megapixel=4.0,
)

ClassicalCodec(
    name="jpegxl", label="JPEG XL (libjxl)", colour="RGB, XYB inside the codec",
    rate=RateParameter("distance", "d", (0.01, 15), (15, 9.5, 6, 3.5, 2, 1.2, 0.7), fractional=True),
    settings={"effort": 7}, facts={"threads": 1, "file": "codestream"},
    build=lambda settings, distance: JpegXlCodec(distance, settings["effort"]),
    version=lambda: _name_version("libjxl"),  # it states no version of its own; ffmpeg's fixes it
    missing=lambda: find_missing("jpegxl", "libjxl"), seconds_per_megapixel=0.4,
).register()

X265.register(
    "hevc", "HEVC intra (x265, 4:4:4 10-bit)", RateParameter("qp", "qp", (0, 51), (48, 43, 38, 33, 28, 23, 18)),
    {"preset": "veryslow", "tune": "psnr"}, _hevc, seconds_per_megapixel=1.0,
)

VVENC.register(
    "vvenc", "VVenC (4:2:0 10-bit)", RateParameter("qp", "qp", (0, 63), (52, 47, 42, 37, 32, 27, 22)),
    {"preset": "medium", "perceptual_qpa": False}, _vvenc, seconds_per_megapixel=8.0,
)
