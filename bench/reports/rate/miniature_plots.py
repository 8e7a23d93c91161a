"""Rate-distortion plots of miniatures: a panel for each line of variants, and what each gains at equal rate.

Miniatures of one width lie so close together that a single plot of all would show nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scipy.interpolate import PchipInterpolator

from bench.common.text import format_count
from bench.metrics.quality import METRICS
from bench.reports.page.canvas import COLOURS, MARKERS, Figure, Layout, draw_grid, open_canvas, save_figure
from bench.reports.page.table import group_records
from bench.reports.rate.coverage import Coverage
from bench.reports.rate.curves import MEASURED, ReportCurve
from bench.reports.rate.plots import convention_of
from bench.results.labels import BASE_MINIATURE, MINIATURE_NOTE, SEED_MINIATURES

FEWEST = 3  # miniatures, below which the plots of all codecs show them well enough
PANELS = Layout("panels", 10.5, 5.2, 7.5, 1, 200)
GREY = "#9A9A9A"
MOST_GAIN_DB = 0.75  # shown; what lies further off would hide the differences between the others


def find_miniatures(curves: Sequence[ReportCurve]) -> list[ReportCurve]:
    """The measured miniatures among curves of one metric, or nothing where they need no plot of their own."""
    found = [curve for curve in curves if curve.miniature and curve.origin == MEASURED]
    return found if len(found) >= FEWEST and any(curve.name == BASE_MINIATURE for curve in found) else []


def group_by_line(curves: Sequence[ReportCurve]) -> dict[str, list[ReportCurve]]:
    """Miniatures that are neither the baseline nor another seed of it, by the first word of their names."""
    variants = [curve for curve in curves
                if curve.name != BASE_MINIATURE and not SEED_MINIATURES.fullmatch(curve.name)]
    return group_records(sorted(variants, key=lambda curve: curve.name), lambda curve: curve.name.partition("_")[0])


def find_gain_at_equal_rate(curve: ReportCurve, base: ReportCurve) -> tuple[list[float], list[float]]:
    """Rates of a curve in bpp, and what its quality in dB exceeds the baseline's by at these.

    The baseline is interpolated by PCHIP over the logarithm of the rate; points beyond its rates are left out.
    """
    at = PchipInterpolator(np.log10(base.rate), base.quality)
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
    lines = group_by_line(curves)
    metric = base.metric
    with open_canvas(name, PANELS) as canvas:
        axes = canvas.subplots(2, max(len(lines), 1), sharex=True, sharey="row", squeeze=False)
        for column, (line, found) in enumerate((lines or {"": []}).items()):
            _draw_panel(axes[0, column], axes[1, column], base, seeds, found)
            title = found[0].label.partition("-")[0] if found else line  # "RWKV" of "RWKV-1"
            axes[0, column].set_title(title, loc="left", fontsize=PANELS.font + 0.5, fontweight="bold")
            axes[1, column].set_xlabel("Rate [bpp]")
        low, high = axes[1, 0].get_ylim()
        axes[0, 0].set_ylabel(METRICS.get(metric).on_curves.axis_label)
        axes[1, 0].set(ylim=(max(low, -MOST_GAIN_DB), min(high, MOST_GAIN_DB)),
                       ylabel="over HPCM-Base (miniature)\nat equal rate [dB]")
        caption = (f"{coverage.heading}. {convention_of(metric)}. Black: {base.label}. "
                   + (f"Grey: the same with {format_count(len(seeds), 'other seed')}, the noise between trainings. "
                      if seeds else "")
                   + f"Below: dB over it at equal rate, which PCHIP over log rate gives, "
                     f"up to {MOST_GAIN_DB} dB. {MINIATURE_NOTE}")
        return save_figure(canvas, name, caption)


def _draw_panel(above: Axes, below: Axes, base: ReportCurve, seeds: Sequence[ReportCurve],
           found: Sequence[ReportCurve]) -> None:
    below.axhline(0, color="black", linewidth=1.0)
    above.plot(base.rate, base.quality, color="black", linewidth=1.2, marker=".", zorder=2)
    for curve in seeds:
        above.plot(curve.rate, curve.quality, color=GREY, linewidth=0.8, zorder=1)
        below.plot(*find_gain_at_equal_rate(curve, base), color=GREY, linewidth=0.8, zorder=1)
    for number, curve in enumerate(found):
        look: dict[str, Any] = {
            "color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)], "markersize": 3.2,
            "linewidth": 1.0, "label": curve.label.removesuffix(" (miniature)"), "zorder": 3,
        }
        above.plot(curve.rate, curve.quality, **look)
        below.plot(*find_gain_at_equal_rate(curve, base), **look)
    if found:
        above.legend(frameon=False, fontsize=PANELS.font - 1, loc="lower right", labelspacing=0.3)
    for axes in (above, below):
        draw_grid(axes)
