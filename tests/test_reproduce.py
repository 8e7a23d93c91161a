"""``python -m bench reproduce``: stored rows that are measured again come out alike, or are named."""

from __future__ import annotations

import re
from pathlib import Path

import faulty_codecs
import numpy as np
import other_machine
import pytest
from msgspec.structs import replace
from other_machine import pretend
from PIL import Image
from row_samples import failed, quality_of, with_quality, write
from row_samples import row as make_row
from tiny_models import picture

from bench.cli import main
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_INCOMPLETE, BenchError
from bench.reports.rate.report import make_rate_report
from bench.results.reproductions import DIFFERS, FAILED, NOISE, SAME, Reproduction, compare_rows, read_reproductions
from bench.results.rows import Provenance, Row
from bench.results.store import Store, read_rows
from bench.results.stored import StoredResults

pytestmark = pytest.mark.usefixtures("measured_here", "undrawn")


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("BENCH_REPORTS", str(tmp_path / "reports"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return faulty_codecs.write_images(tmp_path / "pictures", [(200, 180), (190, 170), (180, 200)])


@pytest.fixture
def stored(folder: Path, tmp_path: Path) -> Path:
    """The file of rows of JPEG at two rate points."""
    assert main(["evaluate", "--dataset", str(folder), "--codecs", "jpeg", "--points", "q10,q55"]) == EXIT_DONE
    return tmp_path / "results" / "pictures" / "jpeg.jsonl"


def reproduce(folder: Path, *options: str, codecs: str = "jpeg") -> int:
    return main(["reproduce", str(folder), "--codecs", codecs, *options])


def found_in(tmp_path: Path, name: str = "jpeg") -> list[Reproduction]:
    return read_rows(tmp_path / "results" / "reproduction" / "pictures" / f"{name}.jsonl", Reproduction)


def change(path: Path, **values) -> list[Row]:
    return [replace(row, **values) for row in read_rows(path, Row)]


def test_classical_codec_gives_the_same_bytes(folder: Path, stored: Path, tmp_path: Path,
                                              capsys: pytest.CaptureFixture) -> None:
    before = stored.read_bytes()
    assert reproduce(folder, "--images", "2") == EXIT_DONE
    assert "4 of 4 rows" in capsys.readouterr().out and stored.read_bytes() == before
    found = found_in(tmp_path)
    assert [(one.outcome, one.same_bytes, one.same_pixels, one.bits_percent) for one in found] == [
        (SAME, True, True, 0.0)] * 4
    assert {one.point for one in found} == {"q10", "q55"} and set(found[0].quality_db) >= {"psnr", "ms-ssim"}
    assert {one.key for one in found} <= {row.key for row in read_rows(stored, Row)}

    report = make_rate_report(StoredResults(tmp_path / "results"), "pictures")
    assert any("Reproduced on cpu: " in text and "4 of 4" in text for text in report.intro)
    table = next(table for table in report.tables if table.name == "reproduction")
    assert table.column("codec") == ["JPEG (4:4:4)"] and table.column("rows") == [4]
    assert table.column("same") == [4] and table.column("same_bytes") == [4] and table.column("differs") == [0]


def test_rate_points_stand_apart_where_one_is_not_the_same(folder: Path, stored: Path,
                                                           capsys: pytest.CaptureFixture) -> None:
    assert reproduce(folder, "--images", "1") == EXIT_DONE
    assert re.search(r"^JPEG \(4:4:4\) +all 2 +2 +2 +0 +0", capsys.readouterr().out, re.M)
    write(stored, [replace(row, bpp=row.bpp * 1.05) if row.point == "q10" else row for row in read_rows(stored, Row)])
    assert reproduce(folder, "--images", "1") == EXIT_INCOMPLETE
    output = capsys.readouterr().out
    assert re.search(r"^JPEG \(4:4:4\) +q10 +1 +0 +0 +1", output, re.M)
    assert re.search(r"^JPEG \(4:4:4\) +q55 +1 +1 +0 +0", output, re.M)


@pytest.mark.parametrize(("tamper", "said"), [
    (lambda row: replace(row, bpp=row.bpp * 1.05), "-4.762 % bits"),
    (lambda row: with_quality(row, psnr=row.quality["psnr"] + 0.5), "-0.500 dB psnr"),
    (lambda row: replace(row, stream_sha256="0" * 64), "other bytes"),
    (lambda row: replace(row, reconstruction_sha256="0" * 64), "other pixels"),
])
def test_row_that_was_changed_is_named(folder: Path, stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture,
                                       tamper, said: str) -> None:
    rows = read_rows(stored, Row)
    wrong = rows[4]
    write(stored, [*rows[:4], tamper(wrong), *rows[5:]])
    assert reproduce(folder) == EXIT_INCOMPLETE
    output = capsys.readouterr().out
    (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: jpeg {wrong.point} {wrong.image}: ") and said in line
    assert [one.key for one in found_in(tmp_path) if one.is_wrong] == [wrong.key]
    report = make_rate_report(StoredResults(tmp_path / "results"), "pictures")
    table = next(table for table in report.tables if table.name == "reproduction")
    assert any(line.removeprefix("error: ") in note for note in table.notes)


def test_row_without_digests_is_compared_by_size_and_quality(folder: Path, stored: Path, tmp_path: Path) -> None:
    write(stored, change(stored, stream_sha256=None, reconstruction_sha256=None, pixels_sha256=None))
    assert reproduce(folder, "--images", "1") == EXIT_DONE
    for one in found_in(tmp_path):
        assert (one.outcome, one.same_bytes, one.same_pixels, one.bits_percent) == (SAME, None, None, 0.0)
        assert one.quality_db["psnr"] == 0


def test_another_version_of_a_library_may_differ_and_is_said(folder: Path, stored: Path, tmp_path: Path,
                                                             capsys: pytest.CaptureFixture) -> None:
    rows = [replace(row, identity={**row.identity, "codec_version": "Pillow 1, libjpeg 6b"}, bpp=row.bpp * 1.05)
            for row in read_rows(stored, Row)]
    write(stored, rows)
    assert reproduce(folder) == EXIT_DONE
    assert "error" not in capsys.readouterr().out
    assert {one.outcome for one in found_in(tmp_path)} == {DIFFERS}
    assert all(one.versions.startswith("Pillow 1, libjpeg 6b, here Pillow") for one in found_in(tmp_path))


def test_rows_of_other_settings_are_left_out(folder: Path, stored: Path, capsys: pytest.CaptureFixture) -> None:
    rows = read_rows(stored, Row)
    other = [replace(row, identity={**row.identity, "settings": {"subsampling": "4:2:0"}}) for row in rows
             if row.point == "q10"]
    write(stored, other + [row for row in rows if row.point == "q55"])
    assert reproduce(folder) == EXIT_DONE
    assert "left out: jpeg q10: " in capsys.readouterr().out

    write(stored, other)
    assert reproduce(folder) == EXIT_BAD_INPUT
    assert "jpeg q10: its stored rows are of other weights, settings or pictures" in capsys.readouterr().err


def test_what_is_not_there_is_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert reproduce(folder) == EXIT_BAD_INPUT
    assert "nothing that is stored of 'pictures'" in capsys.readouterr().err
    assert reproduce(tmp_path / "nowhere") == EXIT_BAD_INPUT
    assert "nowhere" in capsys.readouterr().err


def test_missing_checkpoints_of_stored_rows_are_named(folder: Path, stored: Path, tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "variants.yaml").write_text(
        "variants:\n  mine: {model: hpcm_base, label: Mine, lambdas: [0.01], checkpoints: nowhere}\n"
        "  unstored: {model: hpcm_base, label: Unstored, lambdas: [0.01], checkpoints: nowhere}\n")
    monkeypatch.setenv("BENCH_VARIANTS", str(tmp_path / "variants.yaml"))
    write(stored.with_name("mine.jsonl"), [make_row("image00.png", "0.01", 0.5, 30.0, name="mine")])
    assert reproduce(folder, "--images", "1", codecs="all") == EXIT_DONE
    output = capsys.readouterr().out
    (line,) = [line for line in output.splitlines() if line.startswith("missing: ")]
    assert "checkpoints" in line and "unstored" not in output
    assert reproduce(folder, codecs="mine") == EXIT_BAD_INPUT
    assert str(tmp_path / "nowhere") in capsys.readouterr().err


def test_plan_measures_nothing(folder: Path, stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert reproduce(folder, "--images", "2", "--plan") == EXIT_DONE
    assert re.search(r"jpeg +q10 q55 +6 +4 ", capsys.readouterr().out)
    assert not (tmp_path / "results" / "reproduction").exists()


def test_rows_of_other_machines_are_measured_first(folder: Path, stored: Path, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    rows = read_rows(stored, Row)
    theirs = [replace(row, provenance=Provenance(device="cpu: Theirs")) for row in rows if row.image == "image02.png"]
    write(stored, [*theirs, *rows])
    for _ in range(2):
        assert reproduce(folder, "--images", "1") == EXIT_DONE
    found = found_in(tmp_path)
    assert [(one.image, one.row_machine) for one in found] == [("image02.png", "cpu: Theirs")] * 4

    results = StoredResults(tmp_path / "results")
    assert len(read_reproductions(results.root, "pictures", results.rows("pictures"))) == 2, "the last of each counts"
    with monkeypatch.context() as patch:
        pretend(patch, tmp_path / "machine", "Third")
        assert reproduce(folder, "--images", "1") == EXIT_DONE
        assert {one.provenance.device for one in found_in(tmp_path)[4:]} == {"cpu: Third"}
    other_machine.forget_machine()


def test_points_are_sampled_on_other_pictures(tmp_path: Path) -> None:
    folder = faulty_codecs.write_images(tmp_path / "pictures", [(40 + n, 40) for n in range(8)])
    assert main(["evaluate", "--dataset", str(folder), "--codecs", "jpeg", "--metrics", "psnr"]) == EXIT_DONE
    assert reproduce(folder, "--images", "1") == EXIT_DONE
    assert len({one.image for one in found_in(tmp_path)}) > 2


def test_row_that_was_measured_anew_has_not_been_reproduced(folder: Path, stored: Path, tmp_path: Path) -> None:
    assert reproduce(folder, "--images", "3") == EXIT_DONE
    assert len(StoredResults(tmp_path / "results").reproductions("pictures")) == 6
    rows = read_rows(stored, Row)
    write(stored, [replace(rows[0], measured_at="2031-01-01T00:00:00+00:00"), *rows[1:]])
    assert rows[0].key not in {one.key for one in StoredResults(tmp_path / "results").reproductions("pictures")}
    write(stored, rows[2:])
    assert len(StoredResults(tmp_path / "results").reproductions("pictures")) == 4


def test_damaged_line_is_named_and_pruned(folder: Path, stored: Path, tmp_path: Path,
                                          capsys: pytest.CaptureFixture) -> None:
    assert reproduce(folder) == EXIT_DONE
    path = tmp_path / "results" / "reproduction" / "pictures" / "jpeg.jsonl"
    path.write_text(path.read_text() + path.read_text().splitlines()[0].replace('"same"', '"alike"') + "\n")
    with pytest.raises(BenchError, match=r"jpeg\.jsonl, line 7: field 'outcome'"):
        StoredResults(tmp_path / "results").reproductions("pictures")
    assert main(["results", "prune"]) == EXIT_DONE
    assert "1 damaged" in capsys.readouterr().out
    assert len(StoredResults(tmp_path / "results").reproductions("pictures")) == 6


def test_learned_codec_gives_the_same_here_on_as_many_threads(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    Image.fromarray(picture(128, 64)).save(tmp_path / "pictures" / "crop.png")
    options = ["--points", "0.0018"]
    code = main(["evaluate", "--dataset", str(tmp_path / "pictures"), "--codecs", "rwkv_phase1_mini", *options,
                 "--threads", "3"])
    if code == EXIT_BAD_INPUT:
        pytest.skip("the miniatures' checkpoints are not here")
    assert reproduce(tmp_path / "pictures", *options, codecs="rwkv_phase1_mini") == EXIT_DONE
    (one,) = found_in(tmp_path, "rwkv_phase1_mini")
    assert one.outcome == SAME and one.same_bytes and one.same_pixels and one.miniature
    assert one.provenance.threads == 3


def pair(bpp: float = 1.0, psnr: float = 30.0, **values) -> Row:
    return make_row("a.png", "q1", bpp, psnr, width=768, height=512, bytes_total=round(bpp * 49152), **values)


@pytest.mark.parametrize(("again", "learned", "classical"), [
    (pair(), SAME, SAME),
    (pair(stream_sha256="b"), NOISE, DIFFERS),
    (pair(1.009), NOISE, DIFFERS), (pair(0.991), NOISE, DIFFERS),
    (pair(1.011), DIFFERS, DIFFERS), (pair(0.989), DIFFERS, DIFFERS),
    (pair(1.0, 30.049), NOISE, DIFFERS), (pair(1.0, 29.951), NOISE, DIFFERS),
    (pair(1.0, 30.051), DIFFERS, DIFFERS), (pair(1.0, 29.949), DIFFERS, DIFFERS),
    (failed(pair(), "out of memory"), FAILED, FAILED),
    (replace(pair(), decode_matches=False, decode_max_abs_difference=3), FAILED, FAILED),
])
def test_bounds_of_noise(again: Row, learned: str, classical: str) -> None:
    stored = pair(stream_sha256="a")
    again = with_quality(again, ms_ssim=stored.quality["ms-ssim"]) if again.quality else again
    assert compare_rows(stored, again, exact=False).outcome == learned
    assert compare_rows(stored, again, exact=True).outcome == classical


def test_few_bytes_of_a_small_file_are_noise() -> None:
    stored, again = (replace(pair(), bpp=size * 8 / 4096, bytes_total=size) for size in (200, 208))
    assert compare_rows(stored, again, exact=False).outcome == NOISE
    assert compare_rows(stored, replace(again, bpp=209 * 8 / 4096), exact=False).outcome == DIFFERS


def test_metrics_of_other_versions_are_not_compared() -> None:
    again = replace(pair(), quality_versions={"psnr": "0", "ms-ssim": "1"}, **{
        "quality": {**quality_of(psnr=99.0)["quality"], "ms-ssim": pair().quality["ms-ssim"]}})
    found = compare_rows(pair(), again, exact=False)
    assert found.outcome == SAME and set(found.quality_db) == {"ms-ssim"}
    assert np.isclose(found.quality_db["ms-ssim"], 0)


def test_a_failure_says_why() -> None:
    found = compare_rows(pair(), failed(pair(), "out of memory"), exact=False, versions="1, here 2")
    assert found.is_wrong and found.reason == "out of memory"
    assert not compare_rows(pair(), pair(2.0), exact=True, versions="1, here 2").is_wrong


def test_store_reads_the_last_row_of_each_machine(tmp_path: Path) -> None:
    (tmp_path / "kodak").mkdir()
    one, two = (replace(pair(), provenance=Provenance(device=f"cpu: {name}")) for name in ("one", "two"))
    newer = replace(one, bpp=0.9)
    write(tmp_path / "kodak" / "jpeg.jsonl", [one, two, newer])
    assert Store(tmp_path).read_of_every_machine("kodak") == [newer, two]
