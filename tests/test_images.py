"""Which image files are read as 8-bit RGB, to which samples, and which are refused with what message."""

import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from privileges import binding_permissions

from bench.common.errors import ImageError
from bench.datasets.images import WRITTEN, decode_rgb8, encode_rgb8, image_size, read_rgb8

GREY, RGB, RGBA = 0, 2, 6  # PNG colour types


@pytest.fixture
def picture():
    return np.random.default_rng(1).integers(0, 256, (13, 17, 3), dtype=np.uint8)


def png(width, height, depth, colour_type, samples, chunks=b""):
    """Return a PNG built by hand, so that depths Pillow can't write are covered; rows without a filter."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    stride = len(samples) // height
    rows = b"".join(b"\0" + samples[row * stride:(row + 1) * stride] for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b""))


def refused(path, *words):
    """Assert that the file is refused with a message that names it, the fault and a remedy."""
    with pytest.raises(ImageError) as caught:
        read_rgb8(path)
    assert str(path) in str(caught.value)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("suffix", [".png", ".ppm", ".bmp", ".tif"])
def test_rgb_is_exact(tmp_path, picture, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(picture).save(path)
    read = read_rgb8(path)
    assert read.dtype == np.uint8 and read.flags["C_CONTIGUOUS"] and read.flags["WRITEABLE"]
    np.testing.assert_array_equal(read, picture)
    assert image_size(path) == (17, 13)


def test_profile_gamma_and_orientation_are_ignored(tmp_path, picture):
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">I", 100000))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    path = tmp_path / "a.png"
    Image.fromarray(picture).save(path, pnginfo=info, exif=exif, icc_profile=b"no valid profile" * 20)
    with Image.open(path) as image:
        assert {"gamma", "exif", "icc_profile"} <= set(image.info)
    np.testing.assert_array_equal(read_rgb8(path), picture)


def test_one_pixel(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(1, 1, 8, RGB, bytes([3, 141, 59])))
    assert read_rgb8(path).tolist() == [[[3, 141, 59]]]


@pytest.mark.parametrize("depth, samples, levels", [
    (1, b"\x50\x00", [0, 255, 0, 255]), (2, b"\x1b\x1b", [0, 85, 170, 255]),
    (4, b"\x03\xcf\x03\xcf", [0, 51, 204, 255]), (8, bytes([0, 1, 254, 255] * 2), [0, 1, 254, 255])])
def test_greyscale_of_any_depth_up_to_8(tmp_path, depth, samples, levels):
    path = tmp_path / "a.png"
    path.write_bytes(png(4, 2, depth, GREY, samples))
    read = read_rgb8(path)
    assert read[0].tolist() == [[level] * 3 for level in levels]


def test_palette_is_exact(tmp_path, picture):
    palette = picture.reshape(-1, 3)[:200]
    indices = np.random.default_rng(2).integers(0, 200, (9, 11), dtype=np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette(palette.tobytes())
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_rgb8(tmp_path / "a.png"), palette[indices])


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_must_be_opaque(tmp_path, picture, mode):
    image = Image.fromarray(picture).convert(mode)
    image.save(tmp_path / "opaque.png")
    expected = picture if mode == "RGBA" else np.repeat(np.asarray(image)[..., :1], 3, axis=2)
    np.testing.assert_array_equal(read_rgb8(tmp_path / "opaque.png"), expected)
    alpha = Image.new("L", image.size, 255)
    alpha.putpixel((4, 5), 254)
    image.putalpha(alpha)
    image.save(tmp_path / "clear.png")
    refused(tmp_path / "clear.png", "transparent")


@pytest.mark.parametrize("colour_type, samples, key, absent", [
    (RGB, bytes([1, 2, 3, 4, 5, 6]), (4, 5, 6), (9, 9, 9)), (GREY, bytes([7, 8]), (8,), (9,))])
def test_transparent_colour_counts_only_where_used(tmp_path, colour_type, samples, key, absent):
    for name, colour in (("used", key), ("unused", absent)):
        data = struct.pack(f">{len(colour)}H", *colour)
        chunk = struct.pack(">I", len(data)) + b"tRNS" + data + struct.pack(">I", zlib.crc32(b"tRNS" + data))
        (tmp_path / f"{name}.png").write_bytes(png(2, 1, 8, colour_type, samples, chunk))
    refused(tmp_path / "used.png", "transparent")
    expected = samples if colour_type == RGB else bytes(np.repeat(list(samples), 3).tolist())
    assert read_rgb8(tmp_path / "unused.png").tobytes() == expected


@pytest.mark.parametrize("colour_type, channels", [(GREY, 1), (RGB, 3), (4, 2), (RGBA, 4)])
def test_16_bit_png_is_refused(tmp_path, colour_type, channels):
    path = tmp_path / "deep.png"
    path.write_bytes(png(2, 2, 16, colour_type, bytes(range(8 * channels))))
    refused(path, "8 bits")


def test_16_bit_netpbm_and_tiff_are_refused(tmp_path):
    (tmp_path / "a.ppm").write_bytes(b"P6\n# a comment\n2 1\n65535\n" + bytes(12))
    refused(tmp_path / "a.ppm", "8 bits")
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 1023 " + bytes(4))
    refused(tmp_path / "a.pgm", "8 bits")
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(tmp_path / "grey.tif")
    refused(tmp_path / "grey.tif", "8 bits")
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "float.tif")
    refused(tmp_path / "float.tif", "8 bits")
    (tmp_path / "colour.tif").write_bytes(_tiff_48_bit())
    with Image.open(tmp_path / "colour.tif") as image:
        assert image.mode == "RGB"  # Pillow cuts it down without a word
    refused(tmp_path / "colour.tif", "8 bits")


def _tiff_48_bit():
    """Return a little-endian TIFF of one pixel with three samples of 16 bits."""
    short, long = 3, 4
    entries = [(256, short, 1, 1), (257, short, 1, 1), (258, short, 3, 122), (259, short, 1, 1),
               (262, short, 1, 2), (273, long, 1, 128), (277, short, 1, 3), (278, short, 1, 1),
               (279, long, 1, 6)]
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + struct.pack("<I", 0)
    return head.ljust(122, b"\0") + struct.pack("<3H", 16, 16, 16) + struct.pack("<3H", 1, 2, 65535)


def test_other_colour_spaces_are_refused(tmp_path, picture):
    for name, mode in (("a.tif", "CMYK"), ("a.jpg", "CMYK"), ("b.tif", "LAB")):
        image = Image.new(mode, (8, 8))
        image.save(tmp_path / name)
        refused(tmp_path / name, mode)


def test_animated_images_are_refused(tmp_path, picture):
    first, second = Image.fromarray(picture), Image.fromarray(255 - picture)
    for name in ("a.png", "a.tif", "a.webp"):
        first.save(tmp_path / name, save_all=True, append_images=[second])
        refused(tmp_path / name, "several pages")


def test_every_truncation_of_a_png_is_refused(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "whole.png")
    data = (tmp_path / "whole.png").read_bytes()
    path = tmp_path / "cut.png"
    for length in [*range(1, 60), *range(60, len(data) - 60, 37), *range(len(data) - 60, len(data))]:
        path.write_bytes(data[:length])
        refused(path)


def test_truncated_other_formats_are_refused(tmp_path):
    noise = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for name in ("a.ppm", "a.bmp", "a.tif", "a.jpg"):
        Image.fromarray(noise).save(tmp_path / name)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[:len(data) // 2])
        refused(tmp_path / name)


def test_a_flipped_bit_in_a_png_is_refused(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[data.index(b"IDAT") + 100] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    refused(tmp_path / "a.png", "damaged")


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "empty.png").touch()
    refused(tmp_path / "empty.png", "0 bytes")
    (tmp_path / "text.png").write_text("not an image")
    refused(tmp_path / "text.png", "not an image")
    (tmp_path / "folder.png").mkdir()
    refused(tmp_path / "folder.png")
    refused(tmp_path / "absent.png", "No such file")


def test_unreadable_file_is_refused(tmp_path, picture):
    path = tmp_path / "a.png"
    Image.fromarray(picture).save(path)
    path.chmod(0)
    with binding_permissions():
        refused(path, "Permission denied")


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_decompression_bomb_is_refused(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(_promised(side, side))
    refused(path, "pixels")


def _tiff(width, height, pages=1, compression=1):
    """Return a TIFF whose pages all have the same 16 grey samples, however many are promised."""
    data = bytearray(b"II*\0" + struct.pack("<I", 24) + bytes(range(16)))
    for page in range(pages):
        entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, compression), (262, 3, 1), (273, 4, 8),
                   (277, 3, 1), (278, 4, height), (279, 4, 16)]
        data += struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", tag, kind, 1, value)
                                                           for tag, kind, value in entries)
        data += struct.pack("<I", len(data) + 4 if page < pages - 1 else 0)
    return bytes(data)


def _webp(width, height):
    """Return a lossless WebP's header."""
    data = b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14) + bytes(100)
    return b"RIFF" + struct.pack("<I", 12 + len(data)) + b"WEBPVP8L" + struct.pack("<I", len(data)) + data


