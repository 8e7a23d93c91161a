"""The plot of what decodings came to: stacked bars, a bar for each way from an encoder to a decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch

from bench.reports.crosscheck.blocks import Block, Crossing, count_outcomes, name_place
from bench.reports.crosscheck.tables import TITLES
from bench.reports.page.canvas import escape_label, finish_axes, make_canvas
from bench.reports.page.figures import Figure, Layout
from bench.results.crosschecks import FAILED, IDENTICAL, LATENTS, OFF_BY_ONE, WRONG, Outcome

# Of Okabe and Ito's palette, from light to dark in grey, and what is no picture, or a wrong one, hatched.
LOOKS: dict[Outcome, tuple[str, str]] = {
    IDENTICAL: ("#E8F3FA", ""), OFF_BY_ONE: ("#8CCBF0", ""), LATENTS: ("#0072B2", ""), FAILED: ("#F0C36A", "////"),
    WRONG: ("#000000", "xx"),
}
TEXT_COLOURS = {LATENTS: "#FFFFFF", WRONG: "#FFFFFF"}  # of numbers in bars; others black
BAR_INCHES, PANEL_INCHES = 0.22, 0.5
NARROWEST_PERCENT = 4.0  # of a bar that still holds its number


@dataclass(frozen=True)
class DrawnBar:
    """One way: its label, and how many decodings came out as each of :data:`LOOKS`."""

    label: str
    counts: tuple[int, ...]


@dataclass(frozen=True)
class DrawnPanel:
    """The bars of files that were written in one way."""

    title: str
    bars: tuple[DrawnBar, ...]


def plot_outcomes(blocks: Sequence[Block], subject: str, letters: Mapping[str, str]) -> Figure:
    """Plot the shares of outcomes, a panel for each of ``blocks``."""
    several = len({crossing[:2] for block in blocks for crossing in block.crossings}) > 1
    panels = tuple(DrawnPanel(block.title, tuple(
        DrawnBar(_label_crossing(crossing, letters, several), count_outcomes(rows, tuple(LOOKS)))
        for crossing, rows in block.crossings.items())) for block in blocks)
    caption = (f"How files of {subject} came out under each setting of decoding: shares of the decodings, in the bars "
               "their number. Hatched: no picture, or a wrong one.")
    return Figure("outcomes", caption, _draw_panels, panels)


def _label_crossing(crossing: Crossing, letters: Mapping[str, str], several: bool) -> str:
    encoder_machine, encoder_setting, decoder_machine, decoder_setting = crossing
    decoder = name_place(decoder_setting, decoder_machine, letters)
    return f"{name_place(encoder_setting, encoder_machine, letters)} → {decoder}" if several else decoder


def _draw_panels(panels: Sequence[DrawnPanel], layout: Layout) -> Canvas:
    heights = [len(panel.bars) * BAR_INCHES + PANEL_INCHES for panel in panels]
    canvas = make_canvas(layout, sum(heights) + (0.4 if layout.wide else 0.8))
    all_axes = canvas.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights).ravel()
    for axes, panel in zip(all_axes, panels):
        _draw_panel(axes, panel, layout)
    all_axes[-1].set_xlabel("Decodings [%]")
    handles = [Patch(facecolor=colour, hatch=hatch, edgecolor=_edge(outcome), linewidth=0.6, label=TITLES[outcome])
               for outcome, (colour, hatch) in LOOKS.items()]
    canvas.legend(handles=handles, loc="outside lower center", ncols=5 if layout.wide else 2, frameon=False,
                  fontsize=layout.font - 0.8, handlelength=1.6, columnspacing=1.0)
    return canvas


def _draw_panel(axes: Axes, panel: DrawnPanel, layout: Layout) -> None:
    for place, bar in enumerate(panel.bars):
        total, start = sum(bar.counts), 0.0
        for outcome, count in zip(LOOKS, bar.counts):
            width = 100 * count / total
            if count:
                _draw_share(axes, outcome, place, start, width, count, layout)
            start += width
    axes.set_yticks(range(len(panel.bars)), [escape_label(bar.label) for bar in panel.bars])
    axes.set_ylim(len(panel.bars) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_title(escape_label(panel.title), loc="left", fontsize=layout.font + 0.5, fontweight="bold", pad=3)
    finish_axes(axes, "x")


def _draw_share(axes: Axes, outcome: Outcome, place: int, start: float, width: float, count: int,
                layout: Layout) -> None:
    colour, hatch = LOOKS[outcome]
    axes.barh(place, width, left=start, height=0.74, color=colour, hatch=hatch, edgecolor=_edge(outcome), linewidth=0.6)
    if width < NARROWEST_PERCENT:
        return
    background = {"facecolor": colour, "edgecolor": "none", "pad": 0.8} if hatch else None
    axes.text(start + width / 2, place, str(count), ha="center", va="center", fontsize=layout.font - 1.5,
              color=TEXT_COLOURS.get(outcome, "#000000"), bbox=background)


def _edge(outcome: Outcome) -> str:
    """Of a share, and of its hatching."""
    return "#FFFFFF" if outcome == WRONG else "#444444"
