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
from typing import Any

from bench.codecs.base import Json
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
    """Options of libaom."""
    return ["-usage", "allintra", "-still-picture", "1", "-b:v", "0", "-crf", str(crf),
            "-cpu-used", str(settings["speed"]), "-tune", settings["tune"]]


def _hevc(settings: dict[str, Any], qp: int) -> list[str]:
    """Options of x265."""
    options = f"qp={qp}:keyint=1:ipratio=1:info=0:pools=none:frame-threads=1:wpp=0:log-level=error"
    return ["-preset", settings["preset"], "-tune", settings["tune"], "-x265-params", options]


def _vvenc(settings: dict[str, Any], qp: int) -> list[str]:
    """Options of VVenC."""
    return ["-preset", settings["preset"], "-qp", str(qp), "-qpa", str(int(settings["perceptual_qpa"])),
            "-vvenc-params", "intraperiod=1:gopsize=1:decodingrefreshtype=idr"]


def _name_version(library: str) -> str:
    """A library, and ffmpeg with its version."""
    return f"{library}, ffmpeg {list_codecs()[0]}"


def _register_video(
    name: str, label: str, rate: RateParameter, settings: dict[str, Json], seconds_per_megapixel: float, *,
    options: Callable[[dict[str, Any], int], list[str]], layout: YCbCrFormat, library: str, version: str, codec: str,
    encoder: str, muxer: str, file: str,
) -> None:
    """Add a codec of raw frames, whose encoder gets what ``options`` makes of settings and rate parameter.

    ``version`` is the pattern of the library's version in ffmpeg's log; ``codec``, ``encoder`` and ``muxer`` are
    ffmpeg's names of the standard, its encoder and the bare stream.
    """
    ClassicalCodec(
        name=name, label=label, colour=f"BT.709 full-range {layout}, rounded", rate=rate, settings=settings,
        facts={"threads": 1, "file": file},
        build=lambda chosen, value: PlaneCodec(VideoCoder(muxer, layout, ["-c:v", encoder, *options(chosen, value)]),
                                               layout),
        version=lambda: _name_version(f"{library} {find_library_version(encoder, pixel_format(layout), version)}"),
        missing=lambda: find_missing(codec, encoder), seconds_per_megapixel=seconds_per_megapixel,
    ).register()


_register_video(
    "avif", "AVIF (libaom, 4:4:4 10-bit)", RateParameter("crf", "crf", (0, 63), (60, 54, 47, 40, 32, 24, 16)),
    {"speed": 4, "tune": "psnr"}, 4.0, options=_avif, layout=YCbCrFormat("444", 10),
    library="libaom", version=r"\[libaom-av1[^]]*\] v(\d\S*)", codec="av1", encoder="libaom-av1", muxer="obu",
    file="4 bytes with the image's size, OBU stream",
)

ClassicalCodec(
    name="jpegxl", label="JPEG XL (libjxl)", colour="RGB, XYB inside the codec",
    rate=RateParameter("distance", "d", (0.01, 15), (15, 9.5, 6, 3.5, 2, 1.2, 0.7), fractional=True),
    settings={"effort": 7}, facts={"threads": 1, "file": "codestream"},
    build=lambda settings, distance: JpegXlCodec(distance, settings["effort"]),
    version=lambda: _name_version("libjxl"),  # it states no version of its own; ffmpeg's fixes it
    missing=lambda: find_missing("jpegxl", "libjxl"), seconds_per_megapixel=0.4,
).register()

_register_video(
    "hevc", "HEVC intra (x265, 4:4:4 10-bit)", RateParameter("qp", "qp", (0, 51), (48, 43, 38, 33, 28, 23, 18)),
    {"preset": "veryslow", "tune": "psnr"}, 1.0, options=_hevc, layout=YCbCrFormat("444", 10),
    library="x265", version=r"HEVC encoder version (\S+)", codec="hevc", encoder="libx265", muxer="hevc", file=ANNEX_B,
)

_register_video(
    "vvenc", "VVenC (4:2:0 10-bit)", RateParameter("qp", "qp", (0, 63), (52, 47, 42, 37, 32, 27, 22)),
    {"preset": "medium", "perceptual_qpa": False}, 8.0, options=_vvenc, layout=YCbCrFormat("420", 10),
    library="VVenC", version=r"libvvenc version: (\S+)", codec="vvc", encoder="libvvenc", muxer="vvc", file=ANNEX_B,
)
