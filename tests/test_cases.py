"""Pictures and rows that people met, read where they lie, beside the checkout; their values were derived independently.

Cases of curves are in test_curve_tables.py, of labels in test_plots.py, of claims in test_judgement.py, with copies of
their small inputs in this folder; test_pairing.py has those of equal names too, as they were measured.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from bench.cli import main
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, DatasetError, ImageError
from bench.curves.sources import read_source
from bench.datasets import resolve_dataset
from bench.datasets.images import read_rgb8
from bench.training.data import decode_folders

CASES = Path(__file__).parents[2] / "shared" / "cases"
CROP = 64

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="no shared/cases beside the checkout")


@pytest.mark.parametrize("name", ["plain.png", "big-xmp.png", "big-icc.png"])
def test_08_a_megabyte_of_metadata_leaves_a_picture_intact(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = CASES / "08-large-metadata" / name
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", 1 << 28)  # as which Pillow itself reads them
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_rgb8(path), np.asarray(image))


def test_10_files_of_equal_content_count_once_and_are_named() -> None:
    dataset = resolve_dataset(CASES / "10-duplicates")
    assert [image.name for image in dataset.images] == ["photo09.png", "photo10.png", "photo11.png"]
    assert dataset.coverage == "3 images, 1 duplicate left out (photo09 (1).png is photo09.png)"


def test_13_what_macos_leaves_is_passed_over_in_training_and_evaluation(tmp_path: Path) -> None:
    folder = CASES / "13-appledouble" / "train"
    assert len(decode_folders([folder], CROP, tmp_path)) == 3
    assert [image.name for image in resolve_dataset(folder).images] == ["0001.png", "0002.png", "0003.png"]


def test_15_hidden_colours_are_neither_trained_on_nor_evaluated(tmp_path: Path) -> None:
    folder = CASES / "15-rgba"
    with pytest.raises(DatasetError, match="a.png has transparent pixels"):
        decode_folders([folder], CROP, tmp_path)
    with pytest.raises(ImageError, match="a.png: has transparent pixels"):
        read_rgb8(folder / "a.png")

    with Image.open(folder / "a.png") as image:
        seen = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        hidden = np.asarray(image)[..., :3].astype(float)
    assert round(10 * math.log10(255**2 / np.mean((hidden - np.asarray(seen)) ** 2)), 2) == 7.76  # what it would cost


def test_22_a_path_with_a_number_sign_is_read(tmp_path: Path) -> None:
    path = CASES / "22-hash-path" / "run#2 (final)" / "webp.jsonl"
    rates: dict[str, list[float]] = {}
    for line in path.read_text().splitlines():
        rates.setdefault(json.loads(line)["point"], []).append(json.loads(line)["bpp"])
    for text in (str(path), f"{path}#webp"):
        curve = read_source(text)
        assert (curve.name, curve.images) == ("webp", 24)
        assert sorted(curve.bpp) == pytest.approx(sorted(map(statistics.fmean, rates.values())))


@pytest.mark.usefixtures("measured_here")
def test_25_other_pictures_of_the_same_names_are_never_compared(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for size in ("full", "half"):
        shutil.copytree(CASES / "25-same-names" / size, tmp_path / size)
        assert main(["evaluate", "--dataset", str(tmp_path / size / "valid"), "--codecs", "jpeg,webp",
                     "--metrics", "psnr", "--results", str(tmp_path / "results")]) == EXIT_DONE
    full, half = (tmp_path / "results" / name for name in ("valid", "half-valid"))

    capsys.readouterr()
    assert main(["bdrate", str(full / "jpeg.jsonl"), str(full / "webp.jsonl")]) == EXIT_DONE
    assert {"−40.17", "−42.00"} <= set(re.findall(r"−\d+\.\d\d", capsys.readouterr().out))
    assert main(["bdrate", str(full / "jpeg.jsonl"), str(half / "webp.jsonl")]) == EXIT_BAD_INPUT
    said = capsys.readouterr()
    assert "42.08" not in said.out + said.err and "other pictures" in said.err
