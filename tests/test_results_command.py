"""``python -m bench results``: what is stored is shown, tidied and dropped, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import latency_samples
import pytest
import row_samples
from msgspec.structs import replace

from bench.cli import main
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE
from bench.results.latency_rows import LatencyRow
from bench.results.rows import Row
from bench.results.store import Store, read_rows


@pytest.fixture
def root(tmp_path: Path) -> Path:
    store = Store(tmp_path)
    for row in row_samples.rows_of():
        store.append(row)
    store.append(row_samples.failed(row_samples.row("0.png", "q1", 0.1, 30, name="webp"), "no"))
    return latency_samples.store(tmp_path, latency_samples.both("hpcm_base"))


def results(root: Path, *arguments: str) -> int:
    return main(["results", *arguments, "--results", str(root)])


def test_list_counts_rows_failures_and_metrics(root: Path, capsys: pytest.CaptureFixture) -> None:
    assert results(root, "list") == EXIT_DONE
    out = capsys.readouterr().out
    jpeg, webp = (line.split() for line in out.splitlines()[2:4])
    assert "and 2 rows of latencies" in out
    assert jpeg == ["kodak", "jpeg", "5", "3", "15", "0", "1", "15", "15"]
    assert webp == ["kodak", "webp", "1", "1", "1", "1", "1", "0", "0"]


def test_prune_keeps_the_last_row_of_a_key_and_sets_damaged_lines_aside(
        root: Path, capsys: pytest.CaptureFixture) -> None:
    path = root / "kodak" / "jpeg.jsonl"
    rows = read_rows(path, Row)
    newer = replace(rows[0], bpp=9.0)
    text = path.read_text()
    path.write_text("{damaged\n" + text + newer.to_json() + "\n" + '{"schema": 2, "torn')
    assert main(["bdrate", str(path), str(path)]) == EXIT_BAD_INPUT and "line 1" in capsys.readouterr().err

    assert results(root, "prune") == EXIT_DONE
    assert "1 superseded dropped, 1 damaged lines set aside; 15 rows" in capsys.readouterr().out
    assert read_rows(path, Row) == [*rows[1:], newer]
    assert path.with_name("jpeg.jsonl.damaged").read_text() == "{damaged\n"
    others = {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}
    assert results(root, "prune") == EXIT_DONE and "0 of" in capsys.readouterr().out
    assert others == {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}


@pytest.mark.parametrize("command", [("prune",), ("migrate",), ("drop", "kodak", "jpeg", "--points", "q1")])
def test_a_whole_last_row_without_line_end_costs_no_other_row(root: Path, command: tuple[str, ...]) -> None:
    path = root / "kodak" / "jpeg.jsonl"
    rows, content = read_rows(path, Row), path.read_bytes()
    path.write_bytes(content.removesuffix(b"\n"))
    assert results(root, *command) == EXIT_DONE
    assert read_rows(path, Row) == [row for row in rows if command[0] != "drop" or row.point != "q1"]
    assert command[0] == "drop" or path.read_bytes() == content
    assert not path.with_name("jpeg.jsonl.damaged").exists()


def test_drop_takes_a_point_or_a_codec(root: Path, capsys: pytest.CaptureFixture) -> None:
    assert results(root, "drop", "kodak", "jpeg", "--points", "q1,q2") == EXIT_DONE
    assert {row.point for row in Store(root).read("kodak", "jpeg")} == {"q3", "q4", "q5"}
    assert results(root, "drop", "kodak", "webp") == EXIT_DONE
    assert not (root / "kodak" / "webp.jsonl").exists()
    assert len(read_rows(root / "latency" / "cpu-test" / "hpcm_base.jsonl", LatencyRow)) == 2

    capsys.readouterr()
    assert results(root, "drop", "kodak", "webp") == EXIT_BAD_INPUT
    assert results(root, "drop", "kodak", "jpeg", "--points", "q1") == EXIT_BAD_INPUT
    assert results(root, "drop", "kodak", "jpg") == results(root, "drop", "kodka", "jpeg") == EXIT_BAD_INPUT
    error = capsys.readouterr().err
    assert "it has: q3, q4, q5" in error and "did you mean jpeg?" in error and "did you mean kodak?" in error


def test_an_empty_place_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert results(tmp_path, "list") == EXIT_DONE and "nothing is stored" in capsys.readouterr().out


def test_prune_keeps_earlier_sessions_of_latencies(root: Path) -> None:
    path = root / "latency" / "cpu-test" / "hpcm_base.jsonl"
    rows = read_rows(path, LatencyRow)
    later = [replace(row, session="later") for row in rows]
    path.write_text("".join(row.to_json() + "\n" for row in [*rows, *later, *later]))
    assert results(root, "prune") == EXIT_DONE
    assert read_rows(path, LatencyRow) == [*rows, *later]


@pytest.mark.parametrize("verb", [("migrate",), ("drop", "kodak", "jpeg")])
def test_a_damaged_line_is_named_and_stays(root: Path, verb: tuple[str, ...], capsys: pytest.CaptureFixture) -> None:
    path = root / "kodak" / "jpeg.jsonl"
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text(first + '{"schema": 2}\n' + "".join(rest))
    before = path.read_bytes()
    assert results(root, *verb) == EXIT_BAD_INPUT
    assert f"{path}, line 2: " in capsys.readouterr().err and path.read_bytes() == before


def test_rows_of_a_later_version_are_neither_read_nor_pruned(root: Path, capsys: pytest.CaptureFixture) -> None:
    path = root / "kodak" / "jpeg.jsonl"
    text = path.read_text().replace('"schema":2', '"schema":3', 1)
    path.write_text(text)
    assert main(["bdrate", str(path), str(path)]) == EXIT_BAD_INPUT
    error = capsys.readouterr().err
    assert "line 1: schema 3 is newer" in error and "update the suite" in error and "prune" not in error
    assert results(root, "prune") == EXIT_DONE and path.read_text() == text
