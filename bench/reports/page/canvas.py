"""What every figure is drawn on: sizes, colours, and files that are the same bytes in every run."""

from __future__ import annotations

import io
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogFormatter, LogFormatterMathtext
from PIL import Image

from bench.common.text import strip_controls
from bench.reports.page.figures import Figure, Layout

# Okabe and Ito's palette, safe for the colour-blind; its yellow is too faint for lines on white.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
Across = Literal["both", "x", "y"]  # axis that lines of a grid cross
# What would differ between two runs is left out.
METADATA: dict[str, Any] = {"svg": {"Date": None, "Creator": None},
                            "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
MOST_COLOURS, EXACT_COLOURS, EXACT_GREYS = 256, 64, 32  # of a PNG file with a palette
LEAST_CHROMA = 16  # largest less smallest channel, below which a colour is a grey


def make_canvas(layout: Layout, height: float | None = None) -> Canvas:
    """Return an empty canvas.

    Args:
        height: in inches; that of ``layout`` by default.
    """
    return Canvas(figsize=(layout.width, height or layout.axes_height), dpi=layout.dpi, layout="constrained")


def escape_label(text: str) -> str:
    """Return a label as it must be given to matplotlib to be drawn as it is, in a line.

    A legend leaves out what begins with "_": a hair space goes before it. Formulas are drawn nowhere.

    Args:
        text: any label that comes from a name or a file.

    >>> escape_label("$mine"), escape_label("_ours") == "\\u200a_ours"
    ('$mine', True)
    """
    shown = " ".join(strip_controls(text).split())
    return f"\u200a{shown}" if shown.startswith("_") else shown


def render_figure(figure: Figure, layout: Layout, kind: str = "png") -> bytes:
    """Draw ``figure`` and return its file of one kind: "png", "svg" or "pdf"; the same data gives the same bytes."""
    settings: dict[Any, Any] = {
        "svg.hashsalt": f"{figure.name}_{layout.name}", "svg.fonttype": "path", "font.family": "DejaVu Sans",
        "font.size": layout.font, "xtick.labelsize": layout.font - 0.5, "ytick.labelsize": layout.font - 0.5,
        "axes.linewidth": 0.6, "text.parse_math": False,  # labels are text: "$" begins no formula
    }
    buffer = io.BytesIO()
    with matplotlib.rc_context(settings):
        canvas = figure.draw(figure.data, layout)
        _write_plain_numbers(canvas)
        if kind == "png":
            _take_picture(canvas, layout).save(buffer, "png", optimize=True, dpi=(layout.dpi, layout.dpi))
        else:
            canvas.savefig(buffer, format=kind, metadata=METADATA[kind])
    return buffer.getvalue()


def _write_plain_numbers(canvas: Canvas) -> None:
    """Let logarithmic scales have "100" in place of the formula of 10²."""
    for axes in canvas.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_formatter(), LogFormatterMathtext):
                axis.set_major_formatter(LogFormatter())
                axis.set_minor_formatter(LogFormatter())


def _take_picture(canvas: Canvas, layout: Layout) -> Image.Image:
    """Return the pixels by a palette, which takes a third of the bytes.

    It holds the most frequent colours and greys as they are, those of lines, markers and areas, and others for the
    edges of these and of letters.
    """
    canvas.set_dpi(layout.dpi)
    agg = FigureCanvasAgg(canvas)
    agg.draw()
    pixels = np.asarray(agg.buffer_rgba())[..., :3]
    full = Image.fromarray(pixels)

    counted: Any = full.getcolors(full.width * full.height)
    colours = np.array([colour for _, colour in sorted(counted, reverse=True)], np.int32)
    is_grey = np.ptp(colours, axis=1) < LEAST_CHROMA
    exact = [colours[is_grey][:EXACT_GREYS], colours[~is_grey][:EXACT_COLOURS]]
    once = Image.fromarray(colours.astype(np.uint8)[None])  # each colour once: quick, and edges count for more
    others = once.quantize(MOST_COLOURS - EXACT_GREYS - EXACT_COLOURS, dither=Image.Dither.NONE).getpalette("RGB")
    palette = np.concatenate([*exact, np.array(others, np.int32).reshape(-1, 3)])
    nearest = np.square(colours[:, None] - palette).sum(axis=-1).argmin(axis=1)

    index_of = np.zeros((256, 256, 256), np.uint8)
    index_of[tuple(colours.T)] = nearest
    picture = Image.fromarray(index_of[pixels[..., 0], pixels[..., 1], pixels[..., 2]])
    picture.putpalette(palette.astype(np.uint8).tobytes())
    return picture


def draw_grid(axes: Axes, across: Across = "both") -> None:
    """Draw pale grid lines behind what is plotted: across both axes or one of them."""
    axes.grid(True, axis=across, linewidth=0.4, color="#D9D9D9")
    axes.set_axisbelow(True)


def finish_axes(axes: Axes, across: Across = "both") -> None:
    """Draw the grid, and ticks as thin as the frame."""
    draw_grid(axes, across)
    axes.tick_params(width=0.6, length=2.5)
