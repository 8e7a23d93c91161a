"""Curves are compared over the same pictures, whatever their files are called."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from msgspec.structs import replace
from row_samples import row, rows_of, write

from bench.claims.catalogue import Claim
from bench.claims.judgement import judge_all
from bench.cli import main
from bench.commands.bdrate import align_curves
from bench.common.text import format_number
from bench.curves.pairing import NoSharedImages
from bench.curves.rd_curve import RDCurve
from bench.curves.row_averages import average_rows
from bench.curves.sources import read_source
from bench.metrics import bd_rate, per_image_bd
from bench.metrics.statistics.verdicts import INVALID
from bench.reports.rate.comparison import ComparedCodec, compare_codecs
from bench.reports.rate.curves import MEASURED, ReportCurve
from bench.results.rows import Row
from bench.results.stored import StoredResults

RIGHT = ("−40.17", "−42.00")  # on equal pictures
MEASURED_OF_SAME_NAMES = Path(__file__).parent / "reference" / "same_names.csv"


def read_set(folder: str, codec: str) -> list[Row]:
    """Rows of one of two folders called ``valid``, whose three pictures bear the same names and are others."""
    with open(MEASURED_OF_SAME_NAMES, newline="") as stream:
        lines = [line for line in csv.DictReader(stream) if (line["set"], line["codec"]) == (folder, codec)]
    rows = [row(line["image"], line["point"], float(line["bpp"]), float(line["psnr"]), name=codec,
                image_sha256=f"{folder}/{line['image']}", pixels_sha256=line["pixels_sha256"]) for line in lines]
    return [replace(one, dataset="valid") for one in rows]


def rename(rows: list[Row], **values) -> list[Row]:
    return [replace(one, image=f"renamed-{9 - int(one.image[3])}.PNG", image_sha256=f"other bytes of {one.image}",
                    **values) for one in rows]


def compare(anchor: RDCurve, test: RDCurve) -> tuple[str, str]:
    """BD-rate of the averaged curves, and the mean of the images' own."""
    first, second, _ = align_curves(anchor, test, "psnr")
    mean = per_image_bd(first.image_curves("psnr"), second.image_curves("psnr"))
    return (format_number(bd_rate(first.curve("psnr"), second.curve("psnr")).value, "+.2f"),
            format_number(mean.mean, "+.2f"))


def test_equal_pictures_give_the_right_number():
    assert compare(average_rows(read_set("full", "jpeg")), average_rows(read_set("full", "webp"))) == RIGHT


def test_other_pictures_under_the_same_names_give_no_number():
    anchor, test = average_rows(read_set("full", "jpeg")), average_rows(read_set("half", "webp"))
    with pytest.raises(NoSharedImages, match=r"files of the same names hold other pictures \(0801.png, 0802.png, 080"):
        align_curves(anchor, test, "psnr")

    sides = [ComparedCodec(curve.name, curve.label, MEASURED, {"psnr": ReportCurve(curve, "psnr", MEASURED)})
             for curve in (anchor, test)]
    compared = compare_codecs(*sides)
    assert compared.bd_rate_percent is None and any("other pictures" in remark for remark in compared.remarks)


def export(rows: list[Row], folder: Path) -> RDCurve:
    """The averages that a file keeps of rows."""
    write(folder / "rows.jsonl", rows)
    assert main(["anchors", "export", str(folder / "rows.jsonl"), "--out", str(folder / "curve.json")]) == 0
    return read_source(str(folder / "curve.json"))


def test_exported_averages_remember_their_pictures(tmp_path):
    anchor, test = read_set("full", "jpeg"), read_set("full", "webp")
    averages = export(test, tmp_path)
    assert averages.dataset == "valid" and not averages.per_image
    first, second, warnings = align_curves(average_rows(rename(anchor)), averages, "psnr")
    assert format_number(bd_rate(first.curve("psnr"), second.curve("psnr")).value, "+.2f") == RIGHT[0] and not warnings

    other = average_rows(read_set("half", "webp"))
    for sides in ((other, averages), (averages, other), (averages, export(read_set("half", "webp"), tmp_path))):
        with pytest.raises(NoSharedImages, match="different pictures: 3 and 3, of which 0 are the same"):
            align_curves(*sides, "psnr")

    two = [one for one in test if one.image != "0803.png"]
    own = [one for one in anchor if one.image != "0803.png"]
    averages = export(two, tmp_path)
    for sides in ((average_rows(anchor), averages), (averages, average_rows(anchor))):
        first, second, _ = align_curves(*sides, "psnr")
        assert first.images == second.images == 2
        assert average_rows(own).bpp in (first.bpp, second.bpp)


