"""JSON with wrong values, and with what JSON does not allow."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

RAW = "@raw "  # starts a text that stands in the line as it is, without quotes
DEEP = "[" * 60 + "]" * 60
VALUES = st.sampled_from([
    None, True, False, "", "text", "½", "\ud800", 0, -1, 1, 2, 3, 0.5, -0.5, 2**31, 2**53 + 1, 2**63, 10**400, 1e300,
    [], {}, [None], [[]], ["x"], [0.5] * 4, {"": 1}, {"ms-ssim": 1.5}, {"warnings": 5}, {"threads": "2"},
    *(RAW + text for text in ("NaN", "Infinity", "-Infinity", "1e999", "[1e999]", "-0.0", "9" * 5000, DEEP, "[" * 2000,
                              '{"a": 1, "a": 2}', '{"a": NaN}', "1.", "+1", "'x'", "")),
]).map(copy.deepcopy)
ADDED = ("unknown", "quality", "provenance", "reason", "state", "schema", "")


def find_places(values: Any, place: tuple = ()) -> list[tuple]:
    """The way to every value within ``values``."""
    inner = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    return [place] * bool(place) + [found for key, value in inner for found in find_places(value, (*place, key))]


def write_raw(values: Any, blank: str = " ") -> str:
    """JSON, with raw texts as they are; without blanks as the suite itself writes it."""
    if isinstance(values, dict):
        members = (f"{json.dumps(key)}:{blank}{write_raw(value, blank)}" for key, value in values.items())
        return "{" + f",{blank}".join(members) + "}"
    if isinstance(values, list):
        return "[" + f",{blank}".join(write_raw(value, blank) for value in values) + "]"
    if isinstance(values, str) and values.startswith(RAW):
        return values.removeprefix(RAW)
    has_half = isinstance(values, str) and any("\ud800" <= letter <= "\udfff" for letter in values)
    return json.dumps(values, ensure_ascii=has_half)


@st.composite
def wrong_values(draw: st.DrawFn, values: Any, least: int = 0, most: int = 2) -> Any:
    """``values`` with some replaced, removed, or added."""
    values = copy.deepcopy(values)
    for _ in range(draw(st.integers(least, most))):
        places = find_places(values)
        if not places:
            break
        *way, last = draw(st.sampled_from(places))
        holder = values
        for key in way:
            holder = holder[key]
        change = draw(st.sampled_from(["replace", "replace", "remove", "add", "schema"]))
        if change == "replace":
            holder[last] = draw(VALUES)
        elif change == "remove":
            del holder[last]
        elif change == "add":
            values[draw(st.sampled_from(ADDED))] = draw(VALUES)
        else:
            values["schema"] = draw(st.sampled_from([0, 1, 2, 3, -1, 1.0, True, "2", None]))
    return values


@st.composite
def wrong_texts(draw: st.DrawFn, values: Any) -> str:
    """A line of JSON with up to two wrong values."""
    return write_raw(draw(wrong_values(values)), draw(st.sampled_from([" ", ""])))


@st.composite
def respelled(draw: st.DrawFn, values: Any) -> str:
    """The same values, in another order of keys, with other blanks and escapes."""
    def shuffle(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shuffle(value[key]) for key in draw(st.permutations(list(value)))}
        return [shuffle(item) for item in value] if isinstance(value, list) else value

    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " : ")]))
    return json.dumps(shuffle(values), separators=separators, ensure_ascii=draw(st.booleans()))
