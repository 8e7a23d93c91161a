"""Heat maps and lines of a search's RD costs as bytes; the same trials give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from bench.reports.page.canvas import COLOURS, MARKERS, WIDE, Figure, draw_grid, open_canvas, save_figure
from bench.training.search.trials import Analysis, AtLambda

ACROSS, DOWN = "gamma", "weight_rate"
PANELS_A_ROW = 3
MOST_VALUES = 12  # on an axis of a heat map; drawn ones, as of tpe, are all different
LABELS = {ACROSS: "γ", DOWN: "Rate of task weights"}


def heat_maps(analysis: Analysis) -> Iterator[Figure]:
    """One heat map a λ: RD cost over γ and the learning rate of task weights, in percent over the best.

    A cell is the best of the settings that share its values. None for searches of other parameters, or of so many
    values that cells can't be read.
    """
    for group in analysis.by_lambda:
        cells = _cells(group)
        gammas, rates = (sorted({pair[axis] for pair in cells}) for axis in (0, 1))
        if not cells or max(len(gammas), len(rates)) > MOST_VALUES:
            continue
        grid = np.array([[cells.get((gamma, rate), np.nan) for gamma in gammas] for rate in rates])
        name = f"heat_map_{group.lambda_:g}".replace(".", "_")
        caption = (f"λ {group.lambda_:g}: RD cost in percent over the best setting's; framed: the best and what is tied"
                   " with it. Empty: no complete trial.")
        with open_canvas(name, WIDE, 0.75 + 0.42 * len(rates)) as canvas:
            axes = canvas.add_subplot()
            _draw_cells(axes, grid, 100 * analysis.noise)
            axes.set_xticks(range(len(gammas)), [f"{value:.4g}" for value in gammas])
            axes.set_yticks(range(len(rates)), [f"{value:.4g}" for value in rates])
            _label(axes, f"λ {group.lambda_:g}", LABELS[DOWN])
            figure = save_figure(canvas, name, caption)
        yield figure


def loss_lines(analysis: Analysis) -> Iterator[Figure]:
    """One figure with a panel for each λ: RD cost over γ, a line for each learning rate of task weights."""
    groups = [group for group in analysis.by_lambda if _cells(group)]
    rates = sorted({rate for group in groups for _, rate in _cells(group)})
    if not groups or len(rates) > len(COLOURS):
        return
    rows = -(-len(groups) // PANELS_A_ROW)
    columns = min(len(groups), PANELS_A_ROW)
    caption = "RD cost over γ at each λ, in percent over the best setting at that λ."
    with open_canvas("loss_over_gamma", WIDE, 0.4 + 2.1 * rows) as canvas:
        panels = canvas.subplots(rows, columns, squeeze=False).ravel()
        for axes, group in zip(panels, groups):
            _draw_lines(axes, _cells(group), rates)
            _label(axes, f"λ {group.lambda_:g}", "RD cost over the best [%]")
        for axes in panels[len(groups):]:
            axes.set_visible(False)
        handles = panels[0].get_lines()
        canvas.legend(handles, [line.get_label() for line in handles], loc="outside lower center", frameon=False,
                      ncols=4, fontsize=WIDE.font - 0.8, title=LABELS[DOWN], title_fontsize=WIDE.font - 0.8)
        figure = save_figure(canvas, "loss_over_gamma", caption)
    yield figure


def _cells(group: AtLambda) -> dict[tuple[float, float], float]:
    """Lowest RD cost by (γ, learning rate of task weights), in percent over the best at this λ."""
    cells: dict[tuple[float, float], float] = {}
    for one in group.ranked:  # best first
        values = dict(one.setting)
        if ACROSS in values and DOWN in values:
            cells.setdefault((values[ACROSS], values[DOWN]), 100 * one.excess)
    return cells


def _draw_cells(axes: Axes, grid: np.ndarray, noise: float) -> None:
    largest = max(float(np.nanmax(grid)), 1e-9)
    axes.imshow(grid, cmap="Blues_r", vmin=0, vmax=1.6 * largest, aspect="auto")
    for row, column in np.argwhere(np.isfinite(grid)):
        value = grid[row, column]
        axes.text(column, row, f"+{value:.2f} %" if value else "best", ha="center", va="center",
                  color="white" if value < 0.55 * largest else "black")
        if value < noise or value == 0:
            axes.add_patch(Rectangle((column - 0.47, row - 0.45), 0.94, 0.9, fill=False,
                                     edgecolor=COLOURS[0], linewidth=1.6))


def _draw_lines(axes: Axes, cells: dict[tuple[float, float], float], rates: list[float]) -> None:
    gammas = sorted({gamma for gamma, _ in cells})
    for number, rate in enumerate(rates):  # a line breaks where a trial is missing
        axes.plot(gammas, [cells.get((gamma, rate), np.nan) for gamma in gammas], color=COLOURS[number],
                  marker=MARKERS[number], linewidth=1.2, markersize=4, label=f"{rate:.4g}")
    axes.set_xscale("log")
    axes.set_xticks(gammas, [f"{gamma:.4g}" for gamma in gammas])
    axes.minorticks_off()
    draw_grid(axes)


def _label(axes: Axes, title: str, vertical: str) -> None:
    axes.set_title(title, loc="left", fontsize=WIDE.font + 0.5, fontweight="bold")
    axes.set_xlabel(LABELS[ACROSS])
    axes.set_ylabel(vertical)
    axes.tick_params(width=0.6, length=2.5)
