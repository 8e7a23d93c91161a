"""Plots of compared curves as bytes: rate change along quality, BD-rates of single images in order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from scipy.interpolate import PchipInterpolator

from bench.claims.result import PairComparison
from bench.common.files import file_name
from bench.common.text import format_count
from bench.metrics.quality import METRICS, PSNR
from bench.metrics.rate.curves import Curve, find_curve_fault, measure_overlap
from bench.reports.claims.text import percent_text, range_text
from bench.reports.page.canvas import COLUMN, WIDE, Figure, Layout, finish_axes, open_canvas, save_figure

LESS, MORE, SINGLE = "#0072B2", "#D55E00", "#9FB8CC"
SAMPLES = 60  # positions along quality
TITLE_WIDTHS = {WIDE.name: 85, COLUMN.name: 46}  # characters of a line
MOST_NAMES = 30  # images whose names are readable below bars
LEGEND = {"fontsize": "small", "handlelength": 1.6, "labelspacing": 0.25, "framealpha": 0.85, "edgecolor": "none"}

Line = tuple[np.ndarray, np.ndarray]


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
    difference = (PchipInterpolator(test_quality, np.log10(test_rate))(quality)
                  - PchipInterpolator(anchor_quality, np.log10(anchor_rate))(quality))
    return quality, 100 * (10**difference - 1)


def plot_pair(pair: PairComparison) -> list[Figure]:
    """Plot one comparison in both layouts: the rate change along quality, beside it the single images."""
    averages = [one.over(pair.images) if pair.images else one for one in (pair.anchor, pair.test)]
    line = find_rate_change(*(one.curve(pair.metric) for one in averages))
    return [] if line is None else [_draw_figure(pair, line, layout) for layout in (WIDE, COLUMN)]


def _draw_figure(pair: PairComparison, line: Line, layout: Layout) -> Figure:
    values = _sorted_values(pair)
    panels = 2 if values else 1
    rows, columns, height = (1, panels, 2.7) if layout.wide else (panels, 1, 2.3 * panels)
    by = () if pair.metric == PSNR.name else ("by", pair.metric)
    stem = map(file_name, (pair.dataset, pair.test.name, "against", pair.anchor.name, *by))
    name = "_".join(["pair", *stem, layout.name])
    with open_canvas(name, layout, height) as canvas:
        all_axes = canvas.subplots(rows, columns, squeeze=False).ravel()
        _draw_change(all_axes[0], pair, line)
        if values:
            _draw_images(all_axes[1], pair, values, layout)
        canvas.suptitle(fill(f"{pair.title}, {pair.dataset}", TITLE_WIDTHS[layout.name]), fontsize=layout.font + 0.5,
                        fontweight="bold", x=0.01, ha="left")
        return save_figure(canvas, name, _caption(pair, len(values)))


def _sorted_values(pair: PairComparison) -> list[tuple[float, str]]:
    """BD-rates of single images with their names, the largest saving first."""
    return sorted((value, image) for image, value in zip(pair.images, pair.per_image_percent) if np.isfinite(value))


def _image_lines(pair: PairComparison) -> list[Line]:
    anchors, tests = pair.anchor.image_curves(pair.metric), pair.test.image_curves(pair.metric)
    shared = [image for image in pair.images if image in anchors and image in tests]
    lines = [find_rate_change(anchors[image], tests[image]) for image in shared]
    return [line for line in lines if line is not None]


def _draw_change(axes: Axes, pair: PairComparison, line: Line) -> None:
    single = _image_lines(pair)
    for quality, percent in single:
        axes.plot(quality, percent, color=SINGLE, linewidth=0.5, alpha=0.7, zorder=2)
    axes.axhline(0, color="#444444", linewidth=0.8, zorder=1)
    axes.axhline(pair.value_percent, color="#000000", linewidth=0.9, linestyle=(0, (4, 2)), zorder=3,
                 label=f"BD-rate {percent_text(pair.value_percent)}")
    axes.plot(*line, color="#000000", linewidth=1.7, zorder=4, label="averaged curves")
    if single:
        axes.plot([], [], color=SINGLE, linewidth=0.8, label="single images")
        _limit_axis(axes, [*(percent for _, percent in single), line[1]])
    axes.set(xlabel=METRICS.get(pair.metric).on_curves.axis_label, ylabel="Rate change [%]")
    axes.legend(**LEGEND)
    finish_axes(axes)


def _limit_axis(axes: Axes, lines: Sequence[np.ndarray]) -> None:
    """Leave out the far ends of a few images, which would squeeze everything else; the averages are always shown."""
    values = np.concatenate(lines)
    low = min(np.percentile(values, 1), lines[-1].min(), 0)
    high = max(np.percentile(values, 99), lines[-1].max(), 0)
    margin = 0.08 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)


def _draw_images(axes: Axes, pair: PairComparison, values: Sequence[tuple[float, str]], layout: Layout) -> None:
    percents = [value for value, _ in values]
    places = range(len(values))
    axes.bar(places, percents, width=0.8, color=[LESS if value < 0 else MORE for value in percents])
    axes.axhline(0, color="#444444", linewidth=0.8)
    if pair.per_image_mean_percent is not None:
        axes.axhline(pair.per_image_mean_percent, color="#000000", linewidth=0.9, linestyle=(0, (4, 2)),
                     label=f"mean {percent_text(pair.per_image_mean_percent)}")
        axes.legend(**LEGEND)
    if len(values) <= MOST_NAMES:
        axes.set_xticks(places, [Path(image).stem for _, image in values], rotation=90, fontsize=layout.font - 2.5)
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
