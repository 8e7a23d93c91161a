"""What stands in front of a learned codec's file, so that it can be decoded without being told how it was coded.

Layout: ``MAGIC``, the version (1 byte), the length of the header (2 bytes, big-endian), the header (JSON in the one
spelling that ``pack_envelope`` gives it), the payload. The payload is the file that evaluations measure, byte for byte;
nothing of the envelope counts as rate.
"""

from __future__ import annotations

import zlib
from typing import Annotated

import msgspec
from msgspec import Meta, field

from bench.common.errors import CodecError
from bench.variants import Lambda, Name

MAGIC = b"\x89bench\r\n"  # a transfer as text spoils it, as it does a PNG's
VERSION = 1
LONGEST_HEADER = 1024  # bytes
_PREFIX = len(MAGIC) + 3

Count = Annotated[int, Meta(ge=0, lt=2**32)]


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a payload was coded with.

    Attributes:
        variant, lambda_: of variants.yaml, and its rate point.
        exact: coded in the labelled configuration that other machines decode alike.
        weights: digest of the weights, hexadecimal.
        payload_bytes, payload_crc32: of the payload, so that damage is told from other weights.
    """

    variant: Name
    lambda_: Lambda = field(name="lambda")
    exact: bool
    weights: Annotated[str, Meta(pattern=r"^[0-9a-f]{8,64}\Z")]
    payload_bytes: Count
    payload_crc32: Count


def pack_envelope(variant: str, lambda_: float, exact: bool, weights: str, payload: bytes) -> bytes:
    """Return the envelope of a payload, which follows it in the file.

    Raises:
        CodecError: the variant's name is too long for one.
    """
    header = msgspec.json.encode(Envelope(variant, lambda_, exact, weights, len(payload), zlib.crc32(payload)))
    if len(header) > LONGEST_HEADER:
        raise CodecError(f"the name of the variant is too long for a file's header: {len(variant)} letters")
    return MAGIC + bytes([VERSION]) + len(header).to_bytes(2, "big") + header


def has_envelope(data: bytes) -> bool:
    """Whether a file begins as those with an envelope do."""
    return data.startswith(MAGIC)


def unpack_envelope(data: bytes) -> tuple[Envelope, bytes]:
    """Return what a file was coded with, and its payload.

    Raises:
        CodecError: it has no envelope, one of another version or a wrong one, or it is truncated or damaged.
    """
    if not has_envelope(data):
        raise CodecError("it does not begin with an envelope")
    if len(data) < _PREFIX:
        raise CodecError("it is truncated: its header is cut off")
    if data[len(MAGIC)] != VERSION:
        raise CodecError(f"its envelope is of version {data[len(MAGIC)]}, and this suite reads version {VERSION}",
                         "decode it with the version of the suite that wrote it")

    length = int.from_bytes(data[_PREFIX - 2 : _PREFIX], "big")
    header, payload = data[_PREFIX : _PREFIX + length], data[_PREFIX + length :]
    if length > LONGEST_HEADER:
        raise CodecError(f"its header is wrong: {length} bytes, {LONGEST_HEADER} at most")
    if len(header) < length:
        raise CodecError("it is truncated: its header is cut off")
    envelope = _read_header(header)

    if len(payload) < envelope.payload_bytes:
        raise CodecError(f"it is truncated: {len(payload)} of {envelope.payload_bytes} bytes of its payload are there")
    if len(payload) > envelope.payload_bytes:
        raise CodecError(f"its payload of {envelope.payload_bytes} bytes is followed by others")
    if zlib.crc32(payload) != envelope.payload_crc32:
        raise CodecError("it is damaged: the checksum of its payload is wrong")
    return envelope, payload


def _read_header(header: bytes) -> Envelope:
    try:
        envelope = msgspec.json.decode(header, type=Envelope)
        spelling = msgspec.json.encode(envelope)
    except ValueError as error:  # of a text that is no UTF-8, no JSON, or has another schema
        raise CodecError(f"its header is wrong: {error}") from None
    if spelling != header:
        raise CodecError("its header is wrong: it is spelled in another way than the suite does")
    return envelope
