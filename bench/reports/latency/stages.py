"""Tables of where the time goes: stages of encode and decode."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from bench.reports.latency.device import MeasuredDevice
from bench.reports.latency.tables import identity_columns, text_column
from bench.reports.latency.text import condition_headings, number_text, to_mb
from bench.reports.page.table import Column, Table
from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import DIRECTIONS, Case, conditions_of
from bench.results.stages import CODING, order_stages


@dataclass(frozen=True)
class StageTimes:
    """Medians over the passes in which stages were marked, in seconds.

    Attributes:
        row: what was measured.
        seconds: of each stage.
        total: of the whole passes.
        unmarked: of the samples, which ran without marks.
    """

    row: LatencyRow
    seconds: dict[str, float]
    total: float
    unmarked: float


@dataclass(frozen=True)
class OneStage:
    """One stage of the stages' times."""

    times: StageTimes
    name: str


def find_stages(row: LatencyRow | None) -> StageTimes | None:
    """The times of stages in a measured row; None where none were marked."""
    if row is None or not row.stages_s or not row.stage_totals_s or not row.samples_s:
        return None
    return StageTimes(row, {name: float(np.median(values)) for name, values in row.stages_s.items()},
                      float(np.median(row.stage_totals_s)), float(np.median(row.samples_s)))


def stages_of_cases(cases: Iterable[Case]) -> list[StageTimes]:
    """The times of stages in both directions of all ``cases``, where they were marked."""
    found = [find_stages(case.measured(direction)) for case in cases for direction in DIRECTIONS]
    return [times for times in found if times is not None]


def stages_table(device: MeasuredDevice) -> Table:
    """A line for each variant, direction and conditions; a column for each stage."""
    lines = stages_of_cases(device.default_cases)
    names = order_stages(name for times in lines for name in times.seconds)
    columns: list[Column[StageTimes]] = [
        *identity_columns(device, ["variant", "direction"], attrgetter("row")),
        *map(_stage_column, names),
        text_column("coder_calls", "coder's calls", of=lambda times: str(times.row.stage_calls.get(CODING, 0))),
        Column("total_ms", "whole", "ms", digits=1, of=lambda times: 1000 * times.total),
        Column("sum_percent", "stages' sum", "%", digits=1,
               of=lambda times: 100 * (sum(times.seconds.values()) / times.total)),
        Column("marked_percent", "whole / unmarked", "%", digits=1,
               of=lambda times: 100 * (times.total / times.unmarked)),
    ]
    notes = ("Medians over passes with stages marked, and their share of these passes. Every moment belongs to the "
             "innermost stage, \"rest\" is what no stage holds; the sum differs from the whole only as medians do.",
             "whole / unmarked: marked passes over the median of the samples, which run without marks.",
             "Entropy coding includes the way of the symbols to the host and back.")
    headings = condition_headings([conditions_of(times.row) for times in lines], device.selection.conditions)
    return device.make_table("stages", "Stages", columns, lines, [times.row for times in lines], notes, headings)


def _stage_column(name: str) -> Column[StageTimes]:
    def share_text(times: StageTimes) -> str | None:
        if name not in times.seconds:
            return None
        seconds = times.seconds[name]
        return f"{number_text(1000 * seconds)} ({100 * seconds / times.total:.0f} %)"

    return text_column(f"{name.replace(' ', '_')}_ms", name, "ms, share", of=share_text)


def stage_values_table(device: MeasuredDevice) -> Table:
    """A line for each stage, with every number apart."""
    lines = stages_of_cases(device.default_cases)
    columns: list[Column[OneStage]] = [
        *identity_columns(device, ["variant", "shape", "batch", "direction"], attrgetter("times.row")),
        Column("stage", "Stage", of=attrgetter("name")),
        Column("ms", "median", "ms", digits=3, of=lambda one: 1000 * one.times.seconds[one.name]),
        Column("share_percent", "share", "%", digits=1,
               of=lambda one: 100 * one.times.seconds[one.name] / one.times.total),
        Column("calls", "calls", digits=0, of=lambda one: one.times.row.stage_calls.get(one.name)),
        Column("passes", "passes", digits=0, of=lambda one: len(one.times.row.stages_s[one.name])),
        Column("peak_mb", "peak", "MB", digits=1,
               of=lambda one: to_mb(one.times.row.stage_peak_alloc_bytes.get(one.name))),
    ]
    single = [OneStage(times, name) for times in lines for name in order_stages(times.seconds)]
    return device.make_table("stage_values", "All stages", columns, single, [times.row for times in lines])
