"""``python -m bench evaluate``: what it prints, stores and returns."""

from __future__ import annotations

import io
import re
from pathlib import Path

import faulty_codecs
import pytest
from msgspec.structs import replace as replace_row

from bench.cli import main
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_INCOMPLETE
from bench.results.rows import FAILED, OK, Provenance, Row
from bench.results.store import Store
from bench.runners.forecast import Forecast, Kind
from bench.runners.progress import Progress

FAULTY = faulty_codecs.FAULTY_WIDTH
TIMELESS = {"encode_s": None, "decode_s": None, "measured_at": "", "provenance": Provenance(), "code_version": ""}


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("BENCH_PLUGINS", "PYTHONPATH"):
        monkeypatch.setenv(name, faulty_codecs.environment()[name])
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BENCH_REPORTS", str(tmp_path / "reports"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return faulty_codecs.write_images(tmp_path / "pictures", [(30, 20), (FAULTY, 20), (20, 30)])


def bench(*arguments: object) -> int:
    return main(["evaluate", "--codecs", "deflate", *map(str, arguments)])


def rows_in(folder: Path, dataset: str = "pictures") -> list[Row]:
    return Store(folder).read(dataset)


@pytest.mark.usefixtures("measured_here")
def test_second_run_measures_nothing(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert bench("--dataset", folder) == EXIT_DONE
    first = capsys.readouterr()
    assert re.search(r"deflate +s4 s16 +0 +6 ", first.out)
    assert re.search(r"deflate +s4 +3/3 +0 +\d", first.out)
    assert "6/6 images, 0 s left" in first.err
    path = tmp_path / "results" / "pictures" / "deflate.jsonl"
    stored = path.read_bytes()
    assert bench("--dataset", folder) == EXIT_DONE
    assert "nothing to run" in capsys.readouterr().out
    assert path.read_bytes() == stored
    assert bench("--dataset", folder, "--remeasure", "--points", "s4") == EXIT_DONE
    assert len(path.read_text().splitlines()) == 9
    assert len(rows_in(tmp_path / "results")) == 6


@pytest.mark.usefixtures("measured_here")
def test_rows_of_a_folder_do_not_join_those_of_a_set(folder: Path, tmp_path: Path) -> None:
    own = folder.rename(folder.with_name("kodak"))
    assert bench("--dataset", own) == EXIT_DONE
    assert [path.name for path in (tmp_path / "results").iterdir() if path.is_dir()] == ["folder-kodak"]
    assert {row.dataset for row in rows_in(tmp_path / "results", "folder-kodak")} == {"folder-kodak"}


@pytest.mark.usefixtures("measured_here")
def test_summary_averages_are_those_of_the_rows(folder: Path, tmp_path: Path,
                                                capsys: pytest.CaptureFixture) -> None:
    bench("--dataset", folder, "--points", "s16")
    line = re.search(r"^ *deflate +s16 +3/3.*", capsys.readouterr().out, re.MULTILINE)[0]
    rows = rows_in(tmp_path / "results")
    assert f"{sum(row.bpp for row in rows) / 3:.4f}" in line
    assert f"{sum(row.quality['psnr'] for row in rows) / 3:.3f}" in line
    assert "N/A" in line  # MS-SSIM of small images


def test_plan_stores_nothing(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert bench("--dataset", folder, "--plan") == EXIT_DONE
    assert "expected time" in capsys.readouterr().out
    assert not (tmp_path / "results").exists()


@pytest.mark.usefixtures("measured_here")
@pytest.mark.parametrize(("fault", "status"), [("encode", FAILED), ("mismatch", OK)])
def test_failures_and_mismatches_give_exit_code_1(folder: Path, tmp_path: Path, fault: str, status: str,
                                                  monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("DEFLATE_FAULT", fault)
    assert bench("--dataset", folder, "--points", "s4") == EXIT_INCOMPLETE
    assert [row.status for row in rows_in(tmp_path / "results")] == [OK, status, OK]
    output = capsys.readouterr().out
    assert "image01.png" in output and re.search(r"will not have it|differs from the encoder's", output)
    assert bench("--dataset", folder, "--points", "s4", "--keep-failures") == EXIT_INCOMPLETE
    assert "nothing to run" in capsys.readouterr().out


@pytest.mark.usefixtures("measured_here")
def test_failed_rows_are_tried_again(folder: Path, tmp_path: Path) -> None:
    path = folder / "image00.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    assert bench("--dataset", folder) == EXIT_INCOMPLETE
    path.write_bytes(whole)
    assert bench("--dataset", folder) == EXIT_DONE
    assert sum(row.status == OK for row in rows_in(tmp_path / "results")) == 6


@pytest.mark.usefixtures("measured_here")
def test_what_is_missing_counts_only_where_it_was_named(folder: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["evaluate", "--dataset", str(folder), "--points", "s4"]
    assert main([*arguments, "--codecs", "absent,deflate"]) == EXIT_INCOMPLETE
    assert "missing: absent: its program is not here" in capsys.readouterr().out
    assert main([*arguments, "--codecs", "classical"]) == EXIT_DONE


@pytest.mark.parametrize(("arguments", "message"), [
    (["--dataset", "kodka"], "did you mean kodak?"), (["--dataset", "KODAK"], "did you mean kodak?"),
    (["--dataset", "/no/such/folder"], "is no folder"),
    (["--dataset", "FOLDER", "--points", "s5"], "has the rate point s5"),
    (["--dataset", "FOLDER", "--variant", "hpcm_base"], "go together"),
    (["--dataset", "FOLDER", "--variant", "hpcm_base", "--checkpoint", "no.pth"], "exclude each other"),
    (["--dataset", "EMPTY"], "holds no image"),
    (["--dataset", "FOLDER", "--results", "FILE"], "a file is where the path needs a folder"),
])
def test_bad_input_gives_exit_code_2(folder: Path, tmp_path: Path, arguments: list[str], message: str,
                                     capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    places = {"FOLDER": str(folder), "EMPTY": str(tmp_path / "empty"), "FILE": str(tmp_path / "file")}
    assert bench(*(places.get(word, word) for word in arguments)) == EXIT_BAD_INPUT
    assert message in capsys.readouterr().err


def test_several_jobs_give_the_rows_of_one(folder: Path, tmp_path: Path) -> None:
    assert bench("--dataset", folder) == EXIT_DONE
    assert bench("--dataset", folder, "--jobs", 2, "--results", tmp_path / "jobs") == EXIT_DONE

    def measured(place: Path) -> dict[str, Row]:
        return {row.key: replace_row(row, **TIMELESS) for row in rows_in(place)}

    assert measured(tmp_path / "results") == measured(tmp_path / "jobs")
    assert {row.provenance.jobs for row in rows_in(tmp_path / "jobs")} == {2}


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_dying_encoder_costs_its_own_images_only(folder: Path, tmp_path: Path, jobs: str,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFLATE_FAULT", "die")
    arguments = ["evaluate", "--dataset", str(folder), "--codecs", "deflate,jpeg", "--points", "s4,q20",
                 "--jobs", jobs]
    assert main(arguments) == EXIT_INCOMPLETE
    rows = {(row.name, row.image): row for row in rows_in(tmp_path / "results")}
    assert [rows["jpeg", f"image0{n}.png"].status for n in range(3)] == [OK] * 3
    assert [rows["deflate", f"image0{n}.png"].status for n in range(3)] == [OK, FAILED, OK]
    assert rows["deflate", "image01.png"].reason == "EncoderDied: the process that encodes died (status 3)"
    assert rows["deflate", "image01.png"].provenance.jobs == int(jobs)


def test_next_run_tries_just_the_picture_again_that_killed_its_encoder(tmp_path: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    folder = faulty_codecs.write_images(tmp_path / "pictures", [(30, 20), (FAULTY, 20), (20, 30), (25, 30), (26, 30)])
    monkeypatch.setenv("DEFLATE_FAULT", "kill")
    stored = tmp_path / "results" / "pictures" / "deflate.jsonl"
    for run in (1, 2):
        assert bench("--dataset", folder, "--points", "s4") == EXIT_INCOMPLETE
        assert [row.image for row in rows_in(tmp_path / "results") if row.status != OK] == ["image01.png"]
        lines = [Row.from_json(line) for line in stored.read_text().splitlines()]
        assert sum(row.status == OK for row in lines) == 4 and len(lines) == 4 + run


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress_text(stream: io.StringIO) -> str:
    now, kind, forecast = [0.0], Kind("coding"), Forecast()
    forecast.expect(kind, 40.0)
    with Progress(forecast, 5, stream, lambda: now[0]) as progress:
        progress.skip_images(1)
        forecast.drop(kind, 8.0)
        for _ in range(4):
            now[0] += 16.0  # twice as slow as planned
            forecast.finish(kind, 8.0, 16.0)
            progress.count_image("jpeg q50 a.png")
    return stream.getvalue()


def test_progress_outside_a_terminal_is_plain_lines() -> None:
    lines = progress_text(io.StringIO()).splitlines()
    assert [line.split()[0] for line in lines] == ["1/4", "2/4", "3/4", "4/4"]
    left = [int(re.search(r"(\d+) s left", line)[1]) for line in lines]
    assert left[0] > left[1] > left[2] > left[3] == 0
    assert 8 < left[2] <= 16  # one image is left: planned at 8 s, so far they took 16 s


def test_progress_on_a_terminal_is_a_bar() -> None:
    text = progress_text(Terminal())
    assert all(f"{done}/4 images, " in text for done in (1, 2, 3, 4)) and "\r" in text
    shares = [int(share) for share in re.findall(r"(\d+)%", text)]
    assert shares == sorted(shares) and shares[-1] == 100 and any(60 < share < 90 for share in shares)  # 3 of 4
