"""The envelope of a learned codec's file: what is packed comes back, and nothing else is taken for one."""

from __future__ import annotations

import json
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.codecs.envelope import LONGEST_HEADER, MAGIC, has_envelope, pack_envelope, unpack_envelope
from bench.common.errors import CodecError

PAYLOAD = bytes(range(200))
GOOD = {"variant": "tiny", "lambda": 0.01, "exact": False, "weights": "0123456789abcdef",
        "payload_bytes": len(PAYLOAD), "payload_crc32": zlib.crc32(PAYLOAD)}

names = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,40}", fullmatch=True) | st.just("größe_2")
lambdas = st.floats(min_value=0, max_value=1e9, exclude_min=True, exclude_max=True, allow_subnormal=False)
digests = st.from_regex(r"[0-9a-f]{16}", fullmatch=True)


def frame(header: bytes, payload: bytes = PAYLOAD) -> bytes:
    """By the documented layout."""
    return MAGIC + b"\x01" + len(header).to_bytes(2, "big") + header + payload


def spell(**changes: object) -> bytes:
    """The header of ``PAYLOAD`` with changes, None for what is left out, without spaces."""
    values = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    return json.dumps(values, separators=(",", ":")).encode()


@given(names, lambdas, st.booleans(), digests, st.binary(max_size=300))
def test_what_is_packed_comes_back(variant: str, lambda_: float, exact: bool, weights: str, payload: bytes) -> None:
    envelope, unpacked = unpack_envelope(pack_envelope(variant, lambda_, exact, weights, payload) + payload)
    assert (envelope.variant, envelope.lambda_, envelope.exact, envelope.weights) == (variant, lambda_, exact, weights)
    assert unpacked == payload


def test_layout_is_the_documented_one() -> None:
    assert pack_envelope("tiny", 0.01, False, GOOD["weights"], PAYLOAD) + PAYLOAD == frame(spell())


def repack(data: bytes) -> bytes | None:
    """What the envelope and payload of ``data`` are packed to, None where it is refused."""
    try:
        envelope, payload = unpack_envelope(data)
    except CodecError:
        return None
    return pack_envelope(envelope.variant, envelope.lambda_, envelope.exact, envelope.weights, payload) + payload


@given(st.binary(max_size=400), st.integers(0, 2**16 - 1))
def test_any_bytes_are_refused_or_have_one_reading(junk: bytes, length: int) -> None:
    for data in (junk, MAGIC + junk, MAGIC + b"\x01" + length.to_bytes(2, "big") + junk, frame(junk)):
        assert repack(data) in (None, data)


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
                           lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner,
                                                                                      max_size=3), max_leaves=5)


@given(st.sampled_from([*GOOD, "more"]), json_values)
def test_any_value_of_any_key_is_refused_or_has_one_reading(key: str, value: object) -> None:
    data = frame(json.dumps({**GOOD, key: value}, separators=(",", ":")).encode())
    assert repack(data) in (None, data)


@given(st.integers(0, len(frame(spell())) - 1), st.integers(1, 255))
@example(0, 1)
def test_any_changed_byte_is_refused_or_has_one_reading(place: int, change: int) -> None:
    data = bytearray(frame(spell()))
    data[place] ^= change
    assert repack(bytes(data)) in (None, bytes(data))
    if place >= len(data) - len(PAYLOAD):
        with pytest.raises(CodecError, match="damaged"):
            unpack_envelope(bytes(data))


def test_every_truncation_is_refused() -> None:
    data = frame(spell())
    for length in range(len(data)):
        assert has_envelope(data[:length]) == (length >= len(MAGIC))
        with pytest.raises(CodecError, match="truncated" if length >= len(MAGIC) else "does not begin"):
            unpack_envelope(data[:length])


@given(st.binary(min_size=1, max_size=20))
def test_what_follows_the_payload_is_refused(more: bytes) -> None:
    with pytest.raises(CodecError, match="followed by others"):
        unpack_envelope(frame(spell()) + more)


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
        pack_envelope("v" * LONGEST_HEADER, 0.01, False, GOOD["weights"], PAYLOAD)
