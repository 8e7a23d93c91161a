"""Curves from stored rows and from any text that names one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from msgspec.structs import replace as replace_row
from row_samples import failed, row, rows_of, with_quality, write

from bench.commands.bdrate import align_curves
from bench.common.errors import BenchError, ConfigurationError
from bench.curves.anchors.catalogue import load_curve
from bench.curves.row_averages import average_rows
from bench.curves.sources import read_source
from bench.results.rows import Row
from bench.results.store import read_rows


def test_mean_over_images():
    curve = average_rows(rows_of()).curve("psnr")
    assert curve.rate == pytest.approx([0.4, 0.8, 1.6, 3.2, 6.4])
    assert curve.quality == pytest.approx([31, 34, 37, 40, 43])


def test_ms_ssim_becomes_db_before_it_is_averaged():
    rows = [with_quality(row(image, "q1", 1, 30), ms_ssim=linear)
            for image, linear, db in (("a", 0.9, 10), ("b", 0.99, 20))]
    curve = average_rows(rows, ("ms-ssim",))
    assert curve.curve("ms-ssim").quality == pytest.approx((15,))
    assert curve.points.quality["ms-ssim"] == pytest.approx((0.945,))


def test_points_in_any_order_of_storage():
    assert average_rows(rows_of()[::-1]).points == average_rows(rows_of()).points


def test_last_stored_row_counts():
    again = with_quality(rows_of()[0], psnr=33.0)
    assert average_rows([*rows_of(), again]).points.quality["psnr"][0] == pytest.approx((33 + 31 + 32) / 3)


def test_points_that_lack_images_are_left_out_while_four_remain():
    rows = [failed(one, "out of memory")
            if one.point == "q2" and one.image == "1.png" else one for one in rows_of()]
    curve = average_rows(rows)
    assert len(curve.bpp) == 4 and curve.images == 3
    assert curve.remarks == ("left out for lack of images: q2 (2 of 3 images)",)


def test_shared_images_are_used_where_too_few_points_are_complete():
    rows = [one for one in rows_of(points=4) if not (one.point == "q2" and one.image == "1.png")]
    curve = average_rows(rows)
    assert len(curve.bpp) == 4 and sorted(curve.per_image) == ["0.png", "2.png"]
    assert curve.remarks == ("over the 2 of 3 images that all rate points share",)
    assert curve.points.quality["psnr"][0] == pytest.approx(31)


def test_a_point_without_any_image_is_named():
    rows = [failed(one, "no") if one.point == "q2" else one
            for one in rows_of(points=4)]
    curve = average_rows(rows)
    assert len(curve.bpp) == 3 and "q2 (0 of 3 images)" in curve.remarks[0]


def test_incomplete_datasets_are_named(tmp_path):
    path = write(tmp_path / "jpeg.jsonl", rows_of(dataset_total=24))
    assert read_source(str(path)).remarks == ("3 of 24 images of kodak",)


def test_images_without_ms_ssim_count_only_for_psnr():
    rows = [with_quality(one, ms_ssim=None) if one.image == "0.png" else one for one in rows_of()]
    both, psnr = average_rows(rows, ("psnr", "ms-ssim")), average_rows(rows)
    assert (both.images, psnr.images, psnr.points.on_curve("ms-ssim")) == (2, 3, None)


def test_mixed_or_empty_rows_are_refused():
    with pytest.raises(BenchError, match="several codecs: jpeg, webp"):
        average_rows([*rows_of(), *rows_of(name="webp")])
    with pytest.raises(BenchError, match="several datasets"):
        average_rows([*rows_of(), replace_row(rows_of()[0], dataset="tecnick")])
    for rows in ([], [failed(rows_of()[0], "no")]):
        with pytest.raises(BenchError, match="no image is measured at every rate point with psnr"):
            average_rows(rows)
    with pytest.raises(ConfigurationError, match="no metric 'vmaf'"):
        average_rows(rows_of(), ("vmaf",))


def test_a_file_that_gives_no_curve_is_named(tmp_path):
    path = write(tmp_path / "jpeg.jsonl", [failed(rows_of()[0], "no")])
    with pytest.raises(BenchError, match=f"{path}: jpeg: no image is measured at every rate point"):
        read_source(str(path))


def test_a_torn_last_line_is_passed_over(tmp_path):
    path = write(tmp_path / "jpeg.jsonl", rows_of())
    path.write_text(path.read_text() + rows_of()[0].to_json()[:40])
    assert len(read_rows(path, Row)) == 15
    path.write_text("torn\n" + path.read_text())
    with pytest.raises(BenchError, match="line 1"):
        read_rows(path, Row)


def test_files_with_several_codecs_need_a_name(tmp_path):
    path = write(tmp_path / "both.jsonl", [*rows_of(), *rows_of(name="webp")])
    with pytest.raises(ConfigurationError, match="both.jsonl#jpeg, .*both.jsonl#webp"):
        read_source(str(path))
    assert read_source(f"{path}#webp").label == "WEBP"
    with pytest.raises(ConfigurationError, match="there are: jpeg, webp"):
        read_source(f"{path}#avif")


def test_every_kind_of_text(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"results": {"bpp": [0.5], "psnr": [35.0]}}))
    (tmp_path / "a.csv").write_text("bpp,psnr\n0.5,35\n")
    assert read_source(str(tmp_path / "a.json")).points == read_source(str(tmp_path / "a.csv")).points
    assert read_source("kodak/hpcm-base-mse") == load_curve("kodak", "hpcm-base-mse")
    assert read_source("kodak/anchor").name == "vtm-22.2-measured-8bit"
    assert read_source("kodak/strict-anchor").name == "vtm-22.2-measured-10bit"
    assert len(read_source("tecnick/anchor").bpp) == 21
    (tmp_path / "empty.jsonl").write_text("\n")
    for text, said in (("nothing", "is no curve"), ("tecnick/strict-anchor", "no strict anchor"),
                       (str(tmp_path), "is no curve"), (f"{tmp_path}/none.json", "No such file"),
                       (f"{tmp_path}/none.jsonl", "No such file"),
                       (f"{tmp_path}/empty.jsonl", "holds no rows")):
        with pytest.raises(BenchError, match=said):
            read_source(text)


def test_curves_are_compared_over_the_images_they_share():
    first, second = average_rows(rows_of(images=3)), average_rows(rows_of(images=2, name="webp"))
    first, second, warnings = align_curves(first, second, "psnr")
    assert first.images == second.images == 2 and first.bpp == pytest.approx(second.bpp)
    assert warnings == ["over the 2 of 3 images that both have"]
    with pytest.raises(ConfigurationError, match="no image in common"):
        align_curves(load_curve("kodak", "vtm-22.2-measured-8bit"), first, "psnr")


def test_different_image_counts_are_a_warning():
    known = replace(load_curve("kodak", "hpcm-base-mse"), images=24)
    warnings = align_curves(known, average_rows(rows_of()), "psnr")[2]
    assert warnings == ["averages over different images: HPCM-Base 24, JPEG 3"]


def test_an_altered_image_is_not_paired_with_values_of_the_true_one():
    true = average_rows(rows_of())
    altered = average_rows([replace_row(row, image_verified=False, image_sha256="other")
                            if row.image == "0.png" else row for row in rows_of()])
    first, second, warnings = align_curves(true, altered, "psnr")
    assert first.images == second.images == 2
    assert any("2 of 4 images" in warning for warning in warnings)


def test_curves_of_different_datasets_are_compared_only_with_a_warning():
    _, _, warnings = align_curves(load_curve("kodak", "hpcm-base-mse"), load_curve("clic2020", "hpcm-base-mse"), "psnr")
    assert any("different datasets" in warning for warning in warnings)
