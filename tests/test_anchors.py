"""The published curves: complete, with provenance, and giving the BD-rates that their authors state."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bench.common.errors import BenchError, ConfigurationError
from bench.curves.anchors.catalogue import (
    DATA,
    list_anchors,
    list_curves,
    list_folders,
    load_anchor,
    load_curve,
    place_imported,
    read_imported,
)
from bench.curves.anchors.check import check_anchors
from bench.curves.rd_curve import Points, RDCurve, average_points
from bench.metrics import bd_rate, per_image_bd
from bench.metrics.rate.curves import find_curve_fault

SHARED = Path(__file__).parents[2] / "shared" / "anchors"
EVERY = [(dataset, name) for dataset in list_folders() for name in list_curves(dataset)]


@pytest.mark.parametrize("dataset, name", EVERY)
def test_every_curve_is_usable_and_says_where_it_is_from(dataset, name):
    curve = load_curve(dataset, name)
    assert curve.source and curve.convention and curve.label and curve.description
    assert curve.points.metrics
    for metric in curve.points.metrics:
        assert find_curve_fault(curve.curve(metric)) is None


def test_every_published_set_is_there():
    if not SHARED.is_dir():
        pytest.skip("the original collection of published points is not here")
    assert sorted(EVERY) == sorted((path.parent.name, path.stem) for path in SHARED.glob("*/*.json"))


def test_values_are_those_of_the_file():
    curve = load_curve("kodak", "hpcm-base-mse")
    assert curve.bpp == (0.1211, 0.1757, 0.2729, 0.4125, 0.5898, 0.8209)
    assert curve.points.quality["psnr"] == (29.4022, 30.7547, 32.4012, 34.2063, 36.0145, 37.7525)
    assert not curve.has("ms-ssim") and curve.images is None


def test_the_suites_names_and_the_folders_are_the_same_curves():
    assert list_curves("tecnick") == list_curves("tecnick-rgb-1200")
    assert load_curve("clic2020", "vtm-17.0-mlic").points == load_curve("clic2020-pro-valid", "vtm-17.0-mlic").points
    assert list_curves("sample") == [] and list_anchors("sample") == ()


def test_default_and_strict_anchors():
    roles = {dataset: [(anchor.role, anchor.name) for anchor in list_anchors(dataset)]
             for dataset in ("kodak", "clic2020", "tecnick")}
    assert roles == {
        "kodak": [("default", "vtm-22.2-measured-8bit"), ("strict", "vtm-22.2-measured-10bit")],
        "clic2020": [("default", "vtm-17.0-mlic")], "tecnick": [("default", "vtm-18.0-lossyvae")],
    }
    for dataset in roles:
        for anchor in list_anchors(dataset):
            version = anchor.name.split("-")[1]
            published = load_curve(dataset, anchor.name)
            assert all(version in text for text in (anchor.label, anchor.convention, published.label))


def test_leaving_out_far_qps_changes_no_value():
    """Tecnick's anchor spans QP 15 to 50, beyond every learned codec; far points don't move PCHIP."""
    test = load_curve("tecnick", "hpcm-base-mse").curve("psnr")
    whole, used = load_curve("tecnick", "vtm-18.0-lossyvae"), load_anchor("tecnick", list_anchors("tecnick")[0])
    assert (len(whole.bpp), len(used.bpp)) == (36, 21) and used.meta["qp"] == list(range(42, 21, -1))
    assert bd_rate(whole.curve("psnr"), test).value is None
    assert bd_rate(used.curve("psnr"), test).value == pytest.approx(
        bd_rate(whole.curve("psnr"), test, min_overlap=0).value, abs=1e-9)
    assert "15 to 50" in used.remarks[0]


def test_check_rebuilds_the_papers_figures():
    rows = check_anchors({
        ("kodak", "hpcm-base-mse"): -15.31, ("kodak", "hpcm-large-mse"): -19.19,
        ("clic2020", "hpcm-base-mse"): -14.23, ("clic2020", "hpcm-large-mse"): -18.37,
        ("tecnick", "hpcm-base-mse"): -18.16, ("tecnick", "hpcm-large-mse"): -22.20,
    })
    default = {(row.dataset, row.codec): row for row in rows if row.role == "default"}
    assert len(default) == 6
    assert all(row.agrees and abs(row.difference_points) < 0.3 for row in default.values())
    strict = {row.codec: row for row in rows if row.role == "strict"}
    assert strict["HPCM-Base"].computed_percent == pytest.approx(-14.26, abs=0.005)
    assert strict["HPCM-Large"].computed_percent == pytest.approx(-18.30, abs=0.005)
    assert all(row.agrees is None for row in strict.values())


@pytest.mark.parametrize("dataset, anchor, codec, stated", [
    ("kodak", "vtm-9.1-compressai", "lalic-mse", -15.26),  # the LALIC authors' own figures
    ("clic2020", "vtm-9.1-lalic", "lalic-mse", -15.41),
    ("tecnick", "vtm-9.1-lalic", "lalic-mse", -17.63),
    ("clic2020", "vtm-17.0-mlic", "mlic-mse", -8.79),  # the MLIC author's
    ("kodak", "vtm-9.1-compressai", "chwdta-mse", -17.82),  # the ChWDTA authors'
    ("tecnick", "vtm-9.1-lalic", "chwdta-mse", -22.56),
])
def test_figures_that_other_authors_state_for_these_points(dataset, anchor, codec, stated):
    result = bd_rate(load_curve(dataset, anchor).curve("psnr"), load_curve(dataset, codec).curve("psnr"), min_overlap=0)
    assert round(result.value, 2) == stated


@pytest.mark.parametrize("name", ["vtm-22.2-measured-8bit", "vtm-22.2-measured-10bit"])
def test_single_images_average_to_the_curve(name):
    curve = load_curve("kodak", name)
    assert curve.images == len(curve.per_image) == 24
    stated = json.loads((DATA / "kodak" / f"{name}.json").read_text())["results"]
    assert curve.bpp == pytest.approx(stated["bpp"], abs=1e-6)
    assert curve.points.quality["psnr"] == pytest.approx(stated["psnr-rgb"], abs=1e-6)
    assert curve.points.quality["ms-ssim"] == pytest.approx(stated["ms-ssim-rgb"], abs=1e-6)
    assert curve.points.decode_s == pytest.approx(stated["decoding_time"], abs=1e-6)
    first = [-10 * math.log10(1 - points.quality["ms-ssim"][0]) for points in curve.per_image.values()]
    assert curve.curve("ms-ssim").quality[0] == pytest.approx(sum(first) / 24)
    assert curve.over(curve.per_image) is curve


def test_rounding_to_8_bits_costs_every_image():
    """1.8 % for the averaged curves, 0.8 to 3.1 % for single images."""
    coarse, fine = (load_curve("kodak", f"vtm-22.2-measured-{bits}bit") for bits in (8, 10))
    assert bd_rate(coarse.curve("psnr"), fine.curve("psnr")).value == pytest.approx(-1.80, abs=0.005)
    single = per_image_bd(coarse.image_curves("psnr"), fine.image_curves("psnr"))
    assert single.statement == "mean over 24 images"
    assert -3.15 < min(single.values.values()) < -3.05 and -0.85 < max(single.values.values()) < -0.75


def test_part_of_the_images():
    curve = load_curve("kodak", "vtm-22.2-measured-8bit").over(["kodim01.png", "kodim05.png"])
    assert curve.images == 2 and list(curve.per_image) == ["kodim01.png", "kodim05.png"]
    assert curve.bpp[0] == pytest.approx((0.154968 + 0.237874) / 2)
    with pytest.raises(ConfigurationError, match="kodim99.png"):
        curve.over(["kodim99.png"])


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(ConfigurationError, match="hpcm-base-mse"):
        load_curve("kodak", "hpcm-base")
    with pytest.raises(ConfigurationError, match=r"did you mean kodak\?"):
        load_curve("kodac", "hpcm-base-mse")
    with pytest.raises(ConfigurationError):
        load_curve("../kodak", "hpcm-base-mse")
    with pytest.raises(ConfigurationError, match="known: psnr, .*ms-ssim"):
        load_curve("kodak", "hpcm-base-mse").curve("vmaf")
    with pytest.raises(ConfigurationError, match="has no MS-SSIM values"):
        load_curve("kodak", "hpcm-base-mse").curve("ms-ssim")


def test_ms_ssim_is_compared_in_db():
    points = Points((0.1, 0.2), {"ms-ssim": (0.9, 0.99)})
    assert RDCurve("d", "n", "l", points).curve("ms-ssim").quality == pytest.approx((10, 20))


def test_images_with_different_numbers_of_points_are_not_averaged():
    with pytest.raises(BenchError, match="different numbers"):
        average_points([Points((0.1, 0.2)), Points((0.1,))])


def test_imported_curves_are_read_back(tmp_path):
    path = place_imported(tmp_path, "kodak", "mine")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"name": "Mine", "results": {"bpp": [0.5], "psnr": [35.0]}}))
    assert [(curve.name, curve.label, curve.dataset) for curve in read_imported(tmp_path, "kodak")] == [
        ("mine", "Mine", "kodak")]
    assert read_imported(tmp_path, "tecnick") == []
    with pytest.raises(ConfigurationError, match="can't be a file name"):
        place_imported(tmp_path, "kodak", "../mine")
