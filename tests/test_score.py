"""A metric that stored rows lack: computed from kept files or by coding again, and ``python -m bench score``."""

from __future__ import annotations

import csv
from pathlib import Path

import faulty_codecs
import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image
from toy_metric import mean_difference

from bench.cli import main
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_INCOMPLETE
from bench.datasets import read_rgb8
from bench.results.rows import Row
from bench.results.store import Store

SIZES = [(30, 20), (20, 30)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return faulty_codecs.write_images(tmp_path / "pictures", SIZES)


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment = faulty_codecs.environment()
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
    monkeypatch.setenv("BENCH_PLUGINS", environment["BENCH_PLUGINS"])
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path / "results"))


def evaluate(folder: Path, *arguments: str) -> int:
    return main(["evaluate", "--dataset", str(folder), "--codecs", "deflate", "--points", "s16", *arguments])


def rows_of(folder: Path) -> list[Row]:
    return Store(folder / "results").read("pictures")


def test_a_lacking_metric_is_computed_and_the_rest_of_the_row_stands(
        folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    assert evaluate(folder, "--metrics", "psnr") == EXIT_DONE
    first = rows_of(tmp_path)
    assert all(row.quality.keys() == {"psnr"} for row in first)
    assert evaluate(folder, "--metrics", "psnr") == EXIT_DONE
    assert "nothing to run" in capsys.readouterr().out

    assert evaluate(folder, "--metrics", "psnr,psnr-y") == EXIT_DONE
    assert "2 of them stored, but lacking a metric" in capsys.readouterr().out
    second = rows_of(tmp_path)
    assert [replace(row, quality={}, quality_versions={}) for row in second] == [
        replace(row, quality={}, quality_versions={}) for row in first]
    assert all(row.quality.keys() == {"psnr", "psnr-y"} for row in second)


def test_an_older_version_of_a_metric_is_computed_again(folder: Path, tmp_path: Path) -> None:
    assert evaluate(folder, "--metrics", "psnr") == EXIT_DONE
    store = Store(tmp_path / "results")
    right = rows_of(tmp_path)
    for row in right:
        store.append(replace(row, quality={"psnr": 1.0}, quality_versions={"psnr": "0"}))

    assert evaluate(folder, "--metrics", "psnr") == EXIT_DONE
    assert [row.quality for row in rows_of(tmp_path)] == [row.quality for row in right]


def test_kept_files_give_a_metric_without_coding(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    kept = str(tmp_path / "kept")
    assert evaluate(folder, "--metrics", "psnr", "--keep-streams", kept) == EXIT_DONE
    arguments = ["score", "--dataset", str(folder), "--codecs", "deflate", "--streams", kept, "--metrics", "psnr-y"]
    monkeypatch.setenv("DEFLATE_DELAY_S", "60")  # of each encoding

    assert main([*arguments, "--results", str(tmp_path / "results")]) == EXIT_DONE
    assert "2 rows gained psnr-y" in capsys.readouterr().out
    assert all(row.quality.keys() == {"psnr", "psnr-y"} for row in rows_of(tmp_path))


def test_a_kept_file_of_another_picture_gives_nothing(folder: Path, tmp_path: Path,
                                                      capsys: pytest.CaptureFixture) -> None:
    kept = tmp_path / "kept"
    assert evaluate(folder, "--metrics", "psnr", "--keep-streams", str(kept)) == EXIT_DONE
    before = rows_of(tmp_path)
    first, second = sorted(kept.glob("**/*.bin"))
    first.write_bytes(second.read_bytes())
    second.unlink()

    code = main(["score", "--dataset", str(folder), "--codecs", "deflate", "--streams", str(kept),
                 "--metrics", "psnr-y", "--results", str(tmp_path / "results")])
    out = capsys.readouterr()
    assert code == EXIT_INCOMPLETE and "0 rows gained" in out.out and "1 stored rows lack one" in out.out
    assert "1 kept files do not decode" in out.err and rows_of(tmp_path) == before


def test_a_kept_file_that_kills_its_decoder_fails_alone(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    kept = str(tmp_path / "kept")
    assert evaluate(folder, "--metrics", "psnr", "--keep-streams", kept) == EXIT_DONE
    monkeypatch.setenv("DEFLATE_DEADLY_WIDTH", str(SIZES[0][0]))
    code = main(["score", "--dataset", str(folder), "--codecs", "deflate", "--streams", kept, "--metrics", "psnr-y",
                 "--results", str(tmp_path / "results")])
    out = capsys.readouterr()
    assert code == EXIT_INCOMPLETE and "1 rows gained psnr-y" in out.out
    assert "image00.png: Crash: the decoder process died (SIGKILL)" in out.err
    assert [row.quality.keys() for row in rows_of(tmp_path)] == [{"psnr"}, {"psnr", "psnr-y"}]


def test_two_folders_are_scored_pair_by_pair(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture,
                                             added_metric: None) -> None:
    decoded, table = tmp_path / "decoded", tmp_path / "values.csv"
    decoded.mkdir()
    expected = {}
    for path in sorted(folder.glob("*.png")):
        pixels = read_rgb8(path)
        coarse = (pixels // 32 * 32).astype(np.uint8)
        Image.fromarray(coarse).save(decoded / f"{path.stem}.bmp")
        expected[path.stem] = mean_difference(pixels, coarse)

    assert main(["score", str(folder), str(decoded), "--metrics", "psnr,mae", "--csv", str(table)]) == EXIT_DONE
    rows = list(csv.DictReader(table.open()))
    assert {row["image"]: float(row["mae_levels"]) for row in rows} == pytest.approx(expected)
    assert f"{np.mean(list(expected.values())):.3f}" in capsys.readouterr().out

    (decoded / "image00.bmp").unlink()
    assert main(["score", str(folder), str(decoded)]) == EXIT_BAD_INPUT
    assert "without a counterpart: image00" in capsys.readouterr().err
    assert main(["score", str(folder)]) == EXIT_BAD_INPUT


def test_a_row_says_no_less_than_the_one_it_supersedes(folder: Path, tmp_path: Path) -> None:
    assert evaluate(folder, "--metrics", "psnr,psnr-y") == EXIT_DONE
    assert evaluate(folder, "--metrics", "psnr", "--remeasure") == EXIT_DONE
    assert all(row.quality.keys() == {"psnr", "psnr-y"} for row in rows_of(tmp_path))

    store = Store(tmp_path / "results")
    for row in rows_of(tmp_path):  # as another machine, whose pictures differ, would have stored it
        store.append(replace(row, quality={"psnr-y": 1.0}, quality_versions={"psnr-y": "1"},
                             reconstruction_sha256="0" * 64))
    assert evaluate(folder, "--metrics", "psnr") == EXIT_DONE
    assert all(row.quality.keys() == {"psnr", "psnr-y"} and row.quality["psnr-y"] > 1 for row in rows_of(tmp_path))


@pytest.mark.parametrize("arguments", [
    ["--metrics", ""], ["--metrics", "psnr,vmaf"], ["--device", "cuda"],
])
def test_what_can_not_be_scored_is_refused(folder: Path, arguments: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(["score", str(folder), str(folder), *arguments]) == EXIT_BAD_INPUT
    assert "error:" in capsys.readouterr().err


def test_a_missing_folder_of_kept_files_is_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    gone = tmp_path / "gone"
    assert main(["score", "--dataset", str(folder), "--streams", str(gone)]) == EXIT_BAD_INPUT
    assert str(gone) in capsys.readouterr().err
