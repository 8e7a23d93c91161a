"""The one reader of stored lines: whatever stands there, it is read and written again, or refused with its place."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_claims_command import results  # noqa: F401  (a fixture)

from bench.claims.state import STATE_FILES
from bench.cli import main
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, BenchError
from bench.results.latency_rows import LatencyRow
from bench.results.rows import Row
from bench.results.schema import StoredRow
from bench.results.store import read_rows

SCHEMA1 = Path(__file__).parent / "schema1"
KINDS: dict[str, type[StoredRow]] = {"rows": Row, "latency": LatencyRow, **STATE_FILES}
OLD = [(kind, json.loads(line)) for name, kind in KINDS.items()
       for line in (SCHEMA1 / f"{name}.jsonl").read_text().splitlines()]
SAMPLES = OLD + [(kind, json.loads(kind.from_json(json.dumps(values)).to_json())) for kind, values in OLD]
RAW = "@raw "  # starts a text that stands in the line as it is, without quotes
DEEP = "[" * 60 + "]" * 60
VALUES = st.sampled_from([
    None, True, False, "", "text", "½", "\ud800", 0, -1, 1, 2, 3, 0.5, -0.5, 2**31, 2**53 + 1, 2**63, 10**400, 1e300,
    [], {}, [None], [[]], ["x"], [0.5] * 4, {"": 1}, {"ms-ssim": 1.5}, {"warnings": 5}, {"threads": "2"},
    *(RAW + text for text in ("NaN", "Infinity", "-Infinity", "1e999", "[1e999]", "-0.0", "9" * 5000, DEEP, "[" * 2000,
                              '{"a": 1, "a": 2}', '{"a": NaN}', "1.", "+1", "'x'", "")),
]).map(copy.deepcopy)


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
    return json.dumps(values, ensure_ascii=values == "\ud800")


@st.composite
def damaged_lines(draw: st.DrawFn) -> tuple[type[StoredRow], bytes]:
    """A kind and a line of it with up to two mistakes in its values and perhaps one in its bytes."""
    kind, values = draw(st.sampled_from(SAMPLES))
    values = copy.deepcopy(values)
    for _ in range(draw(st.integers(0, 2))):
        *way, last = draw(st.sampled_from(find_places(values)))
        holder = values
        for key in way:
            holder = holder[key]
        change = draw(st.sampled_from(["replace", "replace", "remove", "add", "schema"]))
        if change == "replace":
            holder[last] = draw(VALUES)
        elif change == "remove":
            del holder[last]
        elif change == "add":
            values[draw(st.sampled_from(["unknown", "quality", "provenance", "reason", "state"]))] = draw(VALUES)
        else:
            values["schema"] = draw(st.sampled_from([0, 1, 2, 3, -1, 1.0, True, "2", None]))

    line = write_raw(values, draw(st.sampled_from([" ", ""]))).encode()
    place = draw(st.integers(0, len(line)))
    change = draw(st.sampled_from(["none"] * 4 + ["cut", "byte", "double", "list"]))
    changed = {"cut": line[:place], "byte": line[:place] + b"\xff" + line[place:], "list": b"[" + line + b"]",
               "double": line.replace(b"{", b'{"schema": 2, "schema": 2, ', 1)}
    return kind, changed.get(change, line)


@settings(derandomize=True, max_examples=600, deadline=None, database=None,
          suppress_health_check=[HealthCheck.too_slow])
@given(damaged_lines())
def test_a_line_is_read_and_written_again_or_refused(sample: tuple[type[StoredRow], bytes]) -> None:
    kind, line = sample
    try:
        row = kind.from_json(line)
    except ValueError as error:
        assert str(error)
        return
    assert kind.from_json(row.to_json()) == row


@settings(derandomize=True, max_examples=600, deadline=None, database=None,
          suppress_health_check=[HealthCheck.too_slow])
@given(damaged_lines())
def test_the_quick_reader_of_own_lines_reads_as_the_strict_one(sample: tuple[type[StoredRow], bytes]) -> None:
    kind, line = sample
    try:
        text = line.decode()
        strict: Any = kind.from_json(text)  # text is read strictly, bytes may be the suite's own
    except ValueError as error:
        strict = str(error)
    try:
        quick: Any = kind.from_json(line)
    except ValueError as error:
        quick = str(error)
    assert quick == strict and repr(quick) == repr(strict)  # 1 is not True, and not 1.0


@pytest.mark.parametrize("kind", KINDS.values())
def test_what_was_written_is_read_quickly(kind: type[StoredRow]) -> None:
    for known, values in SAMPLES:
        if known is kind:
            row = kind.from_json(json.dumps(values))
            assert kind._from_own_json(row.to_json().encode()) == row


@pytest.mark.parametrize(("value", "what"), [(2**63, "more than 64 bits"), (json.loads(DEEP), "nested too deeply")])
@pytest.mark.parametrize("kind", [Row, LatencyRow])
def test_open_fields_of_own_lines_are_read_strictly(kind: type[Row | LatencyRow], value: Any, what: str) -> None:
    row = next(kind.from_json(json.dumps(values)) for known, values in SAMPLES if known is kind)
    line = msgspec.structs.replace(row, identity={"any": value}).to_json().encode()
    with pytest.raises(ValueError, match=f"identity.*{what}"):
        kind.from_json(line)


@settings(derandomize=True, max_examples=150, deadline=None, database=None,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(damaged_lines())
def test_files_name_the_line_and_the_reason(tmp_path: Path, sample: tuple[type[StoredRow], bytes]) -> None:
    kind, line = sample
    line = line.replace(b"\n", b" ")
    whole = next(json.dumps(values).encode() for known, values in SAMPLES if known is kind)
    path = tmp_path / "lines.jsonl"
    path.write_bytes(whole + b"\n" + line + b"\n" + whole + b"\n")
    try:
        reason = ""
        kind.from_json(line)
    except ValueError as error:
        reason = str(error) if line.strip() else ""

    if not reason:
        assert len(read_rows(path, kind)) == 2 + bool(line.strip())
        return
    with pytest.raises(BenchError) as caught:
        read_rows(path, kind)
    assert str(caught.value).startswith(f"{path}, line 2: {reason}")


REFUSED = {
    "null": ("bpp", "null", "field 'bpp'"), "a text": ("bpp", '"0.5"', "field 'bpp'"),
    "a truth": ("encode_s", "true", "field 'encode_s'"), "no number": ("bpp", "NaN", "field 'bpp'"),
    "infinite": ("decode_s", "1e999", "field 'decode_s'"), "huge": ("bytes_y", "9" * 400, "field 'bytes_y'"),
    "negative": ("width", "-3", "field 'width'"), "a list": ("warnings", "[1]", "field 'warnings[0]'"),
    "beyond its range": ("quality", '{"ms-ssim": 1.5}', "field 'quality.ms-ssim'"),
    "unknown": ("colours", "1", "unknown field `colours`"), "a mapping within": ("identity", '{"settings": 1}',
                                                                                 "field 'identity.settings'"),
    "deep": ("identity", '{"settings": {"a": ' + DEEP + "}}", "nested too deeply"),
    "doubled": ("identity", '{"a": 1, "a": 2}', "field 'a' stands twice"),
}
COMMANDS = (("report",), ("bdrate", "{rows}", "{rows}"), ("claims", "--no-report"))


def run_all(results: Path, path: Path, capsys: pytest.CaptureFixture) -> list[tuple[int, str]]:
    """Exit status and standard error of each command that reads rows."""
    found = []
    for verb, *arguments in COMMANDS:
        words = [verb, *(argument.format(rows=path) for argument in arguments)]
        if verb != "bdrate":
            words += ["--results", str(results), "--reports", str(results.parent / "reports")]
        capsys.readouterr()
        found.append((main(words), capsys.readouterr().err))
    return found


def damage(path: Path, field: str, value: str) -> int:
    """Give the second row of a file another ``field``; return the line's number."""
    lines = path.read_text().splitlines()
    values = {**json.loads(lines[1]), field: RAW + value}
    lines[1] = write_raw(values)
    path.write_text("\n".join(lines) + "\n")
    return 2


