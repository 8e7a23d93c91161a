"""The file of a learned codec: what is packed comes back, and nothing else is taken for a file."""

from __future__ import annotations

from binascii import crc_hqx

import numpy as np
import pytest

from bench.codecs.container import LARGEST_NUMBER, pack_file, unpack_file
from bench.common.errors import CodecError

TAG = 0x1B2
RANDOM = np.random.default_rng(7)
CASES = [
    (1, 1, (), [b""]),
    (768, 512, (), [b"y" * 300, b"z" * 20]),
    (65536, 1, (), [b"", b"", b"z"]),
    (LARGEST_NUMBER, 127, (0, 128, 16384), [b"\xff" * 130] * 11),
    (128, 16383, (4, 5), [bytes(range(256)) * 70, b""]),
]


def leb128(number: int) -> bytes:
    """By the definition: groups of seven bits, lowest first, all but the last with the top bit set."""
    digits = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*(digit | 0x80 for digit in digits[:-1]), digits[-1]])


def with_checksum(content: bytes, tag: int = TAG) -> bytes:
    return crc_hqx(content, tag).to_bytes(2, "big") + content


@pytest.mark.parametrize(("width", "height", "shape", "streams"), CASES)
def test_what_is_packed_comes_back(width, height, shape, streams) -> None:
    data = pack_file(width, height, shape, streams, TAG)
    assert unpack_file(data, TAG) == (width, height, shape, tuple(streams))


@pytest.mark.parametrize(("width", "height", "shape", "streams"), CASES)
def test_layout_is_the_documented_one(width, height, shape, streams) -> None:
    numbers = [width, height, 2 * len(streams) + (len(shape) > 0), *([len(shape), *shape] if shape else []),
               *map(len, streams[:-1])]
    content = b"".join([*map(leb128, numbers), *streams])
    assert pack_file(width, height, shape, streams, TAG) == with_checksum(content)


def test_header_of_a_kodak_image_has_ten_bytes() -> None:
    assert len(pack_file(768, 512, (), [bytes(40_000), bytes(900)], TAG)) - 40_900 == 10


def test_any_contents_come_back() -> None:
    for _ in range(300):
        width, height = (int(2 ** RANDOM.uniform(0, 32)) for _ in range(2))
        shape = tuple(int(n) for n in RANDOM.integers(0, 5000, RANDOM.integers(0, 4)))
        streams = tuple(RANDOM.bytes(RANDOM.integers(0, 300)) for _ in range(RANDOM.integers(1, 12)))
        tag = int(RANDOM.integers(2**16))
        packed = pack_file(width, height, shape, streams, tag)
        assert unpack_file(packed, tag) == (width, height, shape, streams)


def test_every_flipped_bit_and_every_pair_of_neighbours_is_noticed() -> None:
    data = pack_file(300, 200, (3, 4), [RANDOM.bytes(60), RANDOM.bytes(17)], TAG)
    for position in range(8 * len(data) - 1):
        for bits in (1, 3):
            number = int.from_bytes(data, "big") ^ bits << position
            with pytest.raises(CodecError, match="damaged"):
                unpack_file(number.to_bytes(len(data), "big"), TAG)


def test_every_burst_of_two_bytes_is_noticed() -> None:
    data = pack_file(300, 200, (), [RANDOM.bytes(40), RANDOM.bytes(9)], TAG)
    for position in range(len(data) - 1):
        for burst in RANDOM.integers(1, 2**16, 8):
            damaged = bytearray(data)
            for offset, part in enumerate(int(burst).to_bytes(2, "big")):
                damaged[position + offset] ^= part
            with pytest.raises(CodecError, match="damaged"):
                unpack_file(bytes(damaged), TAG)


def test_every_other_tag_is_refused() -> None:
    data = pack_file(24, 16, (), [b"some stream", b"more"], TAG)
    for tag in range(2**16):
        if tag != TAG:
            with pytest.raises(CodecError, match="other options"):
                unpack_file(data, tag)


def test_random_bytes_raise_nothing_but_codec_errors() -> None:
    for _ in range(3000):
        data = RANDOM.bytes(RANDOM.integers(0, 40))
        for candidate in (data, with_checksum(data)):
            try:
                width, height, shape, streams = unpack_file(candidate, TAG)
            except CodecError:
                continue
            assert width and height and streams
            assert pack_file(width, height, shape, streams, TAG) == candidate


@pytest.mark.parametrize(("content", "told"), [
    (b"\x80\x00\x01\x02", "too long"),  # a zero in two bytes
    (b"\xff\xff\xff\xff\x1f\x01\x02", "too long"),  # above 32 bits
    (b"\xff\xff\xff\xff\xff\xff\x01", "too long"),
    (b"\x10\x80", "cut off"),
    (b"\x00\x01\x02", "0x1 pixels"),
    (b"\x01\x01\x00", "0 streams"),
    (b"\x01\x01\x01\x01\x01", "0 streams"),
    (b"\x01\x01\x04\x05abcd", "beyond the file's end"),
    (b"\x01\x01\xff\xff\xff\xff\x0f", "cut off"),  # two milliards of streams
    (b"\x01\x01\x03\xff\xff\xff\xff\x0f", "cut off"),  # four milliards of shape numbers
])
def test_wrong_headers_with_a_right_checksum_are_refused(content: bytes, told: str) -> None:
    with pytest.raises(CodecError, match=told):
        unpack_file(with_checksum(content), TAG)


@pytest.mark.parametrize("foreign", [b"", b"\0", b"\0\0", b"\x89PNG\r\n\x1a\n" + bytes(100), bytes(500)])
def test_foreign_files_are_refused(foreign: bytes) -> None:
    with pytest.raises(CodecError, match="of another codec"):
        unpack_file(foreign, TAG)


def test_what_can_not_be_stored_is_refused() -> None:
    for width, shape, streams in ((2**32, (), [b""]), (1, (-1,), [b""]), (1, (), [])):
        with pytest.raises(CodecError):
            pack_file(width, 1, shape, streams, TAG)
