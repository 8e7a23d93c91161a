"""Labels of any letters are drawn in figures as they are: no formulas, nothing left out of a legend, no warnings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from fuzz.labels import CONTROLS
from matplotlib.text import Text

from bench.common.text import strip_controls
from bench.metrics.statistics.verdicts import SUPPORTED
from bench.reports.claims import plots as claims_plots
from bench.reports.crosscheck import plots as crosscheck_plots
from bench.reports.latency import plots as latency_plots
from bench.reports.latency.plots import StagesPlot
from bench.reports.latency.rates import RatePoint
from bench.reports.page.canvas import render_figure
from bench.reports.page.figures import WIDE, Figure
from bench.reports.rate import miniature_plots
from bench.reports.rate import plots as rate_plots
from bench.reports.rate.miniature_plots import DrawnMiniature, MiniaturePlot
from bench.reports.rate.plots import CurveStyle, DrawnCurve, RDPlot
from bench.reports.training import plots as training_plots
from bench.reports.training.plots import BalancePlot

LABEL = "_\x1b[31m$\\frac{x}^_ {a\nb}$ %&"  # no formula that matplotlib could read


def draw_any_rates(label: str) -> Figure:
    curve = DrawnCurve(label, (0.1, 0.5), (30.0, 33.0), CurveStyle("#000000", "o", "-", True), True, True)
    return Figure("rd", "", rate_plots._draw_plot, RDPlot((curve,), 0.5, label, label, "PSNR [dB]"))


def draw_any_miniatures(label: str) -> Figure:
    mini = DrawnMiniature(label, (0.1, 0.5), (30.0, 33.0), (0.2, 0.4), (0.1, 0.2))
    return Figure("minis", "", miniature_plots._draw_plot, MiniaturePlot(mini, (mini,), ((label, (mini,)),), "PSNR"))


def draw_any_stages(label: str) -> Figure:
    panels = tuple((direction, {label: (1.0, 2.0)}) for direction in ("encode", "decode"))
    return Figure("stages", "", latency_plots._draw_stages, StagesPlot((label, "b"), {label: "#000000"}, panels))


def draw_any_points(label: str) -> Figure:
    points = tuple(RatePoint(label, ms, 3.0, ms > 2, "768x512") for ms in (1.0, 500.0))  # so far apart: a logarithm
    return Figure("points", "", latency_plots._draw_points, points)


def draw_any_forest(label: str) -> Figure:
    row = claims_plots.DrawnRow(label, (-3.0, -1.0), -2.0, (-2.5, -1.5), SUPPORTED)
    far = claims_plots.DrawnRow(label, (-3000.0, -1000.0), -2000.0, None, SUPPORTED)
    return Figure("forest", "", claims_plots._draw_panels, (claims_plots.DrawnPanel(label, (row, row, far), True),))


def draw_any_outcomes(label: str) -> Figure:
    bar = crosscheck_plots.DrawnBar(label, (4, 0, 1, 0, 1))
    return Figure("outcomes", "", crosscheck_plots._draw_panels, (crosscheck_plots.DrawnPanel(label, (bar,)),))


def draw_any_curves(label: str) -> Figure:
    line = ((1.0, 2.0), (3.0, 4.0))
    training = training_plots.DrawnTraining("#000000", (line, line, line), line)
    plot = training_plots.CurvesPlot(label, label, (training,), (training,), (("λ 0.013", "#000000"),))
    return Figure("curves", "", training_plots._draw_curves, plot)


def draw_any_balance(label: str) -> Figure:
    rows = (("Task weight", ({label: ((1.0, 2.0), (3.0, 4.0))},)), ("Task loss", ({label: ((1.0, 2.0), (1.0, 99.0))},)))
    return Figure("balance", "", training_plots._draw_balance, BalancePlot(("λ 0.013",), rows, {label: "#000000"}))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("make", [
    draw_any_rates, draw_any_miniatures, draw_any_stages, draw_any_points, draw_any_forest, draw_any_outcomes,
    draw_any_curves, draw_any_balance])
def test_labels_are_drawn_in_figures_as_they_are(make: Callable[[str], Figure]) -> None:
    figure, canvases = make(LABEL), []
    render_figure(replace(figure, draw=lambda *given: canvases.append(figure.draw(*given)) or canvases[0]), WIDE)
    texts = canvases[0].findobj(Text)
    assert not any(text.get_parse_math() for text in texts)
    shown = "\n".join("".join(text.get_text().split()) for text in texts)  # lines are broken where there is no room
    assert "".join(strip_controls(LABEL).split()) in shown and not CONTROLS.search(shown)
    assert "mathdefault" not in shown  # formulas of logarithmic scales
