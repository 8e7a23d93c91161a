"""The envelope of a learned codec's file: what is packed comes back, and nothing else is taken for one."""

from __future__ import annotations

import json

import pytest
from fuzz.containers import HEADER, PAYLOAD, frame

from bench.codecs.envelope import LONGEST_HEADER, MAGIC, has_envelope, pack_envelope, unpack_envelope
from bench.common.errors import CodecError


def spell(**changes: object) -> bytes:
    """The header of ``PAYLOAD`` with changes, None for what is left out, without spaces."""
    values = {name: value for name, value in {**HEADER, **changes}.items() if value is not None}
    return json.dumps(values, separators=(",", ":")).encode()


def test_layout_is_the_documented_one() -> None:
    assert pack_envelope("tiny", 0.01, False, HEADER["weights"], PAYLOAD) + PAYLOAD == frame(spell())


def test_every_truncation_is_refused() -> None:
    data = frame(spell())
    for length in range(len(data)):
        assert has_envelope(data[:length]) == (length >= len(MAGIC))
        with pytest.raises(CodecError, match="truncated" if length >= len(MAGIC) else "does not begin"):
            unpack_envelope(data[:length])


@pytest.mark.parametrize("more", [b"\0", b"x" * 20, PAYLOAD])
def test_what_follows_the_payload_is_refused(more: bytes) -> None:
    with pytest.raises(CodecError, match="followed by others"):
        unpack_envelope(frame(spell()) + more)


def test_every_changed_byte_of_the_payload_is_damage() -> None:
    data = frame(spell())
    for place in range(len(data) - len(PAYLOAD), len(data)):
        with pytest.raises(CodecError, match="damaged"):
            unpack_envelope(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


@pytest.mark.parametrize(("header", "told"), [
    (spell(variant="../../etc/passwd"), "header is wrong"),
    (spell(variant=None), "missing required field `variant`"),
    (spell(**{"lambda": -1.0}), "header is wrong"),
    (spell(**{"lambda": 1}), "spelled in another way"),
    (spell(weights="0123"), "header is wrong"),
    (spell(payload_bytes=2**40), "header is wrong"),
    (spell(payload_bytes=2**32 - 1), f"truncated: {len(PAYLOAD)} of 4294967295 bytes"),
    (spell(more=1), "unknown field `more`"),
    (spell()[:-1] + b',"exact":true}', "spelled in another way"),
    (spell() + b" ", "spelled in another way"),
    (spell().replace(b'"exact"', b' "exact"'), "spelled in another way"),
    (b'{"variant":' + b"[" * 900, "header is wrong"),
    (b" " * (LONGEST_HEADER + 1), "1024 at most"),
    (b"\xff\xfe", "header is wrong"),
    (b"", "header is wrong"),
])
def test_wrong_headers_are_told(header: bytes, told: str) -> None:
    with pytest.raises(CodecError, match=told):
        unpack_envelope(frame(header))


def test_another_version_is_told() -> None:
    with pytest.raises(CodecError, match="version 2"):
        unpack_envelope(MAGIC + b"\x02" + frame(spell())[len(MAGIC) + 1 :])


def test_a_name_that_is_too_long_is_not_packed() -> None:
    with pytest.raises(CodecError, match="too long"):
        pack_envelope("v" * LONGEST_HEADER, 0.01, False, HEADER["weights"], PAYLOAD)
