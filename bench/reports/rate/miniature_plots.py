"""Rate-distortion plots of miniatures: a panel for each line of variants, and what each gains at equal rate.

Miniatures of one width lie so close together that a single plot of all would show nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from bench.common.text import EXACT_SUFFIX, format_count
from bench.metrics.quality import METRICS
from bench.reports.page.canvas import COLOURS, MARKERS, draw_grid, escape_label, make_canvas
from bench.reports.page.figures import Figure, Layout
from bench.reports.page.table import group_records
from bench.reports.rate.coverage import Coverage
from bench.reports.rate.curves import MEASURED, ReportCurve
from bench.reports.rate.plots import convention_of
from bench.results.labels import BASE_MINIATURE, MINIATURE_NOTE, SEED_MINIATURES

FEWEST = 3  # miniatures, below which the plots of all codecs show them well enough
PANELS = Layout("panels", 10.5, 5.2, 7.5, 1, 200)
GREY = "#9A9A9A"
MOST_GAIN_DB = 0.75  # shown; what lies further off would hide the differences between the others


@dataclass(frozen=True)
class DrawnMiniature:
    """One miniature: quality over rate in bpp, and its gains in dB over the baseline at ``gain_rate``."""

    label: str
    rate: tuple[float, ...]
    quality: tuple[float, ...]
    gain_rate: tuple[float, ...] = ()
    gain_db: tuple[float, ...] = ()


@dataclass(frozen=True)
class MiniaturePlot:
    """All that one plot shows: the baseline and its other seeds in every panel, a panel for each line by its title."""

    base: DrawnMiniature
    seeds: tuple[DrawnMiniature, ...]
    panels: tuple[tuple[str, tuple[DrawnMiniature, ...]], ...]
    axis_label: str


def find_miniatures(curves: Sequence[ReportCurve]) -> list[ReportCurve]:
    """The measured miniatures among curves of one metric, or nothing where they need no plot of their own."""
    found = [curve for curve in curves if curve.miniature and curve.origin == MEASURED]
    return found if len(found) >= FEWEST and any(curve.name == BASE_MINIATURE for curve in found) else []


def group_by_line(curves: Sequence[ReportCurve]) -> dict[str, list[ReportCurve]]:
    """Miniatures that are neither the baseline nor another seed of it, by the first word of their names.

    Exact ones are left out where they lie on their default configuration's curve, which is there.
    """
    names = {curve.name for curve in curves}
    variants = [curve for curve in curves if curve.name != BASE_MINIATURE
                and not SEED_MINIATURES.fullmatch(curve.name)
                and not (curve.name.endswith(EXACT_SUFFIX) and curve.name.removesuffix(EXACT_SUFFIX) in names)]
    return group_records(sorted(variants, key=lambda curve: curve.name), lambda curve: curve.name.partition("_")[0])


def find_gain_at_equal_rate(curve: ReportCurve, base: ReportCurve) -> tuple[list[float], list[float]]:
    """Rates of a curve in bpp, and what its quality in dB exceeds the baseline's by at these.

    The baseline is interpolated by PCHIP over the logarithm of the rate; points beyond its rates are left out.
    """
    at = scipy.interpolate.PchipInterpolator(np.log10(base.rate), base.quality)
    points = [(rate, quality) for rate, quality in zip(curve.rate, curve.quality)
              if base.rate[0] <= rate <= base.rate[-1]]
    return [rate for rate, _ in points], [float(quality - at(np.log10(rate))) for rate, quality in points]


def plot_miniatures(name: str, curves: Sequence[ReportCurve], coverage: Coverage) -> Figure:
    """Plot miniatures of one metric: above, quality over rate; below, what they gain over the baseline.

    Args:
        curves: as :func:`find_miniatures` gives them, more than none.
    """
    [base] = [curve for curve in curves if curve.name == BASE_MINIATURE]
    seeds = [curve for curve in curves if SEED_MINIATURES.fullmatch(curve.name)]
    panels = [(found[0].label.partition("-")[0], tuple(_prepare_curve(curve, base) for curve in found))
              for found in group_by_line(curves).values()]  # "RWKV" of "RWKV-1"
    plot = MiniaturePlot(
        DrawnMiniature(base.label, base.rate, base.quality), tuple(_prepare_curve(curve, base) for curve in seeds),
        tuple(panels) or (("", ()),), METRICS.get(base.metric).on_curves.axis_label)

    other_seeds = format_count(len(seeds), "other seed")
    parts = (f"{coverage.heading}. {convention_of(base.metric)}. Black: {base.label}.",
             f"Grey: the same with {other_seeds}, the noise between trainings." if seeds else "",
             f"Below: dB over it at equal rate, which PCHIP over log rate gives, up to {MOST_GAIN_DB} dB.",
             MINIATURE_NOTE)
    return Figure(name, " ".join(filter(None, parts)), _draw_plot, plot, layouts=(PANELS,))


def _prepare_curve(curve: ReportCurve, base: ReportCurve) -> DrawnMiniature:
    rates, gains = find_gain_at_equal_rate(curve, base)
    return DrawnMiniature(curve.label.removesuffix(" (miniature)"), curve.rate, curve.quality, tuple(rates),
                          tuple(gains))


def _draw_plot(plot: MiniaturePlot, layout: Layout) -> Canvas:
    canvas = make_canvas(layout)
    axes = canvas.subplots(2, len(plot.panels), sharex=True, sharey="row", squeeze=False)
    for column, (title, found) in enumerate(plot.panels):
        _draw_panel(axes[0, column], axes[1, column], plot, found, layout)
        axes[0, column].set_title(escape_label(title), loc="left", fontsize=layout.font + 0.5, fontweight="bold")
        axes[1, column].set_xlabel("Rate [bpp]")
    low, high = axes[1, 0].get_ylim()
    axes[0, 0].set_ylabel(plot.axis_label)
    axes[1, 0].set(ylim=(max(low, -MOST_GAIN_DB), min(high, MOST_GAIN_DB)),
                   ylabel="over HPCM-Base (miniature)\nat equal rate [dB]")
    return canvas


def _draw_panel(above: Axes, below: Axes, plot: MiniaturePlot, found: Sequence[DrawnMiniature],
                layout: Layout) -> None:
    below.axhline(0, color="black", linewidth=1.0)
    above.plot(plot.base.rate, plot.base.quality, color="black", linewidth=1.2, marker=".", zorder=2)
    for curve in plot.seeds:
        above.plot(curve.rate, curve.quality, color=GREY, linewidth=0.8, zorder=1)
        below.plot(curve.gain_rate, curve.gain_db, color=GREY, linewidth=0.8, zorder=1)
    for number, curve in enumerate(found):
        look: dict[str, Any] = {
            "color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)], "markersize": 3.2,
            "linewidth": 1.0, "label": escape_label(curve.label), "zorder": 3,
        }
        above.plot(curve.rate, curve.quality, **look)
        below.plot(curve.gain_rate, curve.gain_db, **look)
    if found:
        above.legend(frameon=False, fontsize=layout.font - 1, loc="lower right", labelspacing=0.3)
    for axes in (above, below):
        draw_grid(axes)