def test_equal_pictures_pair_under_other_names_in_another_order():
    anchor, test = read_set("full", "jpeg"), read_set("full", "webp")
    assert compare(average_rows(anchor), average_rows(rename(test))) == RIGHT
    assert compare(average_rows(rename(anchor, dataset="other")), average_rows(test)) == RIGHT


def test_rows_without_a_digest_of_pixels_pair_by_their_files():
    anchor, test = ([replace(one, pixels_sha256=None) for one in read_set("full", codec)] for codec in ("jpeg", "webp"))
    assert compare(average_rows(anchor), average_rows(test)) == RIGHT
    assert compare(average_rows(anchor), average_rows(read_set("full", "webp"))) == RIGHT
    with pytest.raises(NoSharedImages):
        align_curves(average_rows(anchor), average_rows(rename(test)), "psnr")


def test_too_few_shared_images_are_refused():
    anchor = average_rows(rows_of(images=5))
    few = [one if one.image in ("0.png", "1.png") else replace(one, image_sha256=f"other {one.image}")
           for one in rows_of(images=5)]
    with pytest.raises(NoSharedImages, match="share only 2 of 5 and 5 images"):
        align_curves(anchor, average_rows(few), "psnr")


def test_a_name_that_holds_other_pictures_at_other_rate_points_is_not_averaged():
    mixed = [replace(one, image_sha256="new") if one.image == "0.png" and one.point in ("q1", "q2") else one
             for one in rows_of()]
    curve = average_rows(mixed)
    assert sorted(curve.per_image) == ["1.png", "2.png"]


def test_a_picture_that_lies_there_twice_counts_once():
    rows = rows_of(images=2)
    twice = [replace(one, image=f"copy of {one.image}", key=f"copy {one.key}") for one in rows if one.image == "1.png"]
    curve = average_rows([*rows, *twice])
    assert curve.images == 2 and curve.points == average_rows(rows).points


def test_claims_are_not_judged_by_other_pictures(tmp_path):
    (tmp_path / "valid").mkdir()
    for name, folder, codec in (("hpcm_base", "full", "jpeg"), ("hpcm_large", "half", "webp")):
        write(tmp_path / "valid" / f"{name}.jsonl", [replace(one, name=name) for one in read_set(folder, codec)])
    claim = Claim(name="gain", variant="hpcm_large", versus="hpcm_base", metric="bd_rate", kind="measured",
                  source="README", dataset="valid", change_percent=(-1, -1))
    found = judge_all([claim], StoredResults(tmp_path)).judgements[0]
    assert found.verdict == INVALID and "hold other pictures" in found.reason


def test_published_values_of_single_images_pair_with_files_of_a_folder_by_content():
    """A user's folder may call its pictures as Kodak's are called."""
    from bench.curves.anchors.catalogue import load_curve
    from bench.datasets.catalogue import load_catalogue

    anchor = load_curve("kodak", "vtm-22.2-measured-8bit")
    known = {image.name: image.sha256 for image in load_catalogue()["kodak"].images}
    rows = [replace(one, image=f"kodim0{int(one.image[0]) + 1}.png", dataset="mine")
            for one in rows_of()]
    with pytest.raises(NoSharedImages, match="hold other pictures"):
        align_curves(anchor, average_rows(rows), "psnr")
    same = [replace(one, image=f"my {one.image}", image_sha256=known[one.image]) for one in rows]
    first, second, _ = align_curves(anchor, average_rows(same), "psnr")
    assert sorted(first.per_image) == sorted(second.per_image) == ["kodim01.png", "kodim02.png", "kodim03.png"]
