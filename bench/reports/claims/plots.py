"""Forest plots: what was claimed against what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bench.claims.catalogue import OF_QUALITY, Claim
from bench.claims.result import Judgement
from bench.common.text import format_count, format_number
from bench.metrics.statistics.verdicts import INVALID, REFUTED, REPRODUCED, SUPPORTED, UNDECIDED
from bench.reports.claims.text import Names, claimed_text, is_change, metric_text
from bench.reports.page.canvas import escape_label, finish_axes, make_canvas
from bench.reports.page.figures import COLUMN, WIDE, Figure, Layout
from bench.reports.page.table import group_records

LOOKS = {  # verdict: colour (Okabe and Ito), marker; neither is needed to tell them apart
    REPRODUCED: ("#009E73", "*"), SUPPORTED: ("#0072B2", "o"), REFUTED: ("#D55E00", "X"),
    UNDECIDED: ("#B07A00", "D"), INVALID: ("#7F7F7F", "s"),
}
CLAIMED_COLOUR = "#C9D6E2"
MOST_ROWS = 25  # of a figure
LABEL_WIDTHS = {WIDE.name: 46, COLUMN.name: 30}  # characters of a line
ROW_INCHES, PANEL_INCHES = 0.21, 0.62
WIDE_RANGE = 12.0  # largest over median distance from zero from which on a scale is logarithmic beyond the median
FAMILIES = {  # metrics that share an axis
    "encode_time": "Time", "decode_time": "Time", "total_time": "Time", "macs": "Operations",
    "memory": "Peak memory", "parameters": "Parameters", "training_time": "Training time",
}
DIRECTION_TEXTS = {"encode_time": "encode", "decode_time": "decode", "total_time": "total"}


@dataclass(frozen=True)
class Panel:
    """Rows that share an axis: one family of metrics in one unit."""

    title: str
    rows: tuple[Judgement, ...]


@dataclass(frozen=True)
class DrawnRow:
    """A claimed range, and what was measured."""

    label: str
    claimed: tuple[float, float]
    value: float
    interval: tuple[float, float] | None
    verdict: str


@dataclass(frozen=True)
class DrawnPanel:
    """A panel as it is drawn; of changes there is a line at zero."""

    title: str
    rows: tuple[DrawnRow, ...]
    of_changes: bool


def plot_forest(stem: str, title: str, judgements: Sequence[Judgement], names: Names) -> list[Figure]:
    """Plot claimed ranges and measured intervals, in as many figures of :data:`MOST_ROWS` rows as needed.

    Args:
        stem: of the figures' names.
        judgements: of one line; those without a measured value are left out and counted in the caption.

    Returns:
        every figure; empty where nothing was measured.
    """
    shown = [one for one in judgements if one.value is not None and np.isfinite(one.value)]
    parts = list(_split_into_figures(shown))
    figures = []
    for number, panels in enumerate(parts, start=1):
        name = stem if len(parts) == 1 else f"{stem}_{number}"
        caption = _caption(title, number, len(parts), len(judgements) - len(shown))
        figures.append(Figure(name, caption, _draw_panels, tuple(_prepare_panel(panel, names) for panel in panels)))
    return figures


def _split_into_figures(shown: Sequence[Judgement]) -> Iterator[list[Panel]]:
    """Panels a figure; a family with more rows than fit goes on in the next one."""
    panels: list[Panel] = []
    room = MOST_ROWS
    for title, rows in group_records(shown, lambda one: _axis_title(one.claim)).items():
        while rows:
            if room == 0 or (len(rows) > room and room < MOST_ROWS // 2):
                yield panels
                panels, room = [], MOST_ROWS
            panels.append(Panel(title, tuple(rows[:room])))
            rows, room = rows[room:], room - len(rows[:room])
    if panels:
        yield panels


def _axis_title(claim: Claim) -> str:
    what = FAMILIES.get(claim.metric) or metric_text(claim) or "Other"
    change = ", change" if is_change(claim) and claim.metric in FAMILIES else ""
    title = what[0].upper() + what[1:]
    return f"{title}{change} [{claim.unit}]" if claim.unit else title


def _prepare_panel(panel: Panel, names: Names) -> DrawnPanel:
    rows = tuple(DrawnRow(label, one.claim.bounds, one.value, one.interval, one.verdict)
                 for label, one in zip(label_rows(panel, names), panel.rows) if one.value is not None)
    return DrawnPanel(panel.title, rows, is_change(panel.rows[0].claim))


def _draw_panels(panels: Sequence[DrawnPanel], layout: Layout) -> Canvas:
    heights = [len(panel.rows) * ROW_INCHES + PANEL_INCHES for panel in panels]
    canvas = make_canvas(layout, sum(heights) + 0.45)
    all_axes = canvas.subplots(len(panels), 1, squeeze=False, height_ratios=[len(p.rows) + 0.6 for p in panels])
    for axes, panel in zip(all_axes.ravel(), panels):
        _draw_panel(axes, panel, layout)
    _draw_legend(canvas, [one.verdict for panel in panels for one in panel.rows], layout)
    return canvas


def _draw_panel(axes: Axes, panel: DrawnPanel, layout: Layout) -> None:
    for place, one in enumerate(panel.rows):
        low, high = one.claimed
        axes.barh(place, high - low, left=low, height=0.62, color=CLAIMED_COLOUR, edgecolor="#5B7C99", linewidth=0.9,
                  zorder=2)
        colour, marker = LOOKS[one.verdict]
        if one.interval is not None:
            axes.plot(one.interval, (place, place), color=colour, linewidth=1.3, solid_capstyle="butt", zorder=3)
        axes.plot(one.value, place, marker, color=colour, markeredgecolor="white", markeredgewidth=0.4,
                  markersize=layout.font * (0.9 if marker == "*" else 0.6), zorder=4)

    labels = [fill(escape_label(one.label), LABEL_WIDTHS[layout.name]) for one in panel.rows]
    axes.set_yticks(range(len(panel.rows)), labels)
    axes.set_ylim(len(panel.rows) - 0.4, -0.6)
    axes.set_title(escape_label(panel.title), loc="left", fontsize=layout.font, pad=3)
    finish_axes(axes, "x")
    axes.tick_params(axis="y", labelsize=layout.font - 1.3)
    axes.use_sticky_edges = False  # bars would end at the frame
    if panel.of_changes:
        axes.axvline(0, color="#444444", linewidth=0.8, zorder=1)
        _spread_axis(axes, panel)
    axes.margins(x=0.06)


def _spread_axis(axes: Axes, panel: DrawnPanel) -> None:
    """Make the scale logarithmic far from zero where a few changes would squeeze all others."""
    ends = np.abs([end for one in panel.rows for end in (one.value, *one.claimed, *(one.interval or ()))])
    middle = float(np.median(ends))
    if middle > 0 and ends.max() > WIDE_RANGE * middle:
        axes.set_xscale("symlog", linthresh=10.0 ** np.ceil(np.log10(middle)))
        axes.xaxis.set_major_formatter(lambda value, _: format_number(value, "g"))


def label_rows(panel: Panel, names: Names) -> list[str]:
    """"RWKV-2 vs RWKV-1, decode, context s3"; where two would be the same, with the place and the claimed range."""
    places: dict[str, set[str]] = {}
    for one in panel.rows:
        places.setdefault(one.claim.name, set()).add(one.where)

    texts = [_label_judgement(one, names) for one in panel.rows]
    texts = [f"{text}, {one.where}" if texts.count(text) > 1 and len(places[one.claim.name]) > 1 else text
             for text, one in zip(texts, panel.rows)]
    return [f"{text} ({claimed_text(one.claim)})" if texts.count(text) > 1 else text
            for text, one in zip(texts, panel.rows)]


def _label_judgement(one: Judgement, names: Names) -> str:
    claim = one.claim
    versus = f" vs {names.label(claim.versus)}" if claim.versus else ""
    about = [DIRECTION_TEXTS.get(claim.metric), claim.part, claim.setting,
             one.where if claim.metric in OF_QUALITY else None]
    return ", ".join([f"{names.label(claim.variant)}{versus}", *(text for text in about if text)])


def _draw_legend(canvas: Canvas, verdicts: Sequence[str], layout: Layout) -> None:
    handles: list[Artist] = [Patch(facecolor=CLAIMED_COLOUR, edgecolor="#5B7C99", label="claimed")]
    handles += [Line2D([], [], color=colour, marker=marker, markersize=layout.font * 0.6, label=verdict,
                       linewidth=1.3) for verdict, (colour, marker) in LOOKS.items() if verdict in verdicts]
    canvas.legend(handles=handles, loc="outside lower center", ncols=6 if layout.wide else 3,
                  frameon=False, fontsize=layout.font - 0.8, handlelength=1.6, columnspacing=1.0)


def _caption(title: str, number: int, total: int, left_out: int) -> str:
    part = f" ({number} of {total})" if total > 1 else ""
    text = (f"{title}{part}: claimed ranges as bars, measured values with 95 % intervals as lines; colour and marker "
            "say the verdict.")
    return f"{text} Left out for lack of a measured value: {format_count(left_out, 'claim')}." if left_out else text
