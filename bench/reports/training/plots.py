"""Plots of a training report as bytes: curves of two trainings side by side, and what balancing did."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from bench.reports.page.canvas import COLOURS, Figure, Layout, finish_axes, open_canvas, save_figure
from bench.reports.training.tables import format_lambda
from bench.results.training_logs import LoggedStep, Training

LOSS_MINIMUM = -1.0  # the balancer's, of every task
EPSILON = 1e-8
DISTORTION = "distortion"
WIDE_RANGE = 8.0  # ratio of the largest to the smallest value from which on a scale is logarithmic
PANEL_INCHES = 1.5
CURVES = (("loss", "Held-out loss"), ("bpp", "Held-out rate [bpp]"), ("psnr_db", "Held-out PSNR [dB]"))
Logged = tuple[int, Mapping[str, float]]  # a step, and a value for each task
MULTIPLIER_NOTE = (
    "Where tasks are balanced, λ_eff/λ is p_D/p_R: how much more distortion counts against a rate in the gradient than "
    "λ says, with p = z/(L + 1 + 1e-8) up to a common factor, z a task's weight and L its loss, both after the logged "
    "step. Task losses are of that step's batch alone, hence the jumps."
)


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


def plot_curves(standard: Sequence[Training], balanced: Sequence[Training], layout: Layout) -> Figure:
    """Held-out loss, rate and PSNR over steps and PSNR over rate: left the standard trainings, right the balanced ones.

    Args:
        standard, balanced: trainings of one variant each, at least one, by λ.
    """
    lambdas = sorted({one.lambda_ for one in (*standard, *balanced)})
    colours = dict(zip(lambdas, itertools.cycle(COLOURS)))
    name = f"training_curves_{balanced[0].variant}"
    with open_canvas(name, layout, _figure_height(4, layout)) as canvas:
        axes = canvas.subplots(4, 2, sharex="row", sharey="row", squeeze=False)
        for column, trainings in zip(axes.T, (standard, balanced)):
            column[0].set_title(trainings[0].variant, loc="left", fontsize=layout.font, fontweight="bold")
            for training in trainings:
                _draw_training(column, training, colours[training.lambda_])
        for training in standard:
            _draw_training(axes[:, 1], training, colours[training.lambda_], dashed=True)

        for row, (_, ylabel), xlabel in zip(axes, (*CURVES, CURVES[2]), ("", "", "Step", CURVES[1][1])):
            row[0].set_ylabel(ylabel)
            _finish_row(row, xlabel)

        handles = [Line2D([], [], color=colour, marker=".", label=f"λ {format_lambda(one)}")
                   for one, colour in colours.items()]
        handles.append(Line2D([], [], color="#444444", linestyle="--", linewidth=0.8,
                              label=f"{standard[0].variant} again"))
        _draw_legend(canvas, handles, layout)
        caption = (f"Left: {standard[0].variant}, trained for λ·255²·MSE + bpp; right: {balanced[0].variant}, with the "
                   "left curves dashed; axes are the same. Held-out means at each validation; bottom: each path from "
                   "validation to validation, the last one as a circle.")
        return save_figure(canvas, f"{name}_{layout.name}", caption)


def _draw_training(column: Iterable[Axes], training: Training, colour: str, dashed: bool = False) -> None:
    """Draw one training into the four panels of a column."""
    look: dict[str, Any] = {"color": colour, "marker": ".", "markersize": 3.5, "linewidth": 1.2}
    if dashed:
        look = {"color": colour, "linestyle": "--", "linewidth": 0.8, "alpha": 0.8}
    *over_steps, over_rate = column
    validations = training.validations
    for axes, (key, _) in zip(over_steps, CURVES):
        axes.plot([one.step for one in validations], [getattr(one, key) for one in validations], **look)
    over_rate.plot([one.bpp for one in validations], [one.psnr_db for one in validations], **look)
    if validations and not dashed:
        over_rate.plot(validations[-1].bpp, validations[-1].psnr_db, "o", color=colour, markersize=4.5)


def plot_balance(trainings: Sequence[Training], layout: Layout) -> Figure:
    """Weights, losses and γ of tasks and λ_eff/λ over steps, a column for each λ.

    Args:
        trainings: of one variant, each with task weights in its log, by λ.
    """
    tasks = list(dict.fromkeys(task for one in trainings for step in one.steps for task in step.weights))
    colours = dict(zip(tasks, itertools.cycle(COLOURS)))
    rows: tuple[tuple[str, Callable[[Training], list[Logged]]], ...] = (
        ("Task weight", lambda one: [(step.step, step.weights) for step in one.steps]),
        ("Task loss", lambda one: [(step.step, step.tasks) for step in one.steps]),
        ("γ", lambda one: [(step.step, step.gammas) for step in one.steps]),
        (r"$λ_\mathrm{eff}$ / λ", _list_multipliers),
    )
    name = f"training_balance_{trainings[0].variant}"
    with open_canvas(name, layout, _figure_height(len(rows), layout)) as canvas:
        grid = canvas.subplots(len(rows), len(trainings), sharex="col", sharey="row", squeeze=False)
        for number, (row, (label, values_of)) in enumerate(zip(grid, rows)):
            drawn: list[float] = []
            for axes, training in zip(row, trainings):
                drawn += _draw_tasks(axes, values_of(training), colours)
            row[0].set_ylabel(label)
            factors_matter = number % 2 == 1  # losses and multipliers
            if factors_matter and drawn and min(drawn) > 0 and max(drawn) > WIDE_RANGE * min(drawn):
                _scale_logarithmically(row[0])
            _finish_row(row, "Step" if number == len(rows) - 1 else "")

        for top, bottom, training in zip(grid[0], grid[-1], trainings):
            top.set_title(f"λ {format_lambda(training.lambda_)}", loc="left", fontsize=layout.font, fontweight="bold")
            bottom.axhline(1, color="#444444", linewidth=0.6, linestyle=":")
        _draw_legend(canvas, [Line2D([], [], color=colours[task], label=task) for task in tasks], layout)
        return save_figure(canvas, f"{name}_{layout.name}", _balance_caption(trainings[0].variant, tasks))


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


def _draw_tasks(axes: Axes, values: Sequence[Logged], colours: Mapping[str, str]) -> list[float]:
    """Draw a line for each task and return the values that are numbers."""
    drawn = []
    for task in dict.fromkeys(task for _, by_task in values for task in by_task):
        line = [(step, by_task[task]) for step, by_task in values if task in by_task]
        axes.plot(*zip(*line), color=colours[task], linewidth=1.1, marker=".", markersize=2)
        drawn += [value for _, value in line if math.isfinite(value)]
    return drawn


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
