"""Where a row was made: what is one machine, which rows count where, and what is said where machines are mixed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import other_machine
import pytest
from msgspec.structs import replace
from other_machine import AVX512, pretend
from row_samples import rows_of, write

from bench.cli import main
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE
from bench.curves.row_averages import average_rows
from bench.reports.rate.coverage import coverage_of
from bench.reports.rate.images import image_table
from bench.reports.rate.report import make_rate_report
from bench.reports.rate.tables import provenance_table, summary_table
from bench.results.labels import label_selection
from bench.results.machines import choose_counting, find_machine, is_from, name_machine
from bench.results.row_selection import select_rows
from bench.results.rows import Provenance, Row
from bench.results.store import read_rows
from bench.results.stored import StoredResults
from bench.runners.machine import describe_machine

OURS = Provenance(device="cpu: Ours", instructions="AVX2")
THEIRS = Provenance(device="cpu: Theirs", instructions="AVX-512")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with monkeypatch.context() as patch:
        pretend(patch, tmp_path / "machine", "Ours")
        yield
    other_machine.forget_machine()


def rows_from(provenance: Provenance, **values) -> list[Row]:
    return rows_of(provenance=provenance, **values)


def test_a_machine_is_a_processor_with_its_instructions_or_a_gpu(monkeypatch: pytest.MonkeyPatch,
                                                                 tmp_path: Path) -> None:
    assert find_machine() == "cpu: Ours | cpu: Ours, AVX2"
    assert name_machine(describe_machine("cpu", jobs=3, torch=None)) == "cpu: Ours, AVX2"
    assert name_machine(replace(OURS, cpus=64, jobs=8, libraries={"torch": "9"})) == "cpu: Ours, AVX2"

    pretend(monkeypatch, tmp_path / "other", "Ours", AVX512, gpu="NVIDIA H200")
    assert find_machine() == "cpu: Ours | cpu: Ours, AVX-512 | cuda: NVIDIA H200"
    assert name_machine(describe_machine("cpu", jobs=1, torch=None)) == "cpu: Ours, AVX-512"
    gpu, other = (rows_from(Provenance(device=f"cuda: {name}"), images=1, points=1)[0]
                  for name in ("NVIDIA H200", "NVIDIA H20"))
    assert is_from(gpu, find_machine()) and not is_from(other, find_machine())


def test_a_processor_that_tells_nothing_of_itself_has_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path / "arm", "none")
    (tmp_path / "arm" / "cpuinfo").write_text("processor\t: 0\nFeatures\t: fp asimd sve\n")
    other_machine.forget_machine()
    assert find_machine().startswith("cpu: ") and len(find_machine()) > len("cpu: ")
    assert " | " not in find_machine()


@pytest.mark.parametrize("order", [1, -1])
def test_this_machines_row_counts_before_others_and_else_the_last(order: int) -> None:
    ours, theirs = (rows_from(one, images=1, points=1)[0] for one in (OURS, THEIRS))
    both = [ours, theirs][::order]
    assert choose_counting(both) == [ours]
    assert select_rows("kodak", both).rows == [ours]
    newer = replace(ours, bpp=0.9)
    assert choose_counting([*both, newer]) == [newer]

    third = replace(theirs, provenance=Provenance(device="cpu: Third"))
    assert choose_counting([theirs, third][::order]) == [[theirs, third][::order][-1]]


def test_row_that_does_not_say_its_instructions_is_of_the_processor_of_that_name() -> None:
    old, = rows_from(Provenance(device="cpu: Ours"), images=1, points=1)
    theirs, = rows_from(THEIRS, images=1, points=1)
    other, = rows_from(replace(OURS, instructions="AVX-512"), images=1, points=1)
    assert choose_counting([old, theirs]) == [old] and choose_counting([old, other]) == [old]


def test_strict_leaves_only_this_machines_rows(tmp_path: Path) -> None:
    (tmp_path / "kodak").mkdir()
    ours, theirs = rows_from(OURS, images=2), rows_from(THEIRS, images=3)
    write(tmp_path / "kodak" / "jpeg.jsonl", [*ours, *theirs])
    assert len(StoredResults(tmp_path).rows("kodak")) == len(theirs)
    strict = StoredResults(tmp_path, find_machine())
    assert strict.rows("kodak") == ours
    assert {row.image for row in strict.selection("kodak").rows} == {"0.png", "1.png"}

    elsewhere = StoredResults(tmp_path, "cpu: Nowhere")
    assert elsewhere.datasets == [] and strict.datasets == ["kodak"]


@pytest.mark.usefixtures("undrawn")
def test_strict_report_shows_only_this_machines_images(tmp_path: Path) -> None:
    (tmp_path / "results" / "kodak").mkdir(parents=True)
    write(tmp_path / "results" / "kodak" / "jpeg.jsonl", [*rows_from(OURS, images=2), *rows_from(THEIRS, images=3)])
    where = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    page = tmp_path / "reports" / "kodak" / "README.md"

    assert main(["report", "--dataset", "kodak", *where]) == EXIT_DONE
    assert "3 images" in page.read_text() and "cpu: Theirs" in page.read_text()
    assert main(["report", "--dataset", "kodak", "--strict", *where]) == EXIT_DONE
    assert "2 images" in page.read_text() and "cpu: Theirs" not in page.read_text()


def test_state_is_not_accepted_from_one_machine(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["claims", "--strict", "--accept", "--results", str(tmp_path)]) == EXIT_BAD_INPUT
    assert "all machines" in capsys.readouterr().err


def test_curve_that_mixes_machines_says_so(tmp_path: Path) -> None:
    theirs, ours = rows_from(THEIRS), rows_from(OURS)
    mixed = [*theirs[:-1], ours[-1]]
    assert not average_rows(theirs).remarks
    (remark,) = average_rows(mixed).remarks
    assert "1 of cpu: Ours, AVX2" in remark and "14 of cpu: Theirs, AVX-512" in remark
    (note,) = select_rows("kodak", mixed).notes
    assert remark in note and note.startswith("jpeg: ")

    (tmp_path / "kodak").mkdir()
    write(tmp_path / "kodak" / "jpeg.jsonl", [*mixed, *rows_from(THEIRS, name="vvenc")])
    report = make_rate_report(StoredResults(tmp_path), "kodak")
    table = next(table for table in report.tables if table.name == "bd_rate_vs_vvenc")
    assert remark in str(table.column("remarks")[table.column("codec").index("JPEG")])


def test_tables_say_where_rows_were_made() -> None:
    rows = [*rows_from(THEIRS, images=2, points=2), *rows_from(OURS, images=1, points=1)]
    rows += rows_from(THEIRS, images=2, points=1, name="webp")
    selection = label_selection(select_rows("kodak", rows))
    coverage = coverage_of(selection)

    table = provenance_table(selection, coverage)
    columns = (table.column(key) for key in ("codec", "points", "rows", "machine"))
    assert set(zip(*columns)) == {("JPEG", "q1", 1, "cpu: Ours, AVX2"), ("JPEG", "q1, q2", 3, "cpu: Theirs, AVX-512"),
                                  ("WEBP", "q1", 2, "cpu: Theirs, AVX-512")}
    (note,) = [note for note in summary_table(selection, coverage).notes if "properties of the machine" in note]
    assert "cpu: Ours, AVX2 (JPEG)" in note and "cpu: Theirs, AVX-512 (JPEG, WEBP)" in note
    assert "cpu: Ours, AVX2" in image_table(selection, coverage).column("machine")


def test_both_machines_rows_outlive_tidying(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "kodak").mkdir()
    ours, theirs = rows_from(OURS, images=1, points=2), rows_from(THEIRS, images=1, points=2)
    path = write(tmp_path / "kodak" / "jpeg.jsonl", [*theirs, *theirs, *ours, ours[0]])
    assert main(["results", "prune", "--results", str(tmp_path)]) == EXIT_DONE
    assert sorted(read_rows(path, Row), key=repr) == sorted([*theirs, *ours], key=repr)
    assert "3 superseded" in (told := capsys.readouterr().out)
    assert "2 measurements of several machines kept" in told
