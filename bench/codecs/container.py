"""The file of a learned codec: checksums, sizes, and the arithmetic-coded streams.

Layout: CRC-16 of all that follows (2 bytes, big-endian), then whole numbers in LEB128 (7 bits a byte, low bits
first): width, height, twice the number of streams plus 1 if shape numbers follow, these (their number, then
each), the length of each stream but the last; then a checksum of what the streams decode to (4 bytes, big-endian;
version 1 has none); then the streams. The CRC-16 starts at a tag of what encoder and decoder must agree on, so a file
of another codec, or of another setting of the same one, is refused too. It is there because an arithmetic decoder
neither notices damage nor stops at its stream's end, and what it takes for the image must be of a size that can be.
"""

from __future__ import annotations

import io
from binascii import crc_hqx
from typing import NamedTuple

from bench.common.errors import CodecError

CRC_BYTES, CHECKSUM_BYTES = 2, 4
LARGEST_NUMBER = 2**32 - 1
LARGEST_IMAGE = 2**26  # pixels, such as 8192 x 8192
LONGEST_SIDE = 2**18  # padded to 256 pixels, an image of one row is then none of more pixels
MOST_STREAMS, MOST_SHAPE_NUMBERS = 1024, 16


class FileContents(NamedTuple):
    """What a file holds.

    Attributes:
        width, height: of the image in pixels.
        shape: of the hyper-latents, for models of which it can't be derived; else empty.
        streams: in the order in which the decoder takes them.
        checksum: of what they decode to, 32 bits; None in version 1 of the format.
    """

    width: int
    height: int
    shape: tuple[int, ...]
    streams: tuple[bytes, ...]
    checksum: int | None = None


def pack_file(contents: FileContents, tag: int) -> bytes:
    """Return the bytes of a file.

    Args:
        contents: what it is to hold.
        tag: 16 bits that the file must be unpacked with.

    Raises:
        CodecError: a number can't be stored, or there is no stream.
    """
    width, height, shape, streams, checksum = contents
    _check_sizes(contents)
    numbers = [width, height, 2 * len(streams) + bool(shape)]
    numbers += [len(shape), *shape] if shape else []
    numbers += [len(stream) for stream in streams[:-1]]
    check = b"" if checksum is None else checksum.to_bytes(CHECKSUM_BYTES, "big")
    content = b"".join([*map(_varint, numbers), check, *streams])
    return crc_hqx(content, tag).to_bytes(CRC_BYTES, "big") + content


def has_tag(data: bytes, tag: int) -> bool:
    """Whether a file is whole and was packed with ``tag``."""
    return len(data) > CRC_BYTES and crc_hqx(data[CRC_BYTES:], tag) == int.from_bytes(data[:CRC_BYTES], "big")


def unpack_file(data: bytes, tag: int, has_checksum: bool = True) -> FileContents:
    """Return what a file holds; every number is bounded before anything of its size is made.

    Args:
        data: the file's bytes.
        tag: 16 bits that must be those it was packed with.
        has_checksum: not in version 1 of the format.

    Raises:
        CodecError: the file is damaged, truncated, of another codec, or was coded with other options.
    """
    if not has_tag(data, tag):
        raise CodecError("the file is damaged, truncated, of another codec, or was coded with other options:"
                         " its checksum is wrong")

    content = io.BytesIO(data[CRC_BYTES:])
    width, height, layout = (_read_number(content) for _ in range(3))
    shape = _read_numbers(content, _read_number(content), MOST_SHAPE_NUMBERS) if layout % 2 else ()
    lengths = _read_numbers(content, layout // 2 - 1, MOST_STREAMS - 1)
    check = content.read(CHECKSUM_BYTES) if has_checksum else b""
    if has_checksum and len(check) < CHECKSUM_BYTES:
        raise CodecError("the file's header is wrong: it is cut off")

    streams = [content.read(length) for length in lengths]
    if [len(stream) for stream in streams] != list(lengths):
        raise CodecError("the file's header is wrong: a stream reaches beyond the file's end")
    checksum = int.from_bytes(check, "big") if has_checksum else None
    contents = FileContents(width, height, shape, (*streams, content.read()), checksum)
    _check_sizes(contents)
    if layout % 2 > len(shape):
        raise CodecError("the file's header is wrong: it announces a shape and holds none")
    return contents


def _check_sizes(contents: FileContents) -> None:
    """Refuse what no image of this size can need; the same when packing and unpacking."""
    width, height, shape, streams, _ = contents
    if not width or not height:
        raise CodecError(f"an image can't have {width}x{height} pixels")
    if width * height > LARGEST_IMAGE:
        raise CodecError(f"{width}x{height} pixels are more than the {LARGEST_IMAGE:,} that a file may hold",
                         "code the image in parts")
    if max(width, height) > LONGEST_SIDE:
        raise CodecError(f"{width}x{height} pixels have a side of more than the {LONGEST_SIDE:,} that a file may hold",
                         "code the image in parts")
    if not 0 < len(streams) <= MOST_STREAMS:
        raise CodecError(f"the model gives no stream, or more than {MOST_STREAMS}")
    if len(shape) > MOST_SHAPE_NUMBERS:
        raise CodecError(f"a shape of {len(shape)} numbers is more than the {MOST_SHAPE_NUMBERS} that a file may hold")


def _varint(number: int) -> bytes:
    """A whole number in LEB128."""
    if not 0 <= number <= LARGEST_NUMBER:
        raise CodecError(f"the file's header can't hold {number}")
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _read_numbers(content: io.BytesIO, count: int, most: int) -> tuple[int, ...]:
    """Next ``count`` numbers."""
    if not 0 <= count <= most:
        raise CodecError(f"the file's header is wrong: it counts {count} of what are 0 to {most}")
    return tuple(_read_number(content) for _ in range(count))


def _read_number(content: io.BytesIO) -> int:
    """Next number; each has one spelling only, without leading zeros."""
    value = 0
    for shift, byte in zip(range(0, 35, 7), iter(lambda: content.read(1), b"")):
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            if value > LARGEST_NUMBER or byte == b"\0" and shift:
                break
            return value
    raise CodecError("the file's header is wrong: a number is cut off or too long")
