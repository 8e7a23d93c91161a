"""The file of a learned codec and its envelope as such: any bytes are refused, or have one reading."""

from __future__ import annotations

import json
import zlib
from binascii import crc_hqx
from pathlib import Path
from typing import Any

from fuzz.damage import damaged
from fuzz.json_values import wrong_texts
from fuzz.trials import Generator, Trial
from hypothesis import strategies as st

from bench.codecs.container import (
    LARGEST_IMAGE,
    LARGEST_NUMBER,
    LONGEST_SIDE,
    MOST_SHAPE_NUMBERS,
    FileContents,
    pack_file,
    unpack_file,
)
from bench.codecs.envelope import MAGIC, pack_envelope, unpack_envelope
from bench.common.errors import CodecError

TAG = 0x1B2
PAYLOAD = bytes(range(200))
HEADER = {"variant": "tiny", "lambda": 0.01, "exact": False, "weights": "0123456789abcdef",
          "payload_bytes": len(PAYLOAD), "payload_crc32": zlib.crc32(PAYLOAD)}
OLD, NEW, ENVELOPE = "1.bin", "2.bin", "envelope.bin"
NUMBERS = (0, 1, 2, 3, 64, 2**16, 2**26, 2**31, 2**32 - 1, 2**32, 2**40)

names = st.sampled_from([OLD, NEW])
variants = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,40}", fullmatch=True) | st.just("größe_2")
lambdas = st.floats(min_value=0, max_value=1e9, exclude_min=True, exclude_max=True, allow_subnormal=False)
digests = st.from_regex(r"[0-9a-f]{16}", fullmatch=True)


def mend(content: bytes, tag: int = TAG) -> bytes:
    """A file of ``content`` with the right CRC."""
    return crc_hqx(content, tag).to_bytes(2, "big") + content


def leb128(number: int) -> bytes:
    """By the definition: groups of seven bits, lowest first, all but the last with the top bit set."""
    digits = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*(digit | 0x80 for digit in digits[:-1]), digits[-1]])


def frame(header: bytes, payload: bytes = PAYLOAD) -> bytes:
    """An envelope by the documented layout."""
    return MAGIC + b"\x01" + len(header).to_bytes(2, "big") + header + payload


@st.composite
def file_contents(draw: st.DrawFn) -> FileContents:
    """What a file may hold."""
    width = draw(st.integers(1, LONGEST_SIDE))
    height = draw(st.integers(1, min(LONGEST_SIDE, LARGEST_IMAGE // width)))
    shape = draw(st.lists(st.integers(0, LARGEST_NUMBER), max_size=MOST_SHAPE_NUMBERS))
    streams = draw(st.lists(st.binary(max_size=300), min_size=1, max_size=12))
    checksum = draw(st.none() | st.integers(0, LARGEST_NUMBER))
    return FileContents(width, height, tuple(shape), tuple(streams), checksum)


def as_plain(contents: FileContents) -> list[Any]:
    return [*contents[:3], [stream.hex() for stream in contents.streams], contents.checksum]


@st.composite
def containers(draw: st.DrawFn) -> Trial:
    """A file with a right CRC: what was packed, that damaged, or any bytes or numbers."""
    case = draw(st.sampled_from(["whole", "damaged", "damaged", "any", "numbers"]))
    if case == "any":
        return Trial({draw(names): mend(draw(st.binary(max_size=60)))})
    if case == "numbers":
        numbers = draw(st.lists(st.sampled_from(NUMBERS), max_size=8))
        return Trial({draw(names): mend(b"".join(map(leb128, numbers)) + draw(st.binary(max_size=9)))})

    contents = draw(file_contents())
    packed = pack_file(contents, TAG)
    name = OLD if contents.checksum is None else NEW
    if case == "whole":
        return Trial({name: packed}, as_plain(contents), refusable=False)
    return Trial({name: mend(draw(damaged(packed[2:])))})


@st.composite
def envelopes(draw: st.DrawFn) -> Trial:
    """An envelope and what it holds, one with another header, a damaged one, or any bytes."""
    case = draw(st.sampled_from(["whole", "header", "header", "damaged", "any"]))
    if case == "whole":
        payload = draw(st.binary(max_size=300))
        values = [draw(variants), draw(lambdas), draw(st.booleans()), draw(digests)]
        return Trial({ENVELOPE: pack_envelope(*values, payload) + payload}, [*values, payload.hex()], refusable=False)
    if case == "header":
        return Trial({ENVELOPE: frame(draw(wrong_texts(HEADER)).encode())})
    if case == "damaged":
        return Trial({ENVELOPE: draw(damaged(frame(json.dumps(HEADER, separators=(",", ":")).encode())))})
    junk, length = draw(st.binary(max_size=400)), draw(st.integers(0, 2**16 - 1))
    starts = [b"", MAGIC, MAGIC + b"\x01" + length.to_bytes(2, "big"), frame(junk, b"")]
    return Trial({ENVELOPE: draw(st.sampled_from(starts)) + junk})


def read(path: Path) -> Any:
    """Unpack a file, and check that what it holds is packed to the same bytes."""
    data = path.read_bytes()
    try:
        if path.name == ENVELOPE:
            envelope, payload = unpack_envelope(data)
            values = [envelope.variant, envelope.lambda_, envelope.exact, envelope.weights]
            assert pack_envelope(*values, payload) + payload == data, "another spelling of the same"  # type: ignore[arg-type]
            return [*values, payload.hex()]
        contents = unpack_file(data, TAG, has_checksum=path.name == NEW)
    except CodecError as error:  # who reads the file names it
        raise CodecError(f"{path}: {error}") from None
    assert contents.streams and 0 < contents.width * contents.height <= LARGEST_IMAGE
    assert pack_file(contents, TAG) == data, "another spelling of the same"
    return as_plain(contents)


CONTAINERS = Generator("containers", st.one_of(containers(), envelopes()), read, 400)
