"""Read image files as 8-bit RGB samples, and write such samples without loss.

The samples are taken as they are stored: ICC profiles, gamma, and EXIF orientation are ignored, because some
files of the test sets carry a wrong profile and because published figures ignore them.
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from bench.common.errors import ImageError

FORMATS = ("PNG", "PPM", "BMP", "TIFF", "JPEG", "WEBP")
LOSSLESS_SUFFIXES = frozenset({".png", ".ppm", ".pgm", ".pbm", ".pnm", ".bmp", ".tif", ".tiff"})
PNG = "PNG"
WRITTEN = {".png": PNG, ".ppm": "PPM", ".pnm": "PPM", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF"}
_EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA"})
_TIFF_BITS_PER_SAMPLE = 258
MAX_PIXELS = 1 << 27  # of a picture, by its header: four of 8K, 16384x8192
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow warns above, and refuses above twice as many before it decodes
MAX_BYTES = 1 << 30  # of its file, which is read whole
_HEADER_BYTES = 4096  # of a file, enough for the depth of its samples
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_METADATA = frozenset({b"iCCP", b"tEXt", b"zTXt", b"iTXt", b"eXIf"})
_PNG_END = b"\xaeB`\x82"  # checksum of the last chunk, IEND, which Pillow leaves unread


def read_rgb8(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an image: uint8 (H, W, 3), writable, C-contiguous.

    Greyscale and palette images become RGB without loss; an alpha channel is dropped only where it is fully
    opaque. JPEG and WebP are read too (training sets use them).

    Raises:
        ImageError: the file can't be read, is damaged, or is not 8-bit RGB in one of these ways; the message
            names the file, what is wrong and what to do.
    """
    path = Path(path)
    with _opened(path) as (image, header):
        return _convert(path, image, header)


def decode_rgb8(content: bytes, name: str) -> np.ndarray:
    """As :func:`read_rgb8`, from the bytes of an image file, which messages call ``name``."""
    with _opened(name, io.BytesIO(content)) as (image, header):
        return _convert(name, image, header)


def encode_rgb8(pixels: np.ndarray, kind: str) -> bytes:
    """Return the bytes of an image file.

    Args:
        pixels: uint8 (H, W, 3).
        kind: a value of ``WRITTEN``, all of which keep every sample.
    """
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def _convert(name: Path | str, image: Image.Image, header: bytes) -> np.ndarray:
    """The samples of an opened image: uint8 (H, W, 3)."""
    _refuse_unsupported(name, image, header)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise ImageError(f"{name}: has transparent pixels",
                             "flatten it onto a background, or remove the alpha channel")
    return np.array(image.convert("RGB"), dtype=np.uint8)


def image_size(path: str | os.PathLike[str], decode: bool = False) -> tuple[int, int]:
    """Return (width, height) in pixels from the file's header.

    Args:
        decode: decode the pixels too, so that a damaged file is an error.

    Raises:
        ImageError: the file can't be read or is no image.
    """
    with _opened(Path(path)) as (image, _):
        if decode:
            image.load()
        return image.size


@contextlib.contextmanager
def _opened(path: Path | str, content: BinaryIO | None = None) -> Iterator[tuple[Image.Image, bytes]]:
    """Open an image, a file's or of ``content``, and give its first bytes with it.

    Whatever Pillow raises on it inside the block becomes an ImageError, which calls it ``path``.
    """
    try:
        with content or open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow tells of large pictures and of odd metadata
            header = file.read(_HEADER_BYTES)
            if not header:
                raise ImageError(f"{path}: is empty (0 bytes)", "fetch or copy it again")
            refuse_huge(file, path)
            stream = _drop_metadata(file) if header.startswith(_PNG_START) else file
            with Image.open(stream, formats=FORMATS) as image:
                image.verify()  # a PNG's checksums: decoding alone overlooks damage behind the last row
                if image.format == "PNG" and stream.read(4) != _PNG_END:
                    raise ImageError(f"{path}: is truncated", "fetch or copy it again")
            stream.seek(0)
            with Image.open(stream, formats=FORMATS) as image:
                yield image, header
    except ImageError:
        raise
    except Image.UnidentifiedImageError:
        raise ImageError(f"{path}: is not an image of a known format, or its header is damaged",
                         f"known formats: {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{path}: has more than {MAX_PIXELS:,} pixels", "crop it") from None
    except MemoryError:
        raise ImageError(f"{path}: does not fit into memory", "crop it") from None
    except Exception as error:  # decoders raise many kinds on damaged files
        if isinstance(error, OSError) and error.errno:  # the operating system's
            raise ImageError(f"{path}: {error.strerror}", "check the path and its permissions") from None
        raise ImageError(f"{path}: is truncated or damaged ({str(error) or type(error).__name__})",
                         "fetch or copy it again") from None


def refuse_huge(file: BinaryIO, path: Path | str) -> None:
    """Raise an ImageError for a file, which is then read whole, of more bytes than any picture needs."""
    if file.seek(0, os.SEEK_END) > MAX_BYTES:
        raise ImageError(f"{path}: has more than {MAX_BYTES:,} bytes", "save the picture alone")
    file.seek(0)


def _drop_metadata(file: BinaryIO) -> BinaryIO:
    """Return a PNG file without profiles and texts.

    Pillow unpacks them, refuses the picture for a large one, and takes a text called "transparency" for the chunk.
    """
    content = memoryview(file.read())
    kept, start, kind = [content[:len(_PNG_START)]], len(_PNG_START), b""
    while start < len(content) and kind != b"IEND":
        end = start + 12 + int.from_bytes(content[start:start + 4], "big")  # length, kind, data, checksum
        kind = bytes(content[start + 4:start + 8])
        if kind not in _PNG_METADATA or end > len(content):
            kept.append(content[start:end])
        start = end
    return io.BytesIO(b"".join([*kept, content[start:]]))


def _refuse_unsupported(path: Path | str, image: Image.Image, header: bytes) -> None:
    """Raise an ImageError for what can't become 8-bit RGB without loss."""
    if _has_second_page(image):
        raise ImageError(f"{path}: is animated or has several pages", "keep one frame")
    deep = image.mode.startswith(("I", "F"))
    if deep or _bits_per_sample(image, header) > 8:
        raise ImageError(f"{path}: has more than 8 bits per sample",
                         "convert it to 8 bits yourself, so that the rounding is your choice")
    if image.mode not in _EIGHT_BIT_MODES:
        raise ImageError(f"{path}: is {image.mode}, not RGB", "convert it to 8-bit RGB")


def _has_second_page(image: Image.Image) -> bool:
    """Whether there is another picture in the file; of a TIFF, ``n_frames`` would read them all."""
    if not isinstance(image, TiffImageFile):
        return getattr(image, "n_frames", 1) > 1
    try:
        image.seek(1)
    except EOFError:
        return False
    return True


def _bits_per_sample(image: Image.Image, header: bytes) -> int:
    """Return the bits of a sample as stored; Pillow silently cuts 48-bit RGB down to 24."""
    if image.format == PNG:
        return header[24]  # IHDR: width, height, bit depth
    if isinstance(image, TiffImageFile):
        stored = image.tag_v2.get(_TIFF_BITS_PER_SAMPLE, (1,))
        return max(stored) if isinstance(stored, tuple) else stored
    if image.format == "PPM":
        words = b" ".join(line.split(b"#")[0] for line in header.splitlines()).split()
        return 1 if words[0] in (b"P1", b"P4") else int(words[3]).bit_length()  # 4th word: the largest value
    return 8
