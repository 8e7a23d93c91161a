"""Pictures: PNG written by hand, JPEG, WebP, TIFF, BMP and PPM, whole, damaged, or announcing what is not there."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from fuzz.damage import damaged
from fuzz.trials import Generator, Trial
from hypothesis import strategies as st
from PIL import Image
from tiny_models import picture

from bench.datasets.images import MAX_PIXELS, image_size, read_rgb8

START = b"\x89PNG\r\n\x1a\n"
WIDTH, HEIGHT = 13, 7
KINDS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "tif": "TIFF", "bmp": "BMP", "ppm": "PPM"}
METADATA = [(b"tEXt", b"key\0text"), (b"zTXt", b"key\0\0" + zlib.compress(bytes(1 << 21))), (b"pHYs", bytes(9)),
            (b"iCCP", b"name\0\0" + zlib.compress(b"no profile")), (b"gAMA", bytes(4)), (b"tIME", bytes(7)),
            (b"sRGB", b"\0"), (b"eXIf", b"II*\0" + bytes(20)), (b"prVt", b"own"), (b"tEXt", b"transparency\0x")]
HEADER_CHOICES = ((1, 2, 4, 8, 16), (0, 2, 3, 4, 6), (0, 1), (0, 1), (0, 1))  # depth, colours, three methods
EDGES = (0, 1, 2, 255, 4096, 8192, 16_383, 16_384, 30_000, 60_000, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@st.composite
def pngs(draw: st.DrawFn) -> tuple[list[tuple[bytes, bytes]], np.ndarray]:
    """The chunks of a PNG, by its specification, and its pixels."""
    grey = draw(st.booleans())
    pixels = picture(WIDTH, HEIGHT, draw(st.integers(0, 3)))
    pixels = np.repeat(pixels[..., :1], 3, axis=2) if grey else pixels
    samples = pixels[..., :1] if grey else pixels
    depth = samples.shape[2]
    rows = []
    for number, row in enumerate(samples.reshape(HEIGHT, -1).astype(int)):
        kind = draw(st.sampled_from([0, 1, 2]))
        left = np.concatenate([np.zeros(depth, int), row[:-depth]])
        above = samples[number - 1].reshape(-1).astype(int) if number else np.zeros_like(row)
        rows.append(bytes([kind]) + (row - (0, left, above)[kind]).astype(np.uint8).tobytes())
    data = zlib.compress(b"".join(rows), draw(st.integers(0, 9)))

    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=3)))
    parts = [(b"IDAT", data[start:end]) for start, end in zip([0, *cuts], [*cuts, len(data)])]
    before, after = (draw(st.lists(st.sampled_from(METADATA), max_size=2)) for _ in range(2))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0 if grey else 2, 0, 0, 0)
    unique = list({kind: (kind, content) for kind, content in before}.values())
    after = [(kind, content) for kind, content in after if kind in (b"tEXt", b"zTXt", b"tIME", b"prVt")]
    return [(b"IHDR", header), *unique, *parts, *after, (b"IEND", b"")], pixels


def join(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return START + b"".join(chunk(*one) for one in chunks)


@st.composite
def damaged_pngs(draw: st.DrawFn) -> bytes:
    """A PNG with another header, or chunks damaged, lost or doubled, all checksums right."""
    chunks, _ = draw(pngs())
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, len(chunks) - 1))
        kind, data = chunks[place]
        case = draw(st.sampled_from(["size", "header", "data", "lose", "double", "kind", "bomb"]))
        if case == "size":
            sides = [draw(st.sampled_from(EDGES)) for _ in range(2)]
            chunks[0] = b"IHDR", struct.pack(">II", *sides) + chunks[0][1][8:]
        elif case == "header":
            rest = bytes(draw(st.sampled_from(choices)) for choices in HEADER_CHOICES)
            chunks[0] = b"IHDR", chunks[0][1][:8] + rest
        elif case == "data":
            chunks[place] = kind, draw(damaged(data))
        elif case == "lose" and len(chunks) > 1:
            del chunks[place]
        elif case == "double":
            chunks.insert(place, (kind, data))
        elif case == "kind":
            chunks[place] = draw(st.sampled_from([b"IDAT", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"zTXt"])), data
        elif case == "bomb":
            chunks.insert(1, (b"zTXt", b"key\0\0" + bomb()))
    return join(chunks)


@cache
def bomb() -> bytes:
    return zlib.compress(bytes(1 << 27), 9)


@st.composite
def saved(draw: st.DrawFn) -> tuple[str, bytes, np.ndarray]:
    """A name, a file that Pillow writes, and its pixels as Pillow reads them."""
    suffix = draw(st.sampled_from(sorted(KINDS)))
    options: dict[str, Any] = {
        "jpg": {"quality": draw(st.sampled_from([30, 95])), "progressive": draw(st.booleans()), "comment": b"by us"},
        "webp": {"lossless": draw(st.booleans()), "exif": draw(st.sampled_from([b"", b"Exif\0\0II*\0"]))},
        "tif": {"compression": draw(st.sampled_from([None, "tiff_lzw", "tiff_adobe_deflate", "packbits"]))},
        "png": {"compress_level": draw(st.integers(0, 9))},
    }.get(suffix, {})
    stream = io.BytesIO()
    Image.fromarray(picture(WIDTH, HEIGHT, draw(st.integers(0, 3)))).save(stream, KINDS[suffix], **options)
    with Image.open(stream) as image:
        pixels = np.asarray(image.convert("RGB"))
    return f"picture.{suffix}", stream.getvalue(), pixels


def promise(suffix: str, width: int, height: int) -> bytes:
    """A file that announces more pixels than it holds."""
    if suffix == "ppm":
        return b"P6 %d %d 255\n" % (width, height) + bytes(99)
    if suffix == "bmp":
        sides = width & 2**31 - 1, height & 2**31 - 1
        return b"BM" + struct.pack("<IIIIiiHH6I", 154, 0, 54, 40, *sides, 1, 24, *[0] * 6) + bytes(100)
    if suffix == "webp":
        bits = (width - 1 & 0x3FFF) | (height - 1 & 0x3FFF) << 14
        data = b"\x2f" + struct.pack("<I", bits) + bytes(100)
        return b"RIFF" + struct.pack("<I", 12 + len(data)) + b"WEBPVP8L" + struct.pack("<I", len(data)) + data
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
               (278, 4, height), (279, 4, 16)]
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<I", 24) + bytes(16) + struct.pack("<H", len(entries)) + table + bytes(4)


@st.composite
def pictures(draw: st.DrawFn) -> Trial:
    """A whole picture and its pixels, or a damaged one."""
    case = draw(st.sampled_from(["png", "saved", "png bytes", "png chunks", "png chunks", "saved bytes", "saved bytes",
                                 "promise"]))
    if case == "png chunks":
        return Trial({"picture.png": draw(damaged_pngs())})
    if case == "promise":
        suffix = draw(st.sampled_from(["ppm", "bmp", "webp", "tif"]))
        content = promise(suffix, draw(st.sampled_from(EDGES)), draw(st.sampled_from(EDGES)))
        return Trial({f"picture.{suffix}": content if draw(st.booleans()) else draw(damaged(content))})

    if case.startswith("png"):
        chunks, pixels = draw(pngs())
        name, content = "picture.png", join(chunks)
    else:
        name, content, pixels = draw(saved())
    if case in ("png", "saved"):
        return Trial({name: content}, describe(pixels), refusable=False)
    content = draw(damaged(content))
    return Trial({name: content}, describe(pixels) if name.endswith("png") else None)  # a PNG has checksums


def describe(pixels: np.ndarray) -> list[Any]:
    return [*pixels.shape, hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest()]


def read(path: Path) -> Any:
    """Read a picture, and check that it is as large as its header says."""
    pixels = read_rgb8(path)
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.flags["C_CONTIGUOUS"]
    assert image_size(path, decode=True) == (pixels.shape[1], pixels.shape[0])
    assert 0 < pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS
    return describe(pixels)


PICTURES = Generator("pictures", pictures(), read, 300)