@pytest.mark.parametrize("name", REFUSED)
def test_report_bdrate_and_claims_refuse_the_same_line(results: Path, name: str,  # noqa: F811
                                                       capsys: pytest.CaptureFixture) -> None:
    field, value, reason = REFUSED[name]
    path = next((results / "kodak").glob("*.jsonl"))
    number = damage(path, field, value)
    for status, said in run_all(results, path, capsys):
        assert status == EXIT_BAD_INPUT
        assert f"{path}, line {number}: " in said and reason in said


@pytest.mark.usefixtures("undrawn")
def test_report_bdrate_and_claims_pass_a_torn_line_over(results: Path, capsys: pytest.CaptureFixture,  # noqa: F811
                                                        caplog: pytest.LogCaptureFixture) -> None:
    path = next((results / "kodak").glob("*.jsonl"))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:100])
    for status, said in run_all(results, path, capsys):
        assert status == EXIT_DONE, said
    assert caplog.text.count("the last line is torn") >= len(COMMANDS)


@pytest.mark.parametrize(("file", "field", "value"), [
    ("curves", "bpp", "[[1.0]]"), ("curves", "quality", '{"psnr": []}'), ("costs", "samples_s", "[0.0]"),
    ("verdicts", "verdict", '"PERHAPS"'), ("verdicts", "value", "1e999")])
def test_a_damaged_accepted_state_names_the_field(results: Path, capsys: pytest.CaptureFixture,  # noqa: F811
                                                  file: str, field: str, value: str) -> None:
    claims = ["claims", "--no-report", "--results", str(results)]
    assert main([*claims, "--accept"]) == EXIT_DONE
    path = results / "baseline" / f"{file}.jsonl"
    damage(path, field, value)
    capsys.readouterr()
    assert main(claims) == EXIT_BAD_INPUT
    said = capsys.readouterr().err
    assert f"{path}, line 2: field '{field}" in said and "--accept" in said
