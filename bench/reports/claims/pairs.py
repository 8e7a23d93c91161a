"""Plots of compared curves: rate change along quality, BD-rates of single images in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import numpy as np
import scipy
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from bench.claims.result import PairComparison
from bench.common.files import file_name, write_whole, writing
from bench.common.text import format_count
from bench.metrics.quality import METRICS, PSNR
from bench.metrics.rate.curves import Curve, find_curve_fault, measure_overlap
from bench.reports.claims.text import percent_text, range_text
from bench.reports.page.canvas import finish_axes, make_canvas, render_figure
from bench.reports.page.figures import COLUMN, WIDE, Figure, Layout

LESS, MORE, SINGLE = "#0072B2", "#D55E00", "#9FB8CC"
SAMPLES = 60  # positions along quality
TITLE_WIDTHS = {WIDE.name: 85, COLUMN.name: 46}  # characters of a line
MOST_NAMES = 30  # images whose names are readable below bars
LEGEND = {"fontsize": "small", "handlelength": 1.6, "labelspacing": 0.25, "framealpha": 0.85, "edgecolor": "none"}

Line = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class PairPlot:
    """All that one plot shows.

    Attributes:
        line: rate change in percent along quality, of the averaged curves.
        single: the same of single images.
        bars: BD-rate of every image in percent with its name, the largest saving first.
        mean_percent: of these.
    """

    title: str
    axis_label: str
    value_percent: float
    line: Line
    single: tuple[Line, ...]
    bars: tuple[tuple[float, str], ...]
    mean_percent: float | None


def find_rate_change(anchor: Curve, test: Curve) -> Line | None:
    """Return qualities and the rate change of ``test`` there in percent, over the common range of quality.

    Both curves are log10 rate over quality by PCHIP, whose mean difference is the BD-rate (Bjøntegaard, VCEG-M33,
    2001). None where a curve is unusable or there is no common range.
    """
    if find_curve_fault(anchor) or find_curve_fault(test):
        return None
    (anchor_rate, anchor_quality), (test_rate, test_quality) = (np.array(one.points()).T for one in (anchor, test))
    low, high, _ = measure_overlap(anchor_quality, test_quality)
    if low >= high:
        return None
    quality = np.linspace(low, high, SAMPLES)
    difference = (scipy.interpolate.PchipInterpolator(test_quality, np.log10(test_rate))(quality)
                  - scipy.interpolate.PchipInterpolator(anchor_quality, np.log10(anchor_rate))(quality))
    return quality, 100 * (10**difference - 1)


def plot_pair(pair: PairComparison) -> Figure | None:
    """Plot one comparison: the rate change along quality, beside it the single images; None without a common range."""
    averages = [one.over(pair.images) if pair.images else one for one in (pair.anchor, pair.test)]
    line = find_rate_change(*(one.curve(pair.metric) for one in averages))
    if line is None:
        return None
    bars = sort_images(pair)
    by = () if pair.metric == PSNR.name else ("by", pair.metric)
    name = "_".join(map(file_name, ("pair", pair.dataset, pair.test.name, "against", pair.anchor.name, *by)))
    plot = PairPlot(f"{pair.title}, {pair.dataset}", METRICS.get(pair.metric).on_curves.axis_label, pair.value_percent,
                    line, tuple(_find_image_lines(pair)), bars, None if pair.spread is None else pair.spread.mean)
    return Figure(name, _caption(pair, len(bars)), _draw_plot, plot)


def write_pairs(pairs: Iterable[PairComparison], folder: Path) -> list[Path]:
    """Draw every pair that has a common range into a PNG file of ``folder``, which is made where it is missing.

    Raises:
        BenchError: a file can't be written.
    """
    figures = [figure for pair in pairs if (figure := plot_pair(pair)) is not None]
    with writing(folder, "choose another folder with --reports"):
        return [write_whole(folder / f"{figure.name}.png", render_figure(figure, figure.layouts[0]))
                for figure in figures]


def sort_images(pair: PairComparison) -> tuple[tuple[float, str], ...]:
    """Return BD-rates of single images with their names, the largest saving first."""
    values = zip(pair.per_image_percent, pair.images)
    return tuple(sorted((value, Path(image).stem) for value, image in values if np.isfinite(value)))


def _find_image_lines(pair: PairComparison) -> list[Line]:
    anchors, tests = pair.anchor.image_curves(pair.metric), pair.test.image_curves(pair.metric)
    shared = [image for image in pair.images if image in anchors and image in tests]
    lines = [find_rate_change(anchors[image], tests[image]) for image in shared]
    return [line for line in lines if line is not None]


def _draw_plot(plot: PairPlot, layout: Layout) -> Canvas:
    panels = 2 if plot.bars else 1
    rows, columns, height = (1, panels, 2.7) if layout.wide else (panels, 1, 2.3 * panels)
    canvas = make_canvas(layout, height)
    all_axes = canvas.subplots(rows, columns, squeeze=False).ravel()
    _draw_change(all_axes[0], plot)
    if plot.bars:
        _draw_images(all_axes[1], plot, layout)
    canvas.suptitle(fill(plot.title, TITLE_WIDTHS[layout.name]), fontsize=layout.font + 0.5, fontweight="bold", x=0.01,
                    ha="left")
    return canvas


def _draw_change(axes: Axes, plot: PairPlot) -> None:
    for quality, percent in plot.single:
        axes.plot(quality, percent, color=SINGLE, linewidth=0.5, alpha=0.7, zorder=2)
    axes.axhline(0, color="#444444", linewidth=0.8, zorder=1)
    axes.axhline(plot.value_percent, color="#000000", linewidth=0.9, linestyle=(0, (4, 2)), zorder=3,
                 label=f"BD-rate {percent_text(plot.value_percent)}")
    axes.plot(*plot.line, color="#000000", linewidth=1.7, zorder=4, label="averaged curves")
    if plot.single:
        axes.plot([], [], color=SINGLE, linewidth=0.8, label="single images")
        _limit_axis(axes, [*(percent for _, percent in plot.single), plot.line[1]])
    axes.set(xlabel=plot.axis_label, ylabel="Rate change [%]")
    axes.legend(**LEGEND)
    finish_axes(axes)


def _limit_axis(axes: Axes, lines: Sequence[np.ndarray]) -> None:
    """Leave out the far ends of a few images, which would squeeze everything else; the averages are always shown."""
    values = np.concatenate(lines)
    low = min(np.percentile(values, 1), lines[-1].min(), 0)
    high = max(np.percentile(values, 99), lines[-1].max(), 0)
    margin = 0.08 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)


def _draw_images(axes: Axes, plot: PairPlot, layout: Layout) -> None:
    percents = [value for value, _ in plot.bars]
    places = range(len(percents))
    axes.bar(places, percents, width=0.8, color=[LESS if value < 0 else MORE for value in percents])
    axes.axhline(0, color="#444444", linewidth=0.8)
    if plot.mean_percent is not None:
        axes.axhline(plot.mean_percent, color="#000000", linewidth=0.9, linestyle=(0, (4, 2)),
                     label=f"mean {percent_text(plot.mean_percent)}")
        axes.legend(**LEGEND)
    if len(percents) <= MOST_NAMES:
        axes.set_xticks(places, [name for _, name in plot.bars], rotation=90, fontsize=layout.font - 2.5)
    else:
        axes.set_xlabel("Images, in order of BD-rate")
    axes.set_ylabel("BD-rate of an image [%]")
    axes.margins(x=0.01)
    finish_axes(axes)


def _caption(pair: PairComparison, shown: int) -> str:
    interval = range_text(pair.interval)
    label = METRICS.get(pair.metric).label
    text = f"{pair.title}, {pair.dataset}: rate change at equal {label} over the common range, BD-rate "
    text += percent_text(pair.value_percent) + (f" (95 % interval {interval})" if interval else "") + "."
    if not pair.images:
        return f"{text} Single images are not known."
    text += f" Bars: BD-rates of {format_count(shown, 'image')}, negative for fewer bits."
    missing = len(pair.images) - shown
    return f"{text} Without a BD-rate of their own: {format_count(missing, 'image')}." if missing else text
