"""The store: durable, append-only, whole after kills, full disks and concurrent writers."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
from pathlib import Path

import pytest

from bench.common.errors import EXIT_BAD_INPUT, BenchError
from bench.common.files import DiskFull
from bench.results.rows import FAILED, OK, Row
from bench.results.store import Store


def make_row(key: str, **values: object) -> Row:
    return Row(**{
        "key": key, "series": "5" * 32, "status": OK, "dataset": "set", "image": f"{key}.png",
        "image_sha256": "ab", "codec": "jpeg", "name": "jpeg", "label": "JPEG", "point": "q50", "bpp": 0.5, **values})


def keys_in(store: Store) -> set[str]:
    return {row.key for row in store.read("set")}


def test_rows_come_back_as_they_were_stored(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows = [make_row("a", bpp=0.1, warnings=("é\n",)), make_row("b", status=FAILED, reason="no"),
            make_row("c", name="vvenc")]
    for row in rows:
        store.append(row)
    assert sorted(Store(tmp_path).read("set"), key=lambda row: row.key) == rows
    assert store.read("other") == []
    assert [row.key for row in store.read("set", "vvenc")] == ["c"]
    assert len((tmp_path / "set" / "jpeg.jsonl").read_text().splitlines()) == 2


def test_last_row_of_a_key_counts_and_failures_are_not_done(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for key, values in (("a", {"status": FAILED}), ("b", {}), ("a", {"bpp": 1.0}), ("c", {"status": FAILED})):
        store.append(make_row(key, **values))
    assert {row.key: row.bpp for row in store.read("set")} == {"a": 1.0, "b": 0.5, "c": 0.5}
    assert {row.key for row in store.read("set") if row.status == OK} == {"a", "b"}


@pytest.mark.parametrize("length", [1, 40, -1])
def test_torn_last_line_is_passed_over_then_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture,
                                                    length: int) -> None:
    store = Store(tmp_path)
    store.append(make_row("a"))
    path = store.path("set", "jpeg")
    with open(path, "a") as file:
        file.write(make_row("b").to_json()[:length])
    with caplog.at_level(logging.WARNING):
        assert keys_in(store) == {"a"}
    assert "torn" in caplog.text
    store.append(make_row("c"))
    caplog.clear()
    assert keys_in(store) == {"a", "c"}
    assert caplog.text == ""


def test_whole_last_line_without_line_end_is_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.path("set", "jpeg")
    path.parent.mkdir()
    path.write_text(make_row("a").to_json())
    store.append(make_row("b"))
    assert keys_in(store) == {"a", "b"}
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize(("line", "what"), [
    ("{broken", "line 2"), ('{"schema": 99}', "schema 99 is newer"), ("[]", "not a JSON object"), ('"x"', "not a JSON"),
    ("{}", "'schema'"), ('{"schema": true}', "'schema'"), ("[" * 100_000, "nested too deeply"),
    ('{"schema": 2, "schema": 2}', "stands twice"),
])
def test_lines_that_are_no_rows_are_refused_and_stay(tmp_path: Path, line: str, what: str) -> None:
    store = Store(tmp_path)
    path = store.path("set", "jpeg")
    path.parent.mkdir()
    lines = [make_row("a").to_json(), line, make_row("b").to_json()]
    path.write_text("\n".join(lines) + "\n")

    with pytest.raises(BenchError) as caught:
        store.read("set")
    assert f"{path}, line 2: " in str(caught.value) and what in str(caught.value)
    assert ("results prune" in str(caught.value)) is ("newer" not in what)  # a later version's row is not damaged
    store.append(make_row("c"))
    assert path.read_text().splitlines()[:3] == lines


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_leaves_whole_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    store = Store(tmp_path)
    store.append(make_row("a"))
    before = store.path("set", "jpeg").read_bytes()
    real, calls = os.write, []

    def full(handle: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) > 1:
            raise OSError(number, os.strerror(number))
        return real(handle, data[:10])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskFull, match="no space left") as caught:
        store.append(make_row("b"))
    monkeypatch.undo()
    assert caught.value.exit_code == EXIT_BAD_INPUT
    assert store.path("set", "jpeg").read_bytes() == before
    store.append(make_row("b"))
    assert keys_in(store) == {"a", "b"}


def append_many(folder: str, prefix: str, count: int) -> None:
    store = Store(folder)
    for number in range(count):
        store.append(make_row(f"{prefix}{number}", reason="x" * 20_000))


def test_writers_at_the_same_time_do_not_mix_lines(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=append_many, args=(str(tmp_path), prefix, 60)) for prefix in "xyz"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = (tmp_path / "set" / "jpeg.jsonl").read_text().splitlines()
    assert {Row.from_json(line).key for line in lines} == {f"{p}{n}" for p in "xyz" for n in range(60)}
    assert len(lines) == 180


def try_claim(folder: str, series: str, answers: multiprocessing.Queue) -> None:
    answers.put(Store(folder).claim("set", series))


def test_claim_is_held_against_other_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    store, answers = Store(tmp_path), context.Queue()

    def other(series: str) -> bool:
        process = context.Process(target=try_claim, args=(str(tmp_path), series, answers))
        process.start()
        answer = answers.get(timeout=30)
        process.join()
        return answer

    assert store.claim("set", "1" * 32)
    assert not other("1" * 32)
    assert other("2" * 32)  # and its process' end freed it
    assert store.claim("set", "2" * 32)
    store.release("set", "1" * 32)
    assert other("1" * 32)


def test_names_can_not_leave_the_folder(tmp_path: Path) -> None:
    path = Store(tmp_path).path("../../up", "../x/y")
    assert path.resolve().is_relative_to(tmp_path.resolve())
