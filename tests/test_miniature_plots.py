"""Panels of miniatures, and intervals and omissions in the tables that they appear in."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as replace_row
from row_samples import with_quality
from scipy.interpolate import PchipInterpolator
from test_report import cell, make_rows, table_of

from bench.reports.page.canvas import render_figure
from bench.reports.rate.curves import measured_curves
from bench.reports.rate.miniature_plots import PANELS, find_gain_at_equal_rate, find_miniatures, group_by_line
from bench.reports.rate.report import assemble_report
from bench.results.row_selection import select_rows

NAMES = ("hpcm_base_mini", "hpcm_base_seed1_mini", "rwkv_phase1_mini", "rwkv_phase2_mini", "weconv_phase1_mini")


def noisy(rows, percent, seed):
    """The same rows with rates that vary from image to image, by the same factor at every point of an image."""
    images = sorted({row.image for row in rows})
    factors = dict(zip(images, np.exp(np.random.default_rng(seed).normal(0, percent / 100, len(images)))))
    return [replace_row(row, bpp=row.bpp * factors[row.image]) for row in rows]


def miniatures(*names, points=4):
    return [row for number, name in enumerate(names)
            for row in noisy(make_rows(name, 1 - 0.05 * number, miniature=True, points=points), 3, number)]


def curves_of(rows):
    return find_miniatures(measured_curves(select_rows("kodak", rows), "psnr", 24))


def test_gains_are_what_pchip_over_log_rate_gives():
    base, test = curves_of(miniatures("hpcm_base_mini", "rwkv_phase1_mini", "weconv_phase1_mini"))[:2]
    rates, gains = find_gain_at_equal_rate(test, base)
    kept = [rate for rate in test.rate if base.rate[0] <= rate <= base.rate[-1]]
    assert rates == kept and 0 < len(kept) < len(test.rate)
    expected = [quality - PchipInterpolator(np.log10(base.rate), base.quality)(np.log10(rate))
                for rate, quality in zip(test.rate, test.quality) if rate in kept]
    assert gains == pytest.approx(expected)
    shifted = replace(base, data=replace(base.data, label="other"))
    assert find_gain_at_equal_rate(shifted, base)[1] == pytest.approx([0.0] * 4)


def test_lines_hold_their_variants_and_neither_the_baseline_nor_seeds():
    found = group_by_line(curves_of(miniatures(*NAMES)))
    assert {line: [curve.name for curve in curves] for line, curves in found.items()} == {
        "rwkv": ["rwkv_phase1_mini", "rwkv_phase2_mini"], "weconv": ["weconv_phase1_mini"]}


def test_exact_curves_are_drawn_where_nothing_else_is_there_of_their_variant():
    names = ("hpcm_base_mini", "hpcm_base_mini_exact", "rwkv_phase1_mini", "rwkv_phase1_mini_exact",
             "rwkv_phase2_mini_exact")
    found = group_by_line(curves_of(miniatures(*names)))
    assert {line: [curve.name for curve in curves] for line, curves in found.items()} == {
        "rwkv": ["rwkv_phase1_mini", "rwkv_phase2_mini_exact"]}


def test_panels_are_drawn_from_three_miniatures_with_a_baseline_on_and_leave_the_other_plots_readable():
    def figures(*names):
        rows = make_rows("vvenc") + miniatures(*names)
        return {figure.name: figure for figure in assemble_report(select_rows("kodak", rows), []).figures}

    assert not [name for name in figures(*NAMES[:2]) if "miniatures" in name]
    assert not [name for name in figures(*NAMES[1:4]) if "miniatures" in name]
    drawn, again = figures(*NAMES), figures(*NAMES)
    assert {"rd_psnr_miniatures", "rd_ms_ssim_miniatures"} <= set(drawn)
    assert all(drawn[name].digest == again[name].digest for name in drawn)
    panels, repeated = (render_figure(one["rd_psnr_miniatures"], PANELS) for one in (drawn, again))
    assert panels == repeated
    assert "not the authors' models" in drawn["rd_psnr_miniatures"].caption
    assert "1 other seed" in drawn["rd_psnr_miniatures"].caption
    assert "Not drawn" not in drawn["rd_psnr"].caption
    assert "panels" in drawn["rd_psnr"].caption


def test_bd_tables_have_the_interval_of_a_plain_bootstrap():
    """Against a loop that averages resampled images and integrates by scipy."""
    rows = noisy(make_rows("vvenc"), 4, 1) + noisy(make_rows("webp", 0.9), 4, 2)
    table = table_of(assemble_report(select_rows("kodak", rows), []), "bd_rate_vs_vvenc")
    low, middle, high = (cell(table, "WebP", f"bd_rate_{name}percent") for name in ("low_", "", "high_"))
    sides = [{name: [(row.bpp, row.quality["psnr"]) for row in rows if row.name == codec and row.image == name]
              for name in sorted({row.image for row in rows})} for codec in ("vvenc", "webp")]
    random, values = np.random.default_rng(5), []
    for _ in range(1000):
        chosen = random.choice(sorted(sides[0]), 24)
        means = [np.mean([side[name] for name in chosen], axis=0).T for side in sides]
        start, end = max(quality[0] for _, quality in means), min(quality[-1] for _, quality in means)
        area = [PchipInterpolator(quality, np.log10(rate)).integrate(start, end) for rate, quality in means]
        values.append(100 * (10 ** ((area[1] - area[0]) / (end - start)) - 1))
    assert (low, high) == pytest.approx(np.percentile(values, [2.5, 97.5]), abs=0.35)
    assert low < middle < high


def test_miniatures_without_a_number_are_counted_not_listed():
    rows = make_rows("vvenc", points=6) + [
        with_quality(row, psnr=row.quality["psnr"] - 11, ms_ssim=1 - 10 ** 0.44 * (1 - row.quality["ms-ssim"]))
        for row in miniatures(*NAMES)]
    report = assemble_report(select_rows("kodak", rows), [])
    table = table_of(report, "bd_rate_vs_vvenc")
    assert table.column("codec") == ["HPCM-Base (miniature)"]
    assert any("4 miniatures" in note for note in table.notes)
    assert len(table_of(report, "bd_rate_vs_hpcm_base_mini").column("codec")) == 5
