"""The file of a learned codec: a checksum, sizes, and the arithmetic-coded streams.

Layout: CRC-16 of all that follows (2 bytes, big-endian), then whole numbers in LEB128 (7 bits a byte, low bits
first): width, height, twice the number of streams plus 1 if shape numbers follow, these (their number, then
each), the length of each stream but the last; then the streams. The checksum starts at a tag of what encoder and
decoder must agree on, so a file of another codec, or of another setting of the same one, is refused too. It is
there because an arithmetic decoder neither notices damage nor stops at its stream's end.
"""

from __future__ import annotations

import io
from binascii import crc_hqx
from collections.abc import Sequence

from bench.common.errors import CodecError

CHECKSUM_BYTES = 2
LARGEST_NUMBER = 2**32 - 1


def pack_file(width: int, height: int, shape: Sequence[int], streams: Sequence[bytes], tag: int) -> bytes:
    """Return the bytes of a file.

    Args:
        width, height: of the image in pixels.
        shape: of the hyper-latents, for models of which it can't be derived; else empty.
        streams: in the order in which the decoder takes them.
        tag: 16 bits that the file must be unpacked with.

    Raises:
        CodecError: a number can't be stored, or there is no stream.
    """
    if not streams:
        raise CodecError("the model gives no stream")
    numbers = [width, height, 2 * len(streams) + bool(shape)]
    numbers += [len(shape), *shape] if shape else []
    numbers += [len(stream) for stream in streams[:-1]]
    content = b"".join([*map(_varint, numbers), *streams])
    return crc_hqx(content, tag).to_bytes(CHECKSUM_BYTES, "big") + content


def unpack_file(data: bytes, tag: int) -> tuple[int, int, tuple[int, ...], tuple[bytes, ...]]:
    """Return what a file holds: width, height, shape and streams, see :func:`pack_file`.

    Args:
        data: the file's bytes.
        tag: 16 bits that must be those it was packed with.

    Raises:
        CodecError: the file is damaged, truncated, of another codec, or was coded with other options.
    """
    if len(data) <= CHECKSUM_BYTES or crc_hqx(data[CHECKSUM_BYTES:], tag) != int.from_bytes(data[:2], "big"):
        raise CodecError("the file is damaged, truncated, of another codec, or was coded with other options:"
                         " its checksum is wrong")

    content = io.BytesIO(data[CHECKSUM_BYTES:])
    width, height, layout = (_read_number(content) for _ in range(3))
    shape = tuple(_read_number(content) for _ in range(_read_number(content))) if layout % 2 else ()
    if not (width and height and layout > 1) or layout % 2 > len(shape):
        raise CodecError(f"the file's header is wrong: {width}x{height} pixels, {layout // 2} streams, shape {shape}")

    lengths = [_read_number(content) for _ in range(layout // 2 - 1)]
    streams = [content.read(length) for length in lengths]
    if [len(stream) for stream in streams] != lengths:
        raise CodecError("the file's header is wrong: a stream reaches beyond the file's end")
    return width, height, shape, (*streams, content.read())


def _varint(number: int) -> bytes:
    """A whole number in LEB128."""
    if not 0 <= number <= LARGEST_NUMBER:
        raise CodecError(f"the file's header can't hold {number}")
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


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
