"""Rate-distortion plots: which curves are drawn, and how."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from bench.common.text import format_count
from bench.metrics.quality import METRICS
from bench.reports.page.canvas import COLOURS, MARKERS, escape_label, finish_axes, make_canvas
from bench.reports.page.figures import Figure, Layout
from bench.reports.rate.coverage import Coverage
from bench.reports.rate.curves import ANCHOR, MEASURED, ReportCurve

ANCHOR_LOOKS = (  # colour, marker, dashes
    ("#000000", "", (0, (5, 2))), ("#6F6F6F", "", (0, (1, 1.4))), ("#000000", "", (0, (5, 1.5, 1, 1.5))),
)
PUBLISHED_LOOKS = (
    ("#D55E00", "d", (0, (5, 1.5, 1, 1.5))), ("#CC79A7", "x", (0, (3, 1.5))),
    ("#0072B2", "1", (0, (7, 2, 1, 2, 1, 2))), ("#009E73", "2", (0, (2, 2))),
    ("#E69F00", "+", (0, (4, 1, 2, 1))),
)

Look = tuple[str, str, Any]
MOST_CURVES = 14
FULL_RATE_BPP = 2.0  # published curves end well below; JPEG's best qualities would squeeze the rest


def convention_of(metric: str) -> str:
    """Say how the points of a plot were averaged."""
    return f"{METRICS.get(metric).convention}; rate from file bytes"


@dataclass(frozen=True)
class CurveStyle:
    """How one curve is drawn, in every plot of a report."""

    colour: str
    marker: str
    line: str | tuple
    filled: bool


@dataclass(frozen=True)
class DrawnCurve:
    """A curve as it is drawn: rates in bpp, which rise, and qualities."""

    label: str
    rate: tuple[float, ...]
    quality: tuple[float, ...]
    style: CurveStyle
    measured: bool
    learned: bool


@dataclass(frozen=True)
class RDPlot:
    """All that one plot shows; rates up to ``limit`` bpp."""

    curves: tuple[DrawnCurve, ...]
    limit: float
    title: str
    convention: str
    axis_label: str


def styles_of(curves: Sequence[ReportCurve]) -> dict[str, CurveStyle]:
    """Give every curve label a colour, marker and line; solid for measured ones, broken for others."""
    styles: dict[str, CurveStyle] = {}
    measured = list(dict.fromkeys(curve.label for curve in curves if curve.origin == MEASURED))
    pairs = zip(itertools.chain(COLOURS, itertools.cycle(COLOURS[1:])), itertools.cycle(MARKERS))
    if not any(curve.learned and curve.origin == MEASURED for curve in curves):
        next(pairs)  # the first colour belongs to the first learned codec alone
    for label, (colour, marker) in zip(measured, pairs):
        again = any(style.colour == colour for style in styles.values())
        styles[label] = CurveStyle(colour, marker, "-", filled=not again)

    others = [curve for curve in curves if curve.origin != MEASURED]
    for is_anchor, looks in ((True, ANCHOR_LOOKS), (False, PUBLISHED_LOOKS)):
        labels = dict.fromkeys(curve.label for curve in others if (curve.origin == ANCHOR) == is_anchor)
        for label, look in zip(labels, _vary_looks(looks)):
            styles.setdefault(label, CurveStyle(*look, filled=False))
    return styles


def _vary_looks(looks: Sequence[Look]) -> Iterator[Look]:
    """Yield ``looks``, then their colours with each other's markers, then also with each other's lines."""
    colours, markers, lines = zip(*looks)
    count = len(looks)
    for line, marker, index in itertools.product(range(count), repeat=3):
        yield colours[index], markers[(index + marker) % count], lines[(index + line) % count]


def find_low_rate_limit(curves: Sequence[ReportCurve]) -> float | None:
    """Return up to which rate a second plot should zoom in, or None where the first shows everything well."""
    rates = [max(curve.rate) for curve in curves if curve.miniature and curve.origin == MEASURED]
    limit = 1.3 * max(rates) if rates else FULL_RATE_BPP
    return limit if limit < 0.6 * _find_full_limit(curves) else None


def _find_full_limit(curves: Sequence[ReportCurve]) -> float:
    return min(FULL_RATE_BPP, 1.04 * max(max(curve.rate) for curve in curves))


def plot_rd_curves(name: str, curves: Sequence[ReportCurve], coverage: Coverage, styles: dict[str, CurveStyle],
                   limit: float | None = None) -> Figure:
    """Plot quality over rate.

    Args:
        curves: of one metric, at least one; VVC anchors and the first others, :data:`MOST_CURVES` in all, are drawn.
        limit: largest rate shown, in bpp; None for all up to :data:`FULL_RATE_BPP`.
    """
    anchors = [curve for curve in curves if curve.origin == ANCHOR]  # always drawn
    others = [curve for curve in curves if curve.origin != ANCHOR][: MOST_CURVES - len(anchors)]
    left_out = [curve.label for curve in curves if curve not in anchors and curve not in others]
    curves = [curve for curve in curves if curve in anchors or curve in others]
    metric = curves[0].metric
    limit = limit if limit is not None else _find_full_limit(curves)

    caption = _make_caption(curves, coverage, metric, limit)
    if left_out:
        caption += f" Not drawn, to keep the plot readable: {', '.join(left_out)}."
    plot = RDPlot(tuple(_prepare_curve(curve, styles[curve.label], coverage) for curve in curves), limit,
                  coverage.short_heading, convention_of(metric), METRICS.get(metric).on_curves.axis_label)
    return Figure(name, caption, _draw_plot, plot)


def _prepare_curve(curve: ReportCurve, style: CurveStyle, coverage: Coverage) -> DrawnCurve:
    """Say in the legend where a curve goes over fewer images than the title promises."""
    measured = curve.origin == MEASURED
    partial = measured and curve.images != coverage.images
    label = f"{curve.label}, {format_count(curve.images or 0, 'image')}" if partial else curve.label
    return DrawnCurve(label, curve.rate, curve.quality, style, measured, curve.learned)


def _draw_plot(plot: RDPlot, layout: Layout) -> Canvas:
    canvas = make_canvas(layout)
    canvas.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02)
    axes = canvas.add_subplot()
    for curve in plot.curves:
        _draw_curve(axes, curve, layout)
    _label_axes(axes, plot)
    _draw_title(axes, plot, layout)
    _draw_legend(canvas, axes, layout)
    return canvas


def _draw_curve(axes: Axes, curve: DrawnCurve, layout: Layout) -> None:
    stands_out = curve.learned and curve.measured
    order = 3 if curve.measured else 2
    style = curve.style
    axes.plot(
        curve.rate, curve.quality, label=escape_label(curve.label), color=style.colour, linestyle=style.line,
        marker=style.marker or None, linewidth=1.4 if stands_out else 1.0,
        markersize=layout.font * 0.5,
        markerfacecolor=style.colour if style.filled else "white", markeredgewidth=0.8,
        zorder=4 if stands_out else order,
    )


def _label_axes(axes: Axes, plot: RDPlot) -> None:
    visible = [value for curve in plot.curves for value in _visible_quality(curve, plot.limit)]
    low, high = min(visible), max(visible)
    margin = 0.04 * (high - low) or 0.5
    axes.set(xlim=(0, plot.limit), ylim=(low - margin, high + margin), xlabel="Rate [bpp]", ylabel=plot.axis_label)
    finish_axes(axes)


def _visible_quality(curve: DrawnCurve, limit: float) -> list[float]:
    """Return the qualities of the points up to ``limit``, and of the line where it leaves the plot."""
    values = [quality for rate, quality in zip(curve.rate, curve.quality) if rate <= limit]
    if values and curve.rate[-1] > limit:
        values.append(float(np.interp(limit, curve.rate, curve.quality)))
    return values or [curve.quality[0]]


def _draw_title(axes: Axes, plot: RDPlot, layout: Layout) -> None:
    small = max(layout.font - 1.5, 5.5)
    size = layout.font + 0.5
    title = axes.set_title(escape_label(plot.title), loc="left", fontsize=size, fontweight="bold", pad=1.35 * small + 3)
    while _measure_width(title, layout) > 0.86 * layout.width and size > small:
        size -= 0.5
        title.set_fontsize(size)

    axes.annotate(escape_label(plot.convention), (0, 1), xycoords="axes fraction", xytext=(0, 3), va="bottom",
                  textcoords="offset points", fontsize=small, color="#444444")


def _draw_legend(canvas: Canvas, axes: Axes, layout: Layout) -> None:
    """Put the legend beside the axes, or below them in as many columns as fit; the page grows for it."""
    handles, labels = axes.get_legend_handles_labels()
    options: dict[str, Any] = {"frameon": False, "columnspacing": 0.8, "handletextpad": 0.4, "borderaxespad": 0.2}
    size = layout.font - 0.8
    if layout.wide:
        canvas.legend(handles, labels, loc="outside right center", fontsize=size, labelspacing=0.5, **options)
        return

    choices = [(columns, size - less)
               for columns in range(layout.legend_columns, 0, -1) for less in (0, 0.3, 0.6)]
    for columns, size in choices:
        legend = canvas.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=size,
                               labelspacing=0.25, handlelength=2.2, **options)
        if _measure_width(legend, layout) <= layout.width or (columns, size) == choices[-1]:
            break
        legend.remove()

    rows = -(-len(labels) // columns)
    canvas.set_size_inches(layout.width, layout.axes_height + rows * size * 1.5 / 72)


def _measure_width(artist: Artist, layout: Layout) -> float:
    """Width in inches, as it would be drawn now."""
    return artist.get_window_extent().width / layout.dpi


def _make_caption(curves: Sequence[ReportCurve], coverage: Coverage, metric: str, limit: float) -> str:
    text = (f"{coverage.heading}. {convention_of(metric)}. Solid lines with markers: measured here from real "
            "files; broken lines: anchors and published points.")
    anchors = [curve.label for curve in curves if curve.origin == ANCHOR]
    text += f" VVC anchor: {'; '.join(anchors)}." if anchors else ""
    beyond = sum(rate > limit for curve in curves for rate in curve.rate)
    return f"{text} Shown up to {limit:.2f} bpp; {format_count(beyond, 'point')} beyond." if beyond else text
