"""Folders of the user's: each has results of its own, and reports cover the pictures of the last run."""

from __future__ import annotations

from pathlib import Path

import pytest
from birds import FILES, png_bytes, put
from msgspec.structs import replace
from PIL import Image
from row_samples import rows_of, write

from bench.cli import main
from bench.common.errors import BenchError
from bench.curves.sources import read_source
from bench.reports.rate.report import make_rate_report
from bench.results.folder_record import FILE
from bench.results.store import Store
from bench.results.stored import StoredResults


def evaluate(folder: Path, results: Path) -> None:
    assert main(["evaluate", "--dataset", str(folder), "--codecs", "jpeg", "--points", "q55,q75", "--metrics", "psnr",
                 "--results", str(results)]) == 0


def list_covered(results: Path, dataset: str) -> list[str]:
    return sorted({row.image for row in StoredResults(results).rows(dataset)})


def test_a_report_covers_the_pictures_of_the_last_run(tmp_path):
    folder, results = put(tmp_path / "photos"), tmp_path / "results"
    evaluate(folder, results)
    assert list_covered(results, "photos") == sorted(FILES)

    (folder / "bird4.png").unlink()
    evaluate(folder, results)  # all is stored; the run covers less all the same
    assert list_covered(results, "photos") == sorted(FILES)[:3]
    assert make_rate_report(StoredResults(results), "photos").title.endswith("photos, 3 images")
    assert read_source(str(results / "photos" / "jpeg.jsonl")).images == 3
    assert len(Store(results).read("photos")) == 8  # nothing is lost

    put(folder, ["bird4.png"])
    (folder / "bird1.png").write_bytes(png_bytes(9))
    evaluate(folder, results)
    rows = StoredResults(results).rows("photos")
    assert len(rows) == 8 and len({row.image_sha256 for row in rows}) == 4


def test_folders_of_one_name_have_results_of_their_own(tmp_path):
    results = tmp_path / "results"
    full = put(tmp_path / "full" / "valid", ["bird1.png", "bird2.png"])
    half = tmp_path / "half" / "valid"
    half.mkdir(parents=True)
    for number in (1, 2):
        (half / f"bird{number}.png").write_bytes(png_bytes(number + 10))
    for folder in (full, half, full, half):
        evaluate(folder, results)
    assert StoredResults(results).datasets == ["half-valid", "valid"]
    pictures = [{row.image_sha256 for row in Store(results).read(name)} for name in ("valid", "half-valid")]
    assert [len(one) for one in pictures] == [2, 2] and not pictures[0] & pictures[1]

    full.rename(tmp_path / "moved")
    (tmp_path / "moved").rename(tmp_path / "valid")
    evaluate(tmp_path / "valid", results)
    assert StoredResults(results).datasets == ["half-valid", "valid"]


def test_pictures_of_equal_pixels_count_once(tmp_path, capsys):
    folder, results = put(tmp_path / "photos"), tmp_path / "results"
    Image.open(folder / "bird2.png").save(folder / "bird2-again.bmp")
    Image.open(folder / "bird3.png").save(folder / "bird3 (1).png", compress_level=0)
    (folder / "broken.png").write_bytes(b"no picture")
    main(["evaluate", "--dataset", str(folder), "--codecs", "jpeg", "--points", "q55", "--metrics", "psnr",
          "--results", str(results)])
    assert "5 images, 2 duplicates left out (bird3 (1).png is bird3.png, bird2-again.bmp is bird2.png)" in (
        capsys.readouterr().out)
    assert list_covered(results, "photos") == [*sorted(FILES), "broken.png"]


def test_rows_from_before_there_were_records_keep_their_name(tmp_path):
    folder, results = put(tmp_path / "photos"), tmp_path / "results"
    evaluate(folder, results)
    (results / "photos" / FILE).unlink()
    assert list_covered(results, "photos") == sorted(FILES)
    evaluate(folder, results)
    assert StoredResults(results).datasets == ["photos"]


def test_rows_of_several_datasets_in_one_folder_are_not_averaged(tmp_path):
    """As where files of rows are appended to each other."""
    others = [replace(one, dataset="tecnick", key=f"other {one.key}") for one in rows_of()]
    (tmp_path / "kodak").mkdir()
    write(tmp_path / "kodak" / "jpeg.jsonl", rows_of() + others)
    with pytest.raises(BenchError, match="rows of several datasets: kodak, tecnick"):
        make_rate_report(StoredResults(tmp_path), "kodak")


def test_a_damaged_record_is_named(tmp_path):
    folder, results = put(tmp_path / "photos"), tmp_path / "results"
    evaluate(folder, results)
    (results / "photos" / FILE).write_bytes(b"{")
    with pytest.raises(BenchError, match="pictures.json"):
        StoredResults(results).rows("photos")
