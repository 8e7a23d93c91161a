"""Units of work as text: nothing is lost on the way, and text that is no unit is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType

import faulty_codecs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from row_samples import rows_of

from bench.codecs.base import CodecSpec
from bench.common.hashing import digest_json
from bench.runners.evaluate.unit import Series, Unit, UnitImage, identify, require_same_codec
from bench.runners.nodes.unit_json import WrongUnit, decode_unit, encode_unit

SHA256 = "0123456789abcdef" * 4
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
PLAIN = st.recursive(st.none() | st.booleans() | st.integers(-2**62, 2**62) | NAMES
                     | st.floats(allow_nan=False, allow_infinity=False),
                     lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
                     max_leaves=8)
SERIES = st.builds(lambda values, fault: Series(digest_json(values), values, fault),
                   st.dictionaries(NAMES, PLAIN, max_size=3), st.none() | NAMES)
IMAGES = st.builds(UnitImage, NAMES, NAMES, st.just(SHA256), st.none() | st.booleans(), st.none() | st.just(SHA256))


def make_unit(**values: object) -> Unit:
    image = UnitImage("a.png", "/pictures/a.png", SHA256, True, None)
    return Unit(**{"spec": faulty_codecs.spec(), "dataset": "kodak", "dataset_total": 24, "images": (image,), **values})


@given(st.builds(
    make_unit, images=st.lists(IMAGES, max_size=3).map(tuple), dataset=NAMES, threads=st.none() | st.integers(1, 64),
    dataset_total=st.none() | st.integers(0, 10**6), jobs=st.integers(1, 999), deterministic=st.booleans(),
    decode_timeout_s=st.floats(0.001, 1e6), keep_streams=st.none() | NAMES, only_kept=st.booleans(),
    metrics=st.lists(NAMES, max_size=3).map(tuple), series=st.none() | SERIES,
    spec=st.builds(CodecSpec, NAMES, NAMES, NAMES, st.dictionaries(NAMES, PLAIN, max_size=3),
                   st.dictionaries(NAMES, PLAIN, max_size=3), st.dictionaries(NAMES, NAMES, max_size=2))))
def test_a_unit_comes_back_as_it_was(unit: Unit) -> None:
    line = encode_unit(unit)
    assert b"\n" not in line
    assert decode_unit(line) == unit


def test_stored_rows_travel_with_their_unit() -> None:
    row, = rows_of(images=1, points=1)
    unit = make_unit(stored={"a.png": row})
    assert decode_unit(encode_unit(unit)).stored == {"a.png": row}


def test_a_series_is_the_same_on_both_sides() -> None:
    settings = MappingProxyType({"options": {"M": 320, "widths": (1, 2)}, "label": "Größer"})
    spec = CodecSpec("deflate", "deflate", "s8", {"step": 8}, settings, {})
    sent = decode_unit(encode_unit(make_unit(spec=spec, series=identify(spec))))
    assert sent.spec.settings == {"options": {"M": 320, "widths": [1, 2]}, "label": "Größer"}
    assert identify(sent.spec).digest == identify(spec).digest
    require_same_codec(sent)
    require_same_codec(make_unit(spec=spec, series=sent.series))  # though JSON has lists in place of tuples


@pytest.mark.parametrize(("change", "message"), [
    ({"threads": "2"}, "'threads'"), ({"jobs": 0}, "'jobs'"), ({"jobs": True}, "'jobs'"), ({"schema": 2}, "'schema'"),
    ({"more": 1}, "more"), ({"decode_timeout_s": -1.0}, "'decode_timeout_s'"), ({"images": [{}]}, r"images\[0\]"),
    ({"stored": {"a.png": {"schema": 2}}}, "missing"), ({"device": None}, "'device'"),
    ({"series": {"digest": "a", "values": {}, "fault": None}}, "'series.digest'"),
])
def test_text_that_is_no_unit_is_refused_by_its_field(change: dict, message: str) -> None:
    values = json.loads(encode_unit(make_unit())) | change
    with pytest.raises(WrongUnit, match=message):
        decode_unit(json.dumps(values))


@pytest.mark.parametrize("name", ["spec", "images", "only_kept", "metrics", "threads"])
def test_nothing_may_be_left_out(name: str) -> None:
    values = json.loads(encode_unit(make_unit()))
    del values[name]
    with pytest.raises(WrongUnit, match=name):
        decode_unit(json.dumps(values))


@pytest.mark.parametrize("line", [b"", b"[]", b"{", b'{"schema": 1, "schema": 1}', b"\xff", b"null"])
def test_damaged_text_is_refused(line: bytes) -> None:
    with pytest.raises(WrongUnit):
        decode_unit(line)


@pytest.mark.parametrize("value", [float("nan"), Path("a"), {1, 2}, b"a", 10**30])
def test_what_json_can_not_hold_is_not_sent(value: object) -> None:
    with pytest.raises(WrongUnit):
        encode_unit(make_unit(spec=CodecSpec("jpeg", "jpeg", "q5", {}, {"odd": value})))
