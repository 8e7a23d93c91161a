"""Plots of claims and of the curves that they compare, by their pixels and by the numbers drawn."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from claim_samples import JUDGEMENTS, NAMES, RATES, judged, pair
from PIL import Image

from bench.metrics import Curve, bd_rate
from bench.metrics.statistics.verdicts import INVALID, REFUTED, SUPPORTED, UNDECIDED
from bench.reports.claims.pair_overview import plot_overview
from bench.reports.claims.pairs import find_rate_change, plot_pair
from bench.reports.claims.plots import LOOKS, MOST_ROWS, Panel, label_rows, plot_forest
from bench.reports.page.canvas import render_figure
from bench.reports.page.figures import WIDE


def pixels_of(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def has_colour(pixels: np.ndarray, colour: str) -> bool:
    wanted = [int(colour[index:index + 2], 16) for index in (1, 3, 5)]
    return bool((pixels == wanted).all(axis=-1).any())


def test_forest_plot_draws_each_verdict_in_its_colour_and_counts_what_is_left_out():
    drawn = [judged(f"c{n}", verdict, float(n)) for n, verdict in enumerate((SUPPORTED, REFUTED, UNDECIDED))]
    figures = plot_forest("forest_rwkv", "RWKV", [*drawn, JUDGEMENTS[4], JUDGEMENTS[5]], NAMES)
    assert [figure.name for figure in figures] == ["forest_rwkv"]
    for layout in figures[0].layouts:
        pixels = pixels_of(render_figure(figures[0], layout))
        shown = {verdict for verdict, (colour, _) in LOOKS.items()
                 if verdict != INVALID and has_colour(pixels, colour)}  # its grey is in the edges of letters too
        assert shown == {SUPPORTED, REFUTED, UNDECIDED}
    assert figures[0].caption.endswith("2 claims.")


def test_no_two_rows_of_a_panel_have_the_same_label():
    rows = (judged("a", SUPPORTED, 1.0), judged("b", SUPPORTED, 2.0, change_percent=(-40.0, -30.0)),
            judged("c", SUPPORTED, 3.0, metric="decode_time", where="cpu"), judged("c", REFUTED, 4.0, where="cuda",
                                                                                 metric="decode_time"))
    assert label_rows(Panel("Time", rows), NAMES) == [
        "RWKV-1 vs HPCM-Base, total (−20 to −10 %)", "RWKV-1 vs HPCM-Base, total (−40 to −30 %)",
        "RWKV-1 vs HPCM-Base, decode, cpu", "RWKV-1 vs HPCM-Base, decode, cuda"]


def test_forest_plot_of_nothing_measured_is_left_away():
    assert plot_forest("forest", "RWKV", [JUDGEMENTS[5]], NAMES) == []


def test_long_plot_forest_are_split_and_none_is_taller_than_a_page():
    many = [judged(f"c{n}", SUPPORTED, float(n % 7), metric=("total_time", "memory", "parameters")[n % 3])
            for n in range(2 * MOST_ROWS + 5)]
    figures = plot_forest("forest", "RWKV", many, NAMES)
    assert [figure.name for figure in figures] == [f"forest_{n}" for n in range(1, len(figures) + 1)]
    assert len(figures) in (3, 4)
    assert all(pixels_of(render_figure(figure, WIDE)).shape[0] <= 9.7 * 200 for figure in figures)


def test_rate_change_of_a_constant_factor_is_that_factor():
    anchor = Curve(RATES, [30 + 5 * np.log2(rate) for rate in RATES])
    quality, percent = find_rate_change(anchor, Curve([0.9 * rate for rate in RATES], anchor.quality))
    assert percent == pytest.approx(np.full(len(quality), -10.0))
    assert (quality[0], quality[-1]) == (min(anchor.quality), max(anchor.quality))


def test_mean_of_the_drawn_rate_change_is_the_bd_rate():
    anchor = Curve(RATES, (30, 33, 35.5, 38, 41))
    test = Curve([0.93 * rate**1.05 for rate in RATES], (30.4, 33.2, 35.9, 38.1, 40.2))
    quality, percent = find_rate_change(anchor, test)
    mean_log = np.trapezoid if hasattr(np, "trapezoid") else np.trapz
    mean = mean_log(np.log(1 + percent / 100), quality) / (quality[-1] - quality[0])
    assert 100 * (np.exp(mean) - 1) == pytest.approx(bd_rate(anchor, test).value, abs=0.01)


@pytest.mark.parametrize("quality", [(50, 52, 54, 56, 58), (30, 33, 32, 38, 41)], ids=["apart", "not rising"])
def test_no_rate_change_where_curves_cannot_be_compared(quality):
    assert find_rate_change(Curve(RATES, (30, 33, 35.5, 38, 41)), Curve(RATES, quality)) is None


def test_plot_pair_show_savings_and_losses_of_single_images():
    figure = plot_pair(pair())
    assert figure.name == "pair_kodak_test_against_anchor"
    for layout in figure.layouts:
        pixels = pixels_of(render_figure(figure, layout))
        assert has_colour(pixels, "#0072B2") and has_colour(pixels, "#D55E00")
    assert "BD-rates of 6 images" in figure.caption and "+5.00 % (95 % interval −3.00 % to" in figure.caption
    better = plot_pair(pair(per_image_percent=(-1.0, -2.0, -3.0, -4.0, -5.0, float("nan"))))
    assert not has_colour(pixels_of(render_figure(better, WIDE)), "#D55E00")
    assert better.caption.endswith("Without a BD-rate of their own: 1 image.")


def test_published_averages_have_no_panel_of_images():
    averaged = [replace(one, per_image={}, images=None) for one in (pair().anchor, pair().test)]
    published = pair(images=(), per_image_percent=(), anchor=averaged[0], test=averaged[1],
                     interval=None)
    figure = plot_pair(published)
    pixels = pixels_of(render_figure(figure, WIDE))
    assert not has_colour(pixels, "#0072B2")
    assert (pixels < 128).any() and figure.caption.endswith("Single images are not known.")


def test_overview_shows_every_pair_with_its_images_by_the_side_of_zero_that_it_is_on():
    saving = pair(value_percent=-4.0, interval=(-5.0, -3.0))
    both, one = (render_figure(plot_overview("pairs", pairs), WIDE) for pairs in ([pair(), saving], [saving]))
    for colour, drawn in (("#0072B2", True), ("#D55E00", False)):
        assert has_colour(pixels_of(both), colour) and has_colour(pixels_of(one), colour) == drawn
    assert pixels_of(both).shape[0] > pixels_of(one).shape[0]
    assert "claims VARIANT --figures" in plot_overview("pairs", [saving]).caption
