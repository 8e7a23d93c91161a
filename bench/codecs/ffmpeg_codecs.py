"""The codecs that :mod:`bench.codecs.ffmpeg` runs: their settings, rate points and versions.

AVIF is libaom's still-picture mode at a constant quality, tuned for PSNR; what is counted is the AV1 stream
without the boxes of an AVIF file, as the others are counted without containers. libjxl has no setting that
aims at PSNR; its distance is perceptual, 15 at most. HEVC is x265 with one intra frame at a constant QP: no
offset between that QP and the frame's, no rate control, tuned for PSNR, without the text that x265 adds to
its streams. VVC is VVenC with one intra frame at a constant QP, without its perceptual adaptation; it takes
4:2:0 10-bit only.
"""

from __future__ import annotations

from typing import Any

from bench.codecs.base import Codec
from bench.codecs.classical import ClassicalCodec, RateParameter
from bench.codecs.colour import YCbCrFormat
from bench.codecs.ffmpeg import JpegXlCodec, VideoCoder, ffmpeg_codecs, library_version, missing
from bench.codecs.planes import PlaneCodec

OBUS = "4 bytes with the image's size, OBU stream"
ANNEX_B = "4 bytes with the image's size, Annex B stream"
AVIF_LAYOUT = HEVC_LAYOUT = YCbCrFormat("444", 10)
VVENC_LAYOUT = YCbCrFormat("420", 10)


def _avif(settings: dict[str, Any], crf: int) -> Codec:
    encoder = ["-c:v", "libaom-av1", "-usage", "allintra", "-still-picture", "1", "-b:v", "0",
               "-crf", str(crf), "-cpu-used", str(settings["speed"]), "-tune", settings["tune"]]
    return PlaneCodec(VideoCoder("obu", AVIF_LAYOUT, encoder), AVIF_LAYOUT)


def _jpegxl(settings: dict[str, Any], distance: float) -> Codec:
    return JpegXlCodec(distance, settings["effort"])


def _hevc(settings: dict[str, Any], qp: int) -> Codec:
    options = f"qp={qp}:keyint=1:ipratio=1:info=0:pools=none:frame-threads=1:wpp=0:log-level=error"
    encoder = ["-c:v", "libx265", "-preset", settings["preset"], "-tune", settings["tune"],
               "-x265-params", options]
    return PlaneCodec(VideoCoder("hevc", HEVC_LAYOUT, encoder), HEVC_LAYOUT)


def _vvenc(settings: dict[str, Any], qp: int) -> Codec:
    encoder = ["-c:v", "libvvenc", "-preset", settings["preset"], "-qp", str(qp),
               "-qpa", str(int(settings["perceptual_qpa"])),
               "-vvenc-params", "intraperiod=1:gopsize=1:decodingrefreshtype=idr"]
    return PlaneCodec(VideoCoder("vvc", VVENC_LAYOUT, encoder), VVENC_LAYOUT)


def _libaom_version() -> str:
    return library_version("libaom-av1", "yuv444p10le", r"\[libaom-av1[^]]*\] v(\d\S*)")


def _x265_version() -> str:
    return library_version("libx265", "yuv444p10le", r"HEVC encoder version (\S+)")


def _vvenc_version() -> str:
    return library_version("libvvenc", "yuv420p10le", r"libvvenc version: (\S+)")


def _with_ffmpeg(library: str) -> str:
    return f"{library}, ffmpeg {ffmpeg_codecs()[0]}"


ClassicalCodec(
    name="avif", label="AVIF (libaom, 4:4:4 10-bit)", colour=f"BT.709 full-range {AVIF_LAYOUT}, rounded",
    rate=RateParameter("crf", "crf", (0, 63), (60, 54, 47, 40, 32, 24, 16)),
    settings={"speed": 4, "tune": "psnr"}, facts={"threads": 1, "file": OBUS}, build=_avif,
    version=lambda: _with_ffmpeg(f"libaom {_libaom_version()}"),
    missing=lambda: missing("av1", "libaom-av1"), seconds_per_megapixel=4.0,
).register()

ClassicalCodec(
    name="jpegxl", label="JPEG XL (libjxl)", colour="RGB, XYB inside the codec",
    rate=RateParameter("distance", "d", (0.01, 15), (15, 9.5, 6, 3.5, 2, 1.2, 0.7), fractional=True),
    settings={"effort": 7}, facts={"threads": 1, "file": "codestream"}, build=_jpegxl,
    version=lambda: _with_ffmpeg("libjxl"),  # it states no version of its own; ffmpeg's fixes it
    missing=lambda: missing("jpegxl", "libjxl"), seconds_per_megapixel=0.4,
).register()

ClassicalCodec(
    name="hevc", label="HEVC intra (x265, 4:4:4 10-bit)", colour=f"BT.709 full-range {HEVC_LAYOUT}, rounded",
    rate=RateParameter("qp", "qp", (0, 51), (48, 43, 38, 33, 28, 23, 18)),
    settings={"preset": "veryslow", "tune": "psnr"}, facts={"threads": 1, "file": ANNEX_B}, build=_hevc,
    version=lambda: _with_ffmpeg(f"x265 {_x265_version()}"),
    missing=lambda: missing("hevc", "libx265"), seconds_per_megapixel=1.0,
).register()

ClassicalCodec(
    name="vvenc", label="VVenC (4:2:0 10-bit)", colour=f"BT.709 full-range {VVENC_LAYOUT}, rounded",
    rate=RateParameter("qp", "qp", (0, 63), (52, 47, 42, 37, 32, 27, 22)),
    settings={"preset": "medium", "perceptual_qpa": False}, facts={"threads": 1, "file": ANNEX_B},
    build=_vvenc, version=lambda: _with_ffmpeg(f"VVenC {_vvenc_version()}"),
    missing=lambda: missing("vvc", "libvvenc"), seconds_per_megapixel=8.0,
).register()
