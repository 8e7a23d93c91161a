"""What every figure is drawn on: sizes, colours, and files that are the same bytes in every run."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from bench.reports.page.pages import Figure

# Okabe and Ito's palette, safe for the colour-blind; its yellow is too faint for lines on white.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
Across = Literal["both", "x", "y"]  # axis that lines of a grid cross
# What would differ between two runs is left out.
METADATA: dict[str, Any] = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}


@dataclass(frozen=True)
class Layout:
    """Size in inches, font sizes in points, legend columns (0: beside the axes)."""

    name: str
    width: float
    axes_height: float
    font: float
    legend_columns: int
    dpi: int

    @property
    def wide(self) -> bool:
        """Whether there is room beside the axes."""
        return self.legend_columns == 0


COLUMN = Layout("column", 3.4, 2.45, 7.0, 2, 300)
WIDE = Layout("wide", 7.0, 3.9, 8.5, 0, 200)


@contextmanager
def open_canvas(name: str, layout: Layout, height: float | None = None) -> Iterator[Canvas]:
    """Give an empty canvas; it is drawn on and saved inside the ``with``, where matplotlib's settings are ours.

    Args:
        name: the same in every run; from it come the identifiers in SVG files.
        height: in inches; that of ``layout`` by default.
    """
    settings: dict[Any, Any] = {
        "svg.hashsalt": name, "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": layout.font,
        "xtick.labelsize": layout.font - 0.5, "ytick.labelsize": layout.font - 0.5, "axes.linewidth": 0.6,
    }
    with matplotlib.rc_context(settings):
        canvas = Canvas(figsize=(layout.width, height or layout.axes_height), dpi=layout.dpi, layout="constrained")
        FigureCanvasAgg(canvas)
        yield canvas


def save_figure(canvas: Canvas, name: str, caption: str) -> Figure:
    """Return the drawn ``canvas`` as a finished figure."""
    return Figure(name, caption, _save(canvas, "png"), _save(canvas, "svg"))


def _save(canvas: Canvas, kind: str) -> bytes:
    buffer = io.BytesIO()
    canvas.savefig(buffer, format=kind, metadata=METADATA[kind], dpi=canvas.dpi if kind == "png" else "figure")
    return buffer.getvalue()


def draw_grid(axes: Axes, across: Across = "both") -> None:
    """Draw pale grid lines behind what is plotted: across both axes or one of them."""
    axes.grid(True, axis=across, linewidth=0.4, color="#D9D9D9")
    axes.set_axisbelow(True)


def finish_axes(axes: Axes, across: Across = "both") -> None:
    """Draw the grid, and ticks as thin as the frame."""
    draw_grid(axes, across)
    axes.tick_params(width=0.6, length=2.5)