@pytest.mark.parametrize("content", [
    _tiff(60_000, 60_000), _tiff(60_000, 60_000, compression=8), _tiff(12_000, 12_000), _tiff(2**32 - 1, 2**32 - 1),
    _webp(16_383, 16_383), _webp(16_384, 16_384), b"P6 60000 60000 255\n" + bytes(99),
])
def test_other_bombs_are_refused_by_what_they_announce(content):
    started = time.process_time()
    with pytest.raises(ImageError, match="bomb: has more than 134,217,728 pixels"):
        decode_rgb8(content, "bomb")
    assert time.process_time() - started < 1


def test_pictures_of_8k_are_read(tmp_path):
    for width, height in ((7680, 4320), (8192, 8192), (16_384, 8192)):
        with pytest.raises(ImageError, match="truncated or damaged"):  # as far as the samples, of which there are few
            decode_rgb8(b"P5 %d %d 255\n" % (width, height) + bytes(99), "picture")
    (tmp_path / "a.png").write_bytes(_promised(7680, 4320))
    assert image_size(tmp_path / "a.png") == (7680, 4320)


def test_pages_of_a_tiff_are_not_counted_one_by_one():
    assert decode_rgb8(_tiff(4, 4), "one page")[..., 0].ravel().tolist() == list(range(16))
    started = time.process_time()
    with pytest.raises(ImageError, match="several pages"):
        decode_rgb8(_tiff(4, 4, pages=30_000), "pages")
    assert time.process_time() - started < 1


