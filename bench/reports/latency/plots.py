"""Plots of a latency report: stages as stacked bars, rate saving against decode time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch

from bench.reports.latency.device import MeasuredDevice
from bench.reports.latency.rates import RatePlot, RatePoint
from bench.reports.latency.stages import StageTimes, find_stages, stages_of_cases
from bench.reports.latency.text import conditions_text
from bench.reports.page.canvas import COLOURS, MARKERS, draw_grid, escape_label, finish_axes, make_canvas
from bench.reports.page.figures import Figure, Layout
from bench.results.latency_selection import DIRECTIONS, Case
from bench.results.stages import COLOURS as STAGE_COLOURS
from bench.results.stages import UNKNOWN_COLOUR, order_stages

BAR_INCHES = 0.2
WIDE_RANGE = 8.0  # ratio of the largest to the smallest time from which on a scale is logarithmic


@dataclass(frozen=True)
class StagesPlot:
    """All that one plot shows.

    Attributes:
        labels: of the bars.
        colours: stage to its colour, in order.
        panels: direction, and for each stage its time in ms in every bar.
    """

    labels: tuple[str, ...]
    colours: dict[str, str]
    panels: tuple[tuple[str, dict[str, tuple[float, ...]]], ...]


def plot_stages(device: MeasuredDevice) -> Figure | None:
    """Stacked bars, one a variant and direction, under the same conditions; None where no stages were marked."""
    cases = [case for case in device.headline_cases if stages_of_cases([case])]
    cases = [case for case in cases if case.conditions == cases[0].conditions]
    if not cases:
        return None

    colours = {name: STAGE_COLOURS.get(name, UNKNOWN_COLOUR)
               for name in order_stages(name for times in stages_of_cases(cases) for name in times.seconds)}
    panels = tuple((direction, _measure_bars(cases, direction, list(colours))) for direction in DIRECTIONS)
    where = conditions_text(cases[0].conditions, device.selection.conditions)
    caption = (f"Stages of encode and decode at {where} on {device.name}: medians over marked passes, which are "
               "not the passes of the latency table.")
    plot = StagesPlot(tuple(device.labels[case.name] for case in cases), colours, panels)
    return Figure("stages", caption, _draw_stages, plot)


def _measure_bars(cases: Sequence[Case], direction: str, names: Sequence[str]) -> dict[str, tuple[float, ...]]:
    bars = [find_stages(case.measured(direction)) for case in cases]
    return {name: tuple(_bar_ms(times, name) for times in bars) for name in names}


def _draw_stages(plot: StagesPlot, layout: Layout) -> Canvas:
    rows, columns = (1, 2) if layout.wide else (2, 1)
    height = rows * (BAR_INCHES * len(plot.labels) + 0.5) + 0.35 + 0.15 * (len(plot.colours) // 3 + 1)
    canvas = make_canvas(layout, height)
    all_axes = canvas.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, (direction, times_ms) in zip(all_axes, plot.panels):
        _draw_bars(axes, plot, times_ms)
        axes.set_title(direction, loc="left", fontsize=layout.font + 0.5, fontweight="bold")
    all_axes[0].invert_yaxis()
    handles = [Patch(color=colour, label=escape_label(name)) for name, colour in plot.colours.items()]
    canvas.legend(handles=handles, loc="outside lower center", ncols=5 if layout.wide else 3, frameon=False,
                  fontsize=layout.font - 0.8, handlelength=1, columnspacing=0.8)
    return canvas


def _draw_bars(axes: Axes, plot: StagesPlot, times_ms: Mapping[str, Sequence[float]]) -> None:
    places = range(len(plot.labels))
    starts = [0.0] * len(plot.labels)
    for name, widths in times_ms.items():
        axes.barh(places, widths, left=starts, height=0.75, color=plot.colours[name])
        starts = [start + width for start, width in zip(starts, widths)]
    axes.set_yticks(places, list(map(escape_label, plot.labels)))
    axes.set_xlabel("Time [ms]")
    finish_axes(axes, "x")


def _bar_ms(times: StageTimes | None, name: str) -> float:
    """"rest" can come out slightly below nothing, when two clocks disagree; a bar can't."""
    return 0.0 if times is None else max(0.0, 1000 * times.seconds.get(name, 0.0))


def plot_rate_against_time(device: MeasuredDevice, plot: RatePlot) -> Figure:
    """Rate saving over decode time; filled markers for BD-rates measured here, hollow ones for published curves."""
    return Figure("rate_against_time", _scatter_caption(device, plot), _draw_points, plot.points)


def _draw_points(points: Sequence[RatePoint], layout: Layout) -> Canvas:
    times = [point.decode_ms for point in points]
    canvas = make_canvas(layout)
    axes = canvas.add_subplot()
    for index, point in enumerate(points):
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(point.decode_ms, point.saving_percent, MARKERS[index % len(MARKERS)], color=colour,
                  markerfacecolor="white" if point.published else colour, markersize=layout.font * 0.7,
                  linestyle="none", label=escape_label(point.label + (" (published rate)" if point.published else "")))
    if max(times) > WIDE_RANGE * min(times):
        axes.set_xscale("log")
    axes.margins(0.15)
    axes.set(xlabel="Decode time [ms]", ylabel="Rate saving [%]")
    draw_grid(axes)
    canvas.legend(loc="outside right center" if layout.wide else "outside lower center",
                  ncols=layout.legend_columns or 1, frameon=False, fontsize=layout.font - 0.8)
    return canvas


def _scatter_caption(device: MeasuredDevice, plot: RatePlot) -> str:
    shapes = ", ".join(dict.fromkeys(point.shape for point in plot.points))
    text = (f"Rate saving on Kodak (BD-rate of PSNR against {plot.anchor}, sign turned) over median decode time at "
            f"{shapes} on {device.name}.")
    if any(point.published for point in plot.points):
        text += " Hollow: the rate is of the authors' published curve, the time was measured here on the same model."
    return text + (f" Left out, as they have no BD-rate: {', '.join(plot.left_out)}." if plot.left_out else "")
