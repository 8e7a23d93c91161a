"""AV1, JPEG XL, HEVC and VVC by the ffmpeg of the package ``imageio-ffmpeg``: one process a call, one thread.

ffmpeg converts no colours here: AV1, HEVC and VVC get raw YCbCr planes and give them back
(:mod:`bench.codecs.colour`), JPEG XL gets RGB and gives RGB. What is counted is the bare stream: a JPEG XL
codestream, or a stream of OBUs (AV1) or NAL units (HEVC, VVC) after four bytes with the image's size
(:mod:`bench.codecs.planes`). Encode and decode times include the start of the program, about 0.02 s.
"""

from __future__ import annotations

import functools
import io
import re

import numpy as np
from PIL import Image

from bench.codecs.base import Encoding
from bench.codecs.colour import YCbCrFormat
from bench.codecs.program import run_program
from bench.common.errors import BenchError, CodecError, CodecUnavailable
from bench.common.temporary import temporary_folder

FIRST_BYTES = {  # of a stream, by ffmpeg's muxer: a temporal delimiter, a start code
    "obu": b"\x12\0", "hevc": b"\0\0\0\1", "vvc": b"\0\0\0\1",
}
INSTALL_HINT = "install the package imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE to an ffmpeg that has it"
QUIET = ["-hide_banner", "-nostdin", "-loglevel", "error"]
STRICT = ["-xerror", "-err_detect", "explode", "-threads", "1"]  # a damaged stream is an error, not concealed


@functools.cache
def find_ffmpeg() -> str:
    """Path of the ffmpeg binary.

    Raises:
        CodecUnavailable: there is none.
    """
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise CodecUnavailable(f"there is no ffmpeg: {error}", INSTALL_HINT) from None


@functools.cache
def list_codecs() -> tuple[str, str]:
    """ffmpeg's version, and its list of codecs."""
    done = run_program([find_ffmpeg(), "-codecs"], timeout_s=60)
    version = re.search(r"ffmpeg version (\S+)", done.stderr.decode("utf-8", "replace"))
    return (version.group(1) if version else "unknown"), done.stdout.decode("utf-8", "replace")


def find_missing(codec: str, encoder: str) -> str | None:
    """Say what is missing here to code and decode ffmpeg's ``codec`` with ``encoder``; None if nothing is."""
    try:
        listing = list_codecs()[1]
    except BenchError as error:
        return f"{error.args[0]}\n  {INSTALL_HINT}"

    line = re.search(rf"^ (\S{{6}}) {codec}\s.*$", listing, re.MULTILINE)
    if line is None or line.group(1)[0] != "D":
        return f"this ffmpeg has no {codec} decoder\n  {INSTALL_HINT}"
    if not re.search(rf"\(encoders:[^)]*\b{encoder}\b", line.group()):
        return f"this ffmpeg has no {encoder}\n  {INSTALL_HINT}"
    return None


@functools.cache
def find_library_version(encoder: str, pixels: str, pattern: str) -> str:
    """Return what ``pattern``'s group matches in the log of encoding a small frame, "unknown" if nothing."""
    command = [find_ffmpeg(), "-hide_banner", "-nostdin", "-loglevel", "verbose",
               "-f", "lavfi", "-i", "color=black:size=64x64:rate=1", "-frames:v", "1",
               "-pix_fmt", pixels, "-c:v", encoder, "-f", "null", "-"]
    log = run_program(command, timeout_s=60).stderr
    found = re.search(pattern, log.decode("utf-8", "replace"))
    return found.group(1) if found else "unknown"


def encode_frame(
    raw: bytes, pixels: str, height: int, width: int, encoder: list[str], muxer: str
) -> bytes:
    """Encode one raw frame.

    The stream goes through a file because VVenC prints its notices to standard output, where they would be
    counted as part of the stream.

    Raises:
        CodecError: the encoder failed; the message says how.
    """
    source = ["-f", "rawvideo", "-pixel_format", pixels, "-video_size", f"{width}x{height}",
              "-framerate", "1", "-i", "pipe:0", "-frames:v", "1"]
    with temporary_folder("ffmpeg") as folder:
        run_program([find_ffmpeg(), *QUIET, *source, "-threads", "1", *encoder, "-f", muxer, "stream"],
                    data=raw, folder=folder)
        return (folder / "stream").read_bytes()


def decode_frame(stream: bytes, demuxer: str, output: list[str]) -> bytes:
    """Decode a stream of one frame.

    Raises:
        CodecError: the stream is damaged or of another codec.
    """
    command = [find_ffmpeg(), *QUIET, *STRICT, "-f", demuxer, "-i", "pipe:0", *output, "pipe:1"]
    return run_program(command, data=stream).stdout


def pixel_format(layout: YCbCrFormat) -> str:
    """ffmpeg's name of a planar format."""
    return f"yuv{layout.chroma}p" + ("" if layout.depth == 8 else "10le")


class VideoCoder:
    """One raw frame by a video encoder of ffmpeg's, as a bare stream (a :class:`PlaneCoder`).

    ffmpeg's HEVC decoder does not notice that a stream was cut short; the VVC decoder does.
    """

    def __init__(self, muxer: str, layout: YCbCrFormat, encoder: list[str]) -> None:
        self._muxer = muxer
        self._pixel_format = pixel_format(layout)
        self._encoder = encoder

    def compress(self, planes: bytes, height: int, width: int) -> tuple[bytes, bytes | None]:
        stream = encode_frame(planes, self._pixel_format, height, width, self._encoder, self._muxer)
        if not stream.startswith(FIRST_BYTES[self._muxer]):
            raise CodecError(f"{self._encoder[1]} wrote no {self._muxer} stream")
        return stream, None

    def decompress(self, stream: bytes, height: int, width: int) -> bytes:
        # Without -pix_fmt the decoder's own samples come out; another format would not have the right length.
        return decode_frame(stream, self._muxer, ["-f", "rawvideo"])


class JpegXlCodec:
    """JPEG XL at one distance: RGB in, XYB inside, RGB out."""

    def __init__(self, distance: float, effort: int) -> None:
        self._encoder = ["-c:v", "libjxl", "-distance", f"{distance:g}", "-effort", str(effort)]

    def encode(self, image: np.ndarray) -> Encoding:
        height, width = image.shape[:2]
        return Encoding(stream=encode_frame(image.tobytes(), "rgb24", height, width, self._encoder, "image2pipe"))

    def decode(self, stream: bytes) -> np.ndarray:
        # A PPM frame tells its size, which the raw pixels would not.
        frame = decode_frame(stream, "jpegxl_pipe", ["-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24"])
        try:
            with Image.open(io.BytesIO(frame), formats=["PPM"]) as image:
                return np.asarray(image.convert("RGB"))
        except (OSError, ValueError) as error:
            raise CodecError(f"the JPEG XL stream can't be decoded: {error}") from None
