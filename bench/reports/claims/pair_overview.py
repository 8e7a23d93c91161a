"""One plot of all compared curves: BD-rates with their intervals, and those of single images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from bench.claims.result import PairComparison
from bench.reports.claims.pairs import LEGEND, LESS, MORE, SINGLE, sort_images
from bench.reports.page.canvas import finish_axes, make_canvas
from bench.reports.page.figures import COLUMN, WIDE, Figure, Layout

ROW_INCHES = 0.24
LABEL_WIDTHS = {WIDE.name: 60, COLUMN.name: 32}  # characters of a line
HOW_TO_DRAW = "python -m bench claims VARIANT --figures"


@dataclass(frozen=True)
class DrawnPair:
    """One row: BD-rates in percent of the averaged curves, with their interval, and of single images."""

    label: str
    value: float
    interval: tuple[float, float] | None
    images: tuple[float, ...]


def plot_overview(name: str, pairs: Sequence[PairComparison]) -> Figure:
    """Plot all of ``pairs``, at least one, a row each."""
    rows = tuple(DrawnPair(f"{pair.title}, {pair.dataset}", pair.value_percent, pair.interval,
                           tuple(value for value, _ in sort_images(pair))) for pair in pairs)
    caption = ("BD-rates of the averaged curves as diamonds, with 95 % intervals over images; pale dots: BD-rates of "
               "single images; to the left: fewer bits. Rate change along quality and the images by name, for the "
               f"pairs of one variant: {HOW_TO_DRAW}.")
    return Figure(name, caption, _draw_plot, rows)


def _draw_plot(rows: Sequence[DrawnPair], layout: Layout) -> Canvas:
    canvas = make_canvas(layout, len(rows) * ROW_INCHES + 0.7)
    axes = canvas.add_subplot()
    for place, row in enumerate(rows):
        _draw_row(axes, place, row)
    if any(row.images for row in rows):
        axes.plot([], [], "D", color="#000000", markersize=3.5, label="averaged curves")
        axes.plot([], [], "o", color=SINGLE, markersize=2.5, label="single images")
        axes.legend(**LEGEND)
    axes.axvline(0, color="#444444", linewidth=0.8, zorder=1)
    axes.set_yticks(range(len(rows)), [fill(row.label, LABEL_WIDTHS[layout.name]) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("BD-rate [%]")
    axes.tick_params(axis="y", labelsize=layout.font - 2)
    finish_axes(axes, "x")
    return canvas


def _draw_row(axes: Axes, place: int, row: DrawnPair) -> None:
    axes.plot(row.images, [place] * len(row.images), "o", color=SINGLE, markersize=2, alpha=0.7, zorder=2)
    colour = LESS if row.value < 0 else MORE
    if row.interval is not None:
        axes.plot(row.interval, (place, place), color=colour, linewidth=1.5, solid_capstyle="butt", zorder=3)
    axes.plot(row.value, place, "D", color=colour, markersize=3.5, markeredgecolor="white", markeredgewidth=0.4,
              zorder=4)
