"""Plots of a training report: curves of two trainings side by side, and what balancing did."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from bench.reports.page.canvas import COLOURS, escape_label, finish_axes, make_canvas
from bench.reports.page.figures import Figure, Layout
from bench.reports.training.tables import format_lambda
from bench.results.training_logs import LoggedStep, Training

LOSS_MINIMUM = -1.0  # the balancer's, of every task
EPSILON = 1e-8
DISTORTION = "distortion"
WIDE_RANGE = 8.0  # ratio of the largest to the smallest value from which on a scale is logarithmic
PANEL_INCHES = 1.5
CURVES = (("loss", "Held-out loss"), ("bpp", "Held-out rate [bpp]"), ("psnr_db", "Held-out PSNR [dB]"))
Logged = tuple[int, Mapping[str, float]]  # a step, and a value for each task
Line = tuple[tuple[float, ...], tuple[float, ...]]  # across and up
MULTIPLIER_NOTE = (
    "Where tasks are balanced, λ_eff/λ is p_D/p_R: how much more distortion counts against a rate in the gradient than "
    "λ says, with p = z/(L + 1 + 1e-8) up to a common factor, z a task's weight and L its loss, both after the logged "
    "step. Task losses are of that step's batch alone, hence the jumps."
)


@dataclass(frozen=True)
class DrawnTraining:
    """Held-out values of one training: those of :data:`CURVES` over steps, and PSNR over rate."""

    colour: str
    over_steps: tuple[Line, ...]
    over_rate: Line


@dataclass(frozen=True)
class CurvesPlot:
    """All that one plot shows; ``legend`` has a label and a colour for each λ."""

    standard_name: str
    balanced_name: str
    standard: tuple[DrawnTraining, ...]
    balanced: tuple[DrawnTraining, ...]
    legend: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class BalancePlot:
    """All that one plot shows.

    Attributes:
        titles: of the columns.
        rows: label, and for each column a line for each task.
        colours: of the tasks.
    """

    titles: tuple[str, ...]
    rows: tuple[tuple[str, tuple[dict[str, Line], ...]], ...]
    colours: dict[str, str]


def find_multipliers(step: LoggedStep, modulation: Sequence[float] = ()) -> dict[str, float]:
    """λ_eff/λ of a step against each task that is a rate; empty where weights or losses are not logged.

    From the gradient Σ p_i ∇L_i of balanced training, p_i proportional to z_i/(L_i − m + ε) with m = −1 (FAMO, and
    LIC-HPCM-Balanced): training on D + R at λ·p_D/p_R has the same direction.

    Args:
        modulation: factor of each task's weight, in the order of the tasks; empty for none.
    """
    factors = dict(zip(step.weights, modulation or [1.0] * len(step.weights)))
    shares = {task: factors[task] * weight / (step.tasks[task] - LOSS_MINIMUM + EPSILON)
              for task, weight in step.weights.items() if task in step.tasks}
    distortion = shares.pop(DISTORTION, None)
    if distortion is None:
        return {}
    return {task: distortion / share if share else math.nan for task, share in shares.items()}


def plot_curves(standard: Sequence[Training], balanced: Sequence[Training]) -> Figure:
    """Held-out loss, rate and PSNR over steps and PSNR over rate: left the standard trainings, right the balanced ones.

    Args:
        standard, balanced: trainings of one variant each, at least one, by λ.
    """
    lambdas = sorted({one.lambda_ for one in (*standard, *balanced)})
    colours = dict(zip(lambdas, itertools.cycle(COLOURS)))
    left, right = (tuple(_prepare_training(one, colours[one.lambda_]) for one in trainings)
                   for trainings in (standard, balanced))
    plot = CurvesPlot(
        standard[0].variant, balanced[0].variant, left, right,
        tuple((f"λ {format_lambda(one)}", colour) for one, colour in colours.items()))
    caption = (f"Left: {plot.standard_name}, trained for λ·255²·MSE + bpp; right: {plot.balanced_name}, with the "
               "left curves dashed; axes are the same. Held-out means at each validation; bottom: each path from "
               "validation to validation, the last one as a circle.")
    return Figure(f"training_curves_{plot.balanced_name}", caption, _draw_curves, plot)


def _prepare_training(training: Training, colour: str) -> DrawnTraining:
    found = training.validations
    steps, bpp = (tuple(getattr(one, key) for one in found) for key in ("step", "bpp"))
    over_steps = tuple((steps, tuple(getattr(one, key) for one in found)) for key, _ in CURVES)
    return DrawnTraining(colour, over_steps, (bpp, tuple(one.psnr_db for one in found)))


def _draw_curves(plot: CurvesPlot, layout: Layout) -> Canvas:
    canvas = make_canvas(layout, _figure_height(4, layout))
    axes = canvas.subplots(4, 2, sharex="row", sharey="row", squeeze=False)
    for column, name, trainings in zip(axes.T, (plot.standard_name, plot.balanced_name),
                                       (plot.standard, plot.balanced)):
        column[0].set_title(escape_label(name), loc="left", fontsize=layout.font, fontweight="bold")
        for training in trainings:
            _draw_training(column, training)
    for training in plot.standard:
        _draw_training(axes[:, 1], training, dashed=True)

    for row, (_, ylabel), xlabel in zip(axes, (*CURVES, CURVES[2]), ("", "", "Step", CURVES[1][1])):
        row[0].set_ylabel(ylabel)
        _finish_row(row, xlabel)

    handles = [Line2D([], [], color=colour, marker=".", label=label) for label, colour in plot.legend]
    again = escape_label(f"{plot.standard_name} again")
    handles.append(Line2D([], [], color="#444444", linestyle="--", linewidth=0.8, label=again))
    _draw_legend(canvas, handles, layout)
    return canvas


def _draw_training(column: Iterable[Axes], training: DrawnTraining, dashed: bool = False) -> None:
    """Draw one training into the four panels of a column."""
    look: dict[str, Any] = {"color": training.colour, "marker": ".", "markersize": 3.5, "linewidth": 1.2}
    if dashed:
        look = {"color": training.colour, "linestyle": "--", "linewidth": 0.8, "alpha": 0.8}
    *over_steps, over_rate = column
    for axes, line in zip(over_steps, training.over_steps):
        axes.plot(*line, **look)
    over_rate.plot(*training.over_rate, **look)
    rates, psnrs = training.over_rate
    if rates and not dashed:
        over_rate.plot(rates[-1], psnrs[-1], "o", color=training.colour, markersize=4.5)


def plot_balance(trainings: Sequence[Training]) -> Figure:
    """Weights, losses and γ of tasks and λ_eff/λ over steps, a column for each λ.

    Args:
        trainings: of one variant, each with task weights in its log, by λ.
    """
    tasks = list(dict.fromkeys(task for one in trainings for step in one.steps for task in step.weights))
    rows: tuple[tuple[str, Callable[[Training], list[Logged]]], ...] = (
        ("Task weight", lambda one: [(step.step, step.weights) for step in one.steps]),
        ("Task loss", lambda one: [(step.step, step.tasks) for step in one.steps]),
        ("γ", lambda one: [(step.step, step.gammas) for step in one.steps]),
        ("λ_eff / λ", _list_multipliers),
    )
    variant = trainings[0].variant
    plot = BalancePlot(
        tuple(f"λ {format_lambda(one.lambda_)}" for one in trainings),
        tuple((label, tuple(_split_by_task(values_of(one)) for one in trainings)) for label, values_of in rows),
        dict(zip(tasks, itertools.cycle(COLOURS))))
    return Figure(f"training_balance_{variant}", _balance_caption(variant, tasks), _draw_balance, plot)


def _split_by_task(values: Sequence[Logged]) -> dict[str, Line]:
    lines: dict[str, Line] = {}
    for task in dict.fromkeys(task for _, by_task in values for task in by_task):
        found = [(step, by_task[task]) for step, by_task in values if task in by_task]
        lines[task] = (tuple(step for step, _ in found), tuple(value for _, value in found))
    return lines


def _draw_balance(plot: BalancePlot, layout: Layout) -> Canvas:
    canvas = make_canvas(layout, _figure_height(len(plot.rows), layout))
    grid = canvas.subplots(len(plot.rows), len(plot.titles), sharex="col", sharey="row", squeeze=False)
    for number, (row, (label, columns)) in enumerate(zip(grid, plot.rows)):
        drawn: list[float] = []
        for axes, lines in zip(row, columns):
            drawn += _draw_tasks(axes, lines, plot.colours)
        row[0].set_ylabel(label)
        factors_matter = number % 2 == 1  # losses and multipliers
        if factors_matter and drawn and min(drawn) > 0 and max(drawn) > WIDE_RANGE * min(drawn):
            _scale_logarithmically(row[0])
        _finish_row(row, "Step" if number == len(plot.rows) - 1 else "")

    for top, bottom, title in zip(grid[0], grid[-1], plot.titles):
        top.set_title(title, loc="left", fontsize=layout.font, fontweight="bold")
        bottom.axhline(1, color="#444444", linewidth=0.6, linestyle=":")
    handles = [Line2D([], [], color=colour, label=escape_label(task)) for task, colour in plot.colours.items()]
    _draw_legend(canvas, handles, layout)
    return canvas


def _scale_logarithmically(axes: Axes) -> None:
    """Make the vertical scale logarithmic, with plain numbers at 1, 2 and 5."""
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _list_multipliers(training: Training) -> list[Logged]:
    offset = 0
    found: list[Logged] = []
    for part in training.parts:
        found += [(step.step + offset, find_multipliers(step, part.job.recipe.modulation)) for step in part.steps]
        offset += part.last_step
    return found


def _draw_tasks(axes: Axes, lines: Mapping[str, Line], colours: Mapping[str, str]) -> list[float]:
    """Draw a line for each task and return the values that are numbers."""
    for task, line in lines.items():
        axes.plot(*line, color=colours[task], linewidth=1.1, marker=".", markersize=2)
    return [value for _, values in lines.values() for value in values if math.isfinite(value)]


def _balance_caption(variant: str, tasks: Sequence[str]) -> str:
    rates = [task for task in tasks if task != DISTORTION]
    against = f" A line for each of the rates {', '.join(rates)}, in its colour." if len(rates) > 1 else ""
    return f"{variant}: weight, loss and γ of each task over steps, and λ_eff/λ.{against}"


def _figure_height(rows: int, layout: Layout) -> float:
    return rows * PANEL_INCHES * (1.0 if layout.wide else 0.8) + 0.7


def _finish_row(row: Iterable[Axes], xlabel: str) -> None:
    for axes in row:
        axes.set_xlabel(xlabel)
        axes.xaxis.set_major_locator(MaxNLocator(3))
        finish_axes(axes)


def _draw_legend(canvas: Canvas, handles: Sequence[Line2D], layout: Layout) -> None:
    canvas.legend(handles=handles, loc="outside lower center", ncols=5 if layout.wide else 3,
                  frameon=False, fontsize=layout.font - 0.8, columnspacing=0.8, handletextpad=0.4)
