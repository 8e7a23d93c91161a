"""The one reader of stored lines: whatever stands there, it is read and written again, or refused with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fuzz.json_values import DEEP, RAW, write_raw
from fuzz.rows import KINDS, SAMPLES
from test_claims_command import results  # noqa: F401  (a fixture)

from bench.cli import main
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, BenchError
from bench.results.latency_rows import LatencyRow
from bench.results.rows import Row
from bench.results.schema import StoredRow
from bench.results.store import read_rows


@pytest.mark.parametrize("kind", KINDS.values())
def test_what_was_written_is_read_quickly(kind: type[StoredRow]) -> None:
    for name, values in SAMPLES:
        if KINDS[name] is kind:
            row = kind.from_json(json.dumps(values))
            assert kind._from_own_json(row.to_json().encode()) == row


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_lines_are_utf_8_and_a_mark_of_byte_order_is_passed_over(tmp_path: Path, encoding: str) -> None:
    name, values = SAMPLES[0]
    (tmp_path / "a.jsonl").write_bytes(f"{json.dumps(values)}\n".encode(encoding))
    if encoding == "utf-8-sig":
        assert read_rows(tmp_path / "a.jsonl", KINDS[name]) == [KINDS[name].from_json(json.dumps(values))]
        return
    with pytest.raises(BenchError, match="a.jsonl, line 1"):
        read_rows(tmp_path / "a.jsonl", KINDS[name])


@pytest.mark.parametrize(("value", "what"), [(2**63, "more than 64 bits"), (json.loads(DEEP), "nested too deeply")])
@pytest.mark.parametrize("kind", [Row, LatencyRow])
def test_open_fields_of_own_lines_are_read_strictly(kind: type[Row | LatencyRow], value: Any, what: str) -> None:
    row = next(kind.from_json(json.dumps(values)) for name, values in SAMPLES if KINDS[name] is kind)
    line = msgspec.structs.replace(row, identity={"any": value}).to_json().encode()
    with pytest.raises(ValueError, match=f"identity.*{what}"):
        kind.from_json(line)


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
