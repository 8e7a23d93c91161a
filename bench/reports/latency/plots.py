"""Plots of a latency report as bytes: stages as stacked bars, rate saving against decode time."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from bench.reports.latency.device import MeasuredDevice
from bench.reports.latency.rates import RatePlot
from bench.reports.latency.stages import StageTimes, find_stages, stages_of_cases
from bench.reports.latency.text import conditions_text
from bench.reports.page.canvas import (
    COLOURS,
    MARKERS,
    Figure,
    Layout,
    draw_grid,
    finish_axes,
    open_canvas,
    save_figure,
)
from bench.results.latency_selection import DIRECTIONS, Case
from bench.results.stages import COLOURS as STAGE_COLOURS
from bench.results.stages import UNKNOWN_COLOUR, order_stages

BAR_INCHES = 0.2
WIDE_RANGE = 8.0  # ratio of the largest to the smallest time from which on a scale is logarithmic


def plot_stages(device: MeasuredDevice, layout: Layout) -> Figure | None:
    """Stacked bars, one a variant and direction, under the same conditions; None where no stages were marked."""
    cases = [case for case in device.headline_cases if stages_of_cases([case])]
    cases = [case for case in cases if case.conditions == cases[0].conditions]
    if not cases:
        return None
    names = order_stages(name for times in stages_of_cases(cases) for name in times.seconds)
    rows, columns = (1, 2) if layout.wide else (2, 1)
    height = rows * (BAR_INCHES * len(cases) + 0.5) + 0.35 + 0.15 * (len(names) // 3 + 1)

    with open_canvas("stages", layout, height) as canvas:
        all_axes = canvas.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for axes, direction in zip(all_axes, DIRECTIONS):
            _draw_bars(axes, device, cases, direction, names)
            axes.set_title(direction, loc="left", fontsize=layout.font + 0.5, fontweight="bold")
        all_axes[0].invert_yaxis()
        handles = [Patch(color=STAGE_COLOURS.get(name, UNKNOWN_COLOUR), label=name) for name in names]
        canvas.legend(handles=handles, loc="outside lower center", ncols=5 if layout.wide else 3, frameon=False,
                      fontsize=layout.font - 0.8, handlelength=1, columnspacing=0.8)

        where = conditions_text(cases[0].conditions, device.selection.conditions)
        caption = (f"Stages of encode and decode at {where} on {device.name}: medians over marked passes, which are "
                   "not the passes of the latency table.")
        return save_figure(canvas, f"stages_{layout.name}", caption)


def _draw_bars(axes: Axes, device: MeasuredDevice, cases: Sequence[Case], direction: str,
               names: Sequence[str]) -> None:
    lines = [find_stages(case.measured(direction)) for case in cases]
    starts = [0.0] * len(cases)
    for name in names:
        widths = [_bar_ms(times, name) for times in lines]
        axes.barh(range(len(cases)), widths, left=starts, height=0.75, color=STAGE_COLOURS.get(name, UNKNOWN_COLOUR))
        starts = [start + width for start, width in zip(starts, widths)]
    axes.set_yticks(range(len(cases)), [device.labels[case.name] for case in cases])
    axes.set_xlabel("Time [ms]")
    finish_axes(axes, "x")


def _bar_ms(times: StageTimes | None, name: str) -> float:
    """"rest" can come out slightly below nothing, when two clocks disagree; a bar can't."""
    return 0.0 if times is None else max(0.0, 1000 * times.seconds.get(name, 0.0))


def plot_rate_against_time(device: MeasuredDevice, plot: RatePlot, layout: Layout) -> Figure:
    """Rate saving over decode time; filled markers for BD-rates measured here, hollow ones for published curves."""
    times = [point.decode_ms for point in plot.points]
    with open_canvas("rate_against_time", layout) as canvas:
        axes = canvas.add_subplot()
        for index, point in enumerate(plot.points):
            colour = COLOURS[index % len(COLOURS)]
            axes.plot(point.decode_ms, point.saving_percent, MARKERS[index % len(MARKERS)], color=colour,
                      markerfacecolor="white" if point.published else colour, markersize=layout.font * 0.7,
                      linestyle="none", label=point.label + (" (published rate)" if point.published else ""))
        if max(times) > WIDE_RANGE * min(times):
            axes.set_xscale("log")
        axes.margins(0.15)
        axes.set(xlabel="Decode time [ms]", ylabel="Rate saving [%]")
        draw_grid(axes)
        canvas.legend(loc="outside right center" if layout.wide else "outside lower center",
                      ncols=layout.legend_columns or 1, frameon=False, fontsize=layout.font - 0.8)
        return save_figure(canvas, f"rate_against_time_{layout.name}", _scatter_caption(device, plot))


def _scatter_caption(device: MeasuredDevice, plot: RatePlot) -> str:
    shapes = ", ".join(dict.fromkeys(point.shape for point in plot.points))
    text = (f"Rate saving on Kodak (BD-rate of PSNR against {plot.anchor}, sign turned) over median decode time at "
            f"{shapes} on {device.name}.")
    if any(point.published for point in plot.points):
        text += " Hollow: the rate is of the authors' published curve, the time was measured here on the same model."
    return text + (f" Left out, as they have no BD-rate: {', '.join(plot.left_out)}." if plot.left_out else "")
