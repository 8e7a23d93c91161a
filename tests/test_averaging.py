"""MS-SSIM averaged alike on both sides of a comparison, or a remark that it can't be."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.cli import main
from bench.curves.anchors.catalogue import DATA, load_curve
from bench.curves.anchors.compressai_json import write_json
from bench.curves.anchors.curve_files import read_curve_file
from bench.curves.averaging import DB_OF_MEAN, MEAN, MEAN_OF_DB, UNKNOWN, average_alike, find_averaging
from bench.metrics import Curve, bd_rate

ANCHOR = "vtm-22.2-measured-8bit"


def db(linear):
    return -10 * np.log10(1 - np.asarray(linear))


def read_columns(name):
    return json.loads((DATA / "kodak" / f"{name}.json").read_text())


def compute_like_for_like(name):
    """From the files' own columns: dB of the mean MS-SSIM on both sides."""
    images = read_columns(ANCHOR)["per_image"]
    by_qp = [[one for one in images if one["qp"] == qp] for qp in sorted({one["qp"] for one in images}, reverse=True)]
    rate = [np.mean([one["bpp"] for one in members]) for members in by_qp]
    linear = [np.mean([one["ms_ssim_rgb"] for one in members]) for members in by_qp]
    test = read_columns(name)["results"]
    return bd_rate(Curve(rate, db(linear)), Curve(test["bpp"], db(test["ms-ssim-rgb"]))).value


@pytest.mark.parametrize(("name", "percent", "before"), [
    ("mbt2018-mse-compressai", -0.24, 4.07), ("cheng2020-attn-mse-compressai", -6.94, -2.77)])
def test_published_means_are_compared_like_for_like(name, percent, before, capsys):
    anchor, test = load_curve("kodak", ANCHOR), load_curve("kodak", name)
    assert bd_rate(anchor.curve("ms-ssim"), test.curve("ms-ssim")).value == pytest.approx(before, abs=0.005)
    anchor, test, remark = average_alike(anchor, test, "ms-ssim")
    value = bd_rate(anchor.curve("ms-ssim"), test.curve("ms-ssim")).value
    assert value == pytest.approx(compute_like_for_like(name), abs=1e-9)
    assert round(value, 2) == percent and "dB of mean on both sides" in remark

    assert main(["bdrate", "kodak/anchor", f"kodak/{name}", "--metric", "ms-ssim"]) == 0
    output = capsys.readouterr().out
    assert f"{percent:+.2f} %".replace("-", "−") in output and "dB of mean on both sides" in output
    assert output.count("compared by MS-SSIM: dB of mean") == 2


def test_a_codec_does_not_differ_from_itself_by_how_it_was_averaged(tmp_path):
    anchor = load_curve("kodak", ANCHOR)
    results = {key: values for key, values in read_columns(ANCHOR)["results"].items() if key in ("bpp", "ms-ssim-rgb")}
    (tmp_path / "mean.json").write_text(json.dumps({"name": "VTM", "results": results}))
    mean = read_curve_file(tmp_path / "mean.json")
    assert bd_rate(anchor.curve("ms-ssim"), mean.curve("ms-ssim")).value == pytest.approx(4.45, abs=0.005)
    one, other, _ = average_alike(anchor, mean, "ms-ssim")
    assert bd_rate(one.curve("ms-ssim"), other.curve("ms-ssim")).value == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(("name", "way"), [
    (ANCHOR, MEAN_OF_DB), ("hpcm-base-ms-ssim", MEAN_OF_DB), ("hpcm-large-ms-ssim", MEAN_OF_DB),
    ("lalic-ms-ssim", DB_OF_MEAN), ("vtm-9.1-compressai", DB_OF_MEAN), ("elic-ms-ssim", UNKNOWN),
    ("stf-ms-ssim", UNKNOWN)])
def test_published_curves_say_how_they_were_averaged(name, way):
    curve = load_curve("kodak", name)
    assert find_averaging(curve, "ms-ssim") == way
    assert not curve.has("psnr") or find_averaging(curve, "psnr") == MEAN
    if read_columns(name).get("meta", {}).get("ms_ssim_source_scale") == "dB":
        assert "ms-ssim" not in curve.points.quality  # nobody knows the mean of linear values
        assert curve.points.on_curve("ms-ssim") == pytest.approx(db(read_columns(name)["results"]["ms-ssim-rgb"]))


def test_published_means_of_db_are_compared_as_they_are():
    anchor, test = load_curve("kodak", ANCHOR), load_curve("kodak", "hpcm-base-ms-ssim")
    assert average_alike(anchor, test, "ms-ssim") == (anchor, test, "")


@pytest.mark.parametrize("first", [ANCHOR, "mbt2018-mse-compressai", "elic-ms-ssim"])
def test_what_is_not_known_is_said(first):
    one, other = load_curve("kodak", first), load_curve("kodak", "stf-ms-ssim")
    assert average_alike(one, other, "ms-ssim")[:2] == (one, other)
    assert "STF (MS-SSIM) unknown" in average_alike(one, other, "ms-ssim")[2]
    assert average_alike(one, other, "psnr")[2] == ""


def test_means_of_db_against_a_mean_that_is_not_one_of_db():
    """HPCM's points have no mean of linear values, mbt2018's none of dB: nothing makes them alike."""
    curves = load_curve("kodak", "hpcm-base-ms-ssim"), load_curve("kodak", "mbt2018-ms-ssim-compressai")
    assert "mean of dB" in average_alike(*curves, "ms-ssim")[2] and "dB of mean" in average_alike(*curves, "ms-ssim")[2]


@pytest.mark.parametrize(("columns", "way"), [
    ("bpp,ms_ssim\n0.2,0.9\n0.4,0.99", DB_OF_MEAN), ("bpp,ms_ssim_db\n0.2,10\n0.4,20", UNKNOWN),
    ("bpp,ms_ssim,ms_ssim_db\n0.2,0.9,10\n0.4,0.99,20", DB_OF_MEAN),
    ("bpp,ms_ssim,ms_ssim_db\n0.2,0.9,10.2\n0.4,0.99,20.3", MEAN_OF_DB),
    ("image,bpp,ms_ssim_db\na.png,0.2,10\nb.png,0.4,20", MEAN_OF_DB)])
def test_columns_of_others_tell_as_much_as_they_hold(tmp_path, columns, way):
    (tmp_path / "theirs.csv").write_text(columns)
    curve = read_curve_file(tmp_path / "theirs.csv")
    assert find_averaging(curve, "ms-ssim") == way
    write_json(curve, tmp_path / "again.json")
    again = read_curve_file(tmp_path / "again.json")
    assert find_averaging(again, "ms-ssim") == way
    assert again.points.on_curve("ms-ssim") == pytest.approx(curve.points.on_curve("ms-ssim"))


def test_anchors_show_says_it(capsys):
    assert main(["anchors", "show", "kodak", "hpcm-base-ms-ssim"]) == 0
    assert "MS-SSIM mean of dB" in capsys.readouterr().out
