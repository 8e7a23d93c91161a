"""Averaged curves beside the mean over single images: both figures, where they part, and what a claim makes of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bench.claims.catalogue import Claim
from bench.claims.judgement import judge_all
from bench.cli import main
from bench.curves.pairing import average_over_shared_images
from bench.curves.sources import read_source
from bench.metrics import Curve, bd_rate, paired_bd_bootstrap
from bench.metrics.statistics.image_spread import ImageSpread, summarise_images
from bench.metrics.statistics.verdicts import REFUTED, SUPPORTED, UNDECIDED
from bench.reports.claims.tables import line_table, pairs_table
from bench.reports.claims.text import find_names
from bench.reports.front.verdicts import describe_judgement
from bench.results.stored import StoredResults
from bench.variants import load_variants
from tests import row_samples

ROOT = Path(__file__).parents[1]
CASE = ROOT.parent / "shared" / "cases" / "19-one-outlier"
QUALITY = np.tile([30, 33, 36.5, 38.5], (24, 1))
RATE = np.array([0.2, 0.4, 0.8, 1.2])


def spread_of(factors, weights=1.0, quality=None) -> ImageSpread:
    """The test needs ``factors`` times the bits of each image, which take ``weights`` times the usual ones."""
    rate = RATE * (np.ones(24) * weights)[:, None]
    found = paired_bd_bootstrap(rate, QUALITY, rate * np.asarray(factors)[:, None],
                                QUALITY if quality is None else quality)
    return summarise_images(found, [f"{index}.png" for index in range(24)])


def compare_stored(anchor: str, test: str) -> ImageSpread:
    sides = average_over_shared_images(read_source(anchor), read_source(test), "psnr")
    images = sorted(sides[0].images_with("psnr"))
    stacked = [part for side in sides for part in side.stack_images(images, "psnr")]
    return summarise_images(paired_bd_bootstrap(*stacked), images)


def test_one_outlier_is_named():
    """As measured of eight pictures, one of which needs a twentieth of its bits, seven 2 % more."""
    if not CASE.is_dir():
        pytest.skip("the cases are not here")
    spread = compare_stored(str(CASE / "a.jsonl"), str(CASE / "b.jsonl"))
    assert spread.averaged == pytest.approx(-14.72, abs=0.005) and spread.mean == pytest.approx(-10.125, abs=0.005)
    assert spread.median == pytest.approx(2) and spread.without_one[1] == pytest.approx(2) and spread.count == 8
    assert "kodim01.png alone" in spread.remark and "+2.00 % without it" in spread.remark


def test_bdrate_prints_both_numbers_and_why_they_part(capsys):
    assert main(["bdrate", "kodak/anchor", str(ROOT / "results/kodak/jpeg2000.jsonl")]) == 0
    lines = " ".join(capsys.readouterr().out.split())
    spread = compare_stored("kodak/anchor", str(ROOT / "results/kodak/jpeg2000.jsonl"))
    for quantity, value in (("averaged curves", spread.averaged), ("mean of images", spread.mean),
                            ("median of images", spread.median)):
        assert f"BD-rate, {quantity} pchip {value:+.2f} %" in lines
    low, high = spread.without_one
    assert f"BD-rate, averaged curves without one image pchip {low:+.2f} to {high:+.2f} %" in lines
    assert f"{spread.interval[0]:+.2f} to {spread.interval[1]:+.2f}" in lines and f"warning: {spread.remark}" in lines


def test_a_claim_shows_both_numbers_wherever_it_is_told(tmp_path):
    store_two_kinds(tmp_path, 0.8, 1.1)
    claim = Claim(name="saving", variant="hpcm_large", versus="hpcm_base", metric="bd_rate", kind="predicted",
                  source="README", change_percent=(-8.0, -8.0))
    result = judge_all([claim], StoredResults(tmp_path))
    spread, names = result.judgements[0].spread, find_names(load_variants().values())
    told = describe_judgement(result.judgements[0], names).of_images
    (line,) = line_table("HPCM", result.judgements, names).lines()
    (pair,) = pairs_table(result.pairs).lines()
    for text in (told, " ".join(line[1]), " ".join(pair[1])):
        for value in (spread.mean, spread.median, *spread.mean_interval, *spread.without_one):
            assert f"{value:+.2f}".replace("-", "−") in text


def test_jpeg_2000_at_equal_psnr_of_every_image():
    """Its committed rows: +80 % by averaged curves, +69 % over single images, outside the interval of the first."""
    spread = compare_stored("kodak/anchor", str(ROOT / "results/kodak/jpeg2000.jsonl"))
    assert not spread.interval[0] <= spread.mean <= spread.interval[1]
    assert spread.averaged - spread.mean > 3 and "spread bits and quality otherwise" in spread.remark


def test_figures_are_those_of_single_images_and_of_the_others_averages():
    factors = np.linspace(0.7, 1.1, 24)
    weights = np.linspace(3, 0.2, 24)
    spread = spread_of(factors, weights)
    single = 100 * (factors - 1)
    assert spread.mean == pytest.approx(single.mean()) and spread.median == pytest.approx(np.median(single))
    kept = [np.delete(np.arange(24), index) for index in range(24)]
    without = [bd_rate(*(Curve((RATE * bits[one, None]).mean(axis=0), QUALITY[0]) for bits in
                         (weights, weights * factors))).value for one in kept]
    assert spread.without_one == pytest.approx((min(without), max(without)))
    assert spread.interval[0] < spread.averaged < spread.interval[1]
    assert spread.mean_interval[0] < spread.mean < spread.mean_interval[1]


def test_nothing_is_said_where_both_agree():
    assert spread_of(0.9 + 0.001 * np.arange(24)).remark == ""
    assert "23.png alone" in spread_of(np.array([*[1.01] * 23, 0.05])).remark  # both saying −2.97 %
    assert spread_of(np.array([*[1.01] * 23, 0.5])).remark == ""
    assert "by their bits" in spread_of(np.repeat([0.8, 1.1], [8, 16]), np.repeat([10, 1], [8, 16])).remark


def test_a_mean_over_few_images_is_none():
    quality = QUALITY.copy()
    quality[4:, 1] = quality[4:, 0]  # curves that don't rise
    spread = spread_of(np.full(24, 0.9), quality=quality)
    assert (spread.mean, spread.median, spread.mean_interval, spread.count, spread.total) == (None, None, None, 4, 24)


def store_two_kinds(results: Path, large: float, small: float) -> None:
    """Eight images of many bits and sixteen of few, of which the test needs these factors."""
    (results / "kodak").mkdir(parents=True)
    for name, factors in (("hpcm_base", (1.0, 1.0)), ("hpcm_large", (large, small))):
        rows = [row_samples.row(f"kodim{index + 1:02d}.png", point, rate * (10 if index < 8 else 1)
                                * factors[index >= 8] * (1 + 0.001 * index * (name == "hpcm_large")), 30 + 3 * step,
                                name=name, dataset_total=24)
                for index in range(24) for step, (point, rate) in enumerate(row_samples.RATES.items())]
        row_samples.write(results / "kodak" / f"{name}.jsonl", rows)


@pytest.mark.parametrize(("large", "small", "verdict"), [
    (0.8, 0.8, SUPPORTED), (1.1, 1.1, REFUTED), (0.8, 1.1, UNDECIDED), (1.1, 0.8, UNDECIDED)])
def test_a_claim_is_decided_where_both_numbers_agree(tmp_path, large, small, verdict):
    store_two_kinds(tmp_path, large, small)
    claim = Claim(name="saving", variant="hpcm_large", versus="hpcm_base", metric="bd_rate", kind="predicted",
                  source="README", change_percent=(-8.0, -8.0))
    judged, = judge_all([claim], StoredResults(tmp_path)).judgements
    assert judged.verdict == verdict
    assert bool(judged.parted) is (verdict == UNDECIDED) and (judged.p_value < 0.05) is (verdict != UNDECIDED)
    for value in (judged.spread.averaged, judged.spread.mean):
        assert re.search(f"{value:+.2f}".replace("-", "−").replace("+", r"\+") + " %", judged.reason)
    if verdict == UNDECIDED:
        assert len(set(judged.parted)) == 2 and judged.parted[0] == (SUPPORTED if large < small else REFUTED)
        assert f"averaged curves alone give {judged.parted[0]}" in judged.reason