@pytest.mark.parametrize("kind, data", [
    (b"zTXt", b"key\0\0" + zlib.compress(bytes(1 << 25))), (b"iCCP", b"name\0\0" + zlib.compress(bytes(1 << 25))),
    (b"iTXt", b"key\0\1\0\0\0" + zlib.compress(bytes(1 << 25))), (b"tEXt", b"key\0" + b"x" * (1 << 21)),
    (b"tEXt", b"transparency\0" + b"x"), (b"zTXt", b"key\0\7"), (b"eXIf", b"none"), (b"tEXt", b""),
])
def test_metadata_of_a_png_is_passed_over(kind, data):
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    content = png(2, 1, 8, RGB, bytes(range(6)), chunk)
    behind = png(2, 1, 8, RGB, bytes(range(6)))
    for file in (content, behind[:-12] + chunk + behind[-12:]):
        assert decode_rgb8(file, "picture").ravel().tolist() == list(range(6))
        with pytest.raises(ImageError, match="truncated"):
            decode_rgb8(file[:-13], "picture")


def _promised(width, height):
    """Return a small PNG whose header promises ``width`` x ``height`` pixels."""
    data = bytearray(png(1, 1, 8, GREY, b"\0"))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.parametrize("kind", sorted(set(WRITTEN.values())))
def test_what_is_written_is_read_without_loss(picture, kind):
    np.testing.assert_array_equal(decode_rgb8(encode_rgb8(picture, kind), "bytes"), picture)


def test_bytes_are_refused_as_files_are():
    for content, told in ((b"", "is empty"), (b"some text", "not an image"),
                          (png(2, 1, 16, RGB, bytes(12)), "more than 8 bits")):
        with pytest.raises(ImageError, match=f"^standard input: .*{told}"):
            decode_rgb8(content, "standard input")
