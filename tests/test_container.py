"""The file of a learned codec: what is packed comes back, and nothing else is taken for a file."""

from __future__ import annotations

import numpy as np
import pytest
from fuzz.containers import TAG, leb128, mend

from bench.codecs.container import (
    LARGEST_IMAGE,
    LONGEST_SIDE,
    MOST_SHAPE_NUMBERS,
    MOST_STREAMS,
    FileContents,
    pack_file,
    unpack_file,
)
from bench.common.errors import CodecError

RANDOM = np.random.default_rng(7)
CASES = [FileContents(*case) for case in (
    (1, 1, (), (b"",), 0),
    (768, 512, (), (b"y" * 300, b"z" * 20), 2**32 - 1),
    (65536, 1, (), (b"", b"", b"z")),
    (LONGEST_SIDE, 255, (0, 128, 16384), (b"\xff" * 130,) * 11, 0x01020304),
    (128, 16383, (4, 5), (bytes(range(256)) * 70, b"")),
)]


@pytest.mark.parametrize("contents", CASES)
def test_layout_is_the_documented_one(contents) -> None:
    width, height, shape, streams, checksum = contents
    numbers = [width, height, 2 * len(streams) + (len(shape) > 0), *([len(shape), *shape] if shape else []),
               *map(len, streams[:-1])]
    check = b"" if checksum is None else checksum.to_bytes(4, "big")
    assert pack_file(contents, TAG) == mend(b"".join([*map(leb128, numbers), check, *streams]))


def test_header_of_a_kodak_image_has_fourteen_bytes_ten_before_version_2() -> None:
    streams = bytes(40_000), bytes(900)
    assert len(pack_file(FileContents(768, 512, (), streams, 1), TAG)) - 40_900 == 14
    assert len(pack_file(FileContents(768, 512, (), streams), TAG)) - 40_900 == 10


def test_every_flipped_bit_and_every_pair_of_neighbours_is_noticed() -> None:
    data = pack_file(FileContents(300, 200, (3, 4), (RANDOM.bytes(60), RANDOM.bytes(17)), 7), TAG)
    for position in range(8 * len(data) - 1):
        for bits in (1, 3):
            number = int.from_bytes(data, "big") ^ bits << position
            with pytest.raises(CodecError, match="damaged"):
                unpack_file(number.to_bytes(len(data), "big"), TAG)


def test_every_burst_of_two_bytes_is_noticed() -> None:
    data = pack_file(FileContents(300, 200, (), (RANDOM.bytes(40), RANDOM.bytes(9)), 7), TAG)
    for position in range(len(data) - 1):
        for burst in RANDOM.integers(1, 2**16, 8):
            damaged = bytearray(data)
            for offset, part in enumerate(int(burst).to_bytes(2, "big")):
                damaged[position + offset] ^= part
            with pytest.raises(CodecError, match="damaged"):
                unpack_file(bytes(damaged), TAG)


def test_every_other_tag_is_refused() -> None:
    data = pack_file(FileContents(24, 16, (), (b"some stream", b"more"), 7), TAG)
    for tag in range(2**16):
        if tag != TAG:
            with pytest.raises(CodecError, match="other options"):
                unpack_file(data, tag)


@pytest.mark.parametrize(("content", "told"), [
    (b"\x80\x00\x01\x02", "too long"),  # a zero in two bytes
    (b"\xff\xff\xff\xff\x1f\x01\x02", "too long"),  # above 32 bits
    (b"\xff\xff\xff\xff\xff\xff\x01", "too long"),
    (b"\x10\x80", "cut off"),
    (b"\x00\x01\x02check", "0x1 pixels"),
    (b"\x01\x01\x00", "counts -1 of what are 0 to"),  # no stream
    (b"\x01\x01\x01\x01\x01", "counts -1 of what are 0 to"),
    (b"\x01\x01\x02che", "cut off"),
    (b"\x01\x01\x04\x05checabcd", "beyond the file's end"),
    (b"\x01\x01\xfe\xff\xff\xff\x0f", "counts 2147483646 of"),  # two milliards of streams
    (b"\x01\x01\x03\xff\xff\xff\xff\x0f", "counts 4294967295 of"),  # four milliards of shape numbers
    (b"\x01\x01\x03\x00check", "announces a shape"),
    (b"\x80\x40\x81\xc0\x04\x02check", "8192x73729 pixels are more than the 67,108,864"),
])
def test_wrong_headers_with_a_right_checksum_are_refused(content: bytes, told: str) -> None:
    with pytest.raises(CodecError, match=told):
        unpack_file(mend(content), TAG)


@pytest.mark.parametrize("foreign", [b"", b"\0", b"\0\0", b"\x89PNG\r\n\x1a\n" + bytes(100), bytes(500)])
def test_foreign_files_are_refused(foreign: bytes) -> None:
    with pytest.raises(CodecError, match="of another codec"):
        unpack_file(foreign, TAG)


@pytest.mark.parametrize(("width", "shape", "streams"), [
    (LARGEST_IMAGE + 1, (), (b"",)), (LONGEST_SIDE + 1, (), (b"",)), (0, (), (b"",)), (1, (-1,), (b"",)),
    (1, (2**32,), (b"",)), (1, (), ()),
    (1, (), (b"",) * (MOST_STREAMS + 1)), (1, (1,) * (MOST_SHAPE_NUMBERS + 1), (b"",)),
])
def test_what_can_not_be_unpacked_is_not_packed(width, shape, streams) -> None:
    with pytest.raises(CodecError):
        pack_file(FileContents(width, 1, shape, streams), TAG)
