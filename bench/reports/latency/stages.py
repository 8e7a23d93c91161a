"""Tables of where the time goes: stages of encode and decode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.reports.latency.tables import DIRECTION, SHAPE, VARIANT, default_cases
from bench.reports.latency.text import Context, condition_headings, number_text, text_column
from bench.reports.page.table import Cell, Column, Table
from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import DIRECTIONS
from bench.results.stages import CODING, order_stages


@dataclass(frozen=True)
class Stages:
    """Medians over the passes in which stages were marked, in seconds.

    Attributes:
        seconds: of each stage.
        total: of the whole passes.
        unmarked: of the samples, which ran without marks.
    """

    seconds: dict[str, float]
    total: float
    unmarked: float

    @property
    def share_of_total(self) -> float:
        """What the stages add up to, of the whole; 1 but for medians, which don't add up exactly."""
        return sum(self.seconds.values()) / self.total

    @property
    def marked_over_unmarked(self) -> float:
        """What marking costs: passes with marks over those without."""
        return self.total / self.unmarked


def stages_of(row: LatencyRow | None) -> Stages | None:
    """The stages of a measured row; None where none were marked."""
    if row is None or not row.stages_s or not row.stage_totals_s or not row.samples_s:
        return None
    return Stages({name: float(np.median(values)) for name, values in row.stages_s.items()},
                  float(np.median(row.stage_totals_s)), float(np.median(row.samples_s)))


def stages(context: Context) -> Table:
    """A line for each variant, direction and conditions; a column for each stage."""
    cases = [case for case in default_cases(context)
             if any(stages_of(case.measured(direction)) for direction in DIRECTIONS)]
    used = [row for case in cases for row in map(case.measured, DIRECTIONS) if stages_of(row)]
    names = order_stages(name for row in used for name in row.stages_s)
    columns = [VARIANT, DIRECTION, *(text_column(f"{_key(name)}_ms", name, "ms, share") for name in names),
               text_column("coder_calls", "coder's calls"), Column("total_ms", "whole", "ms", digits=1),
               Column("sum_percent", "stages' sum", "%", digits=1),
               Column("marked_percent", "whole / unmarked", "%", digits=1)]
    rows: list[tuple[Cell, ...]] = []
    headings = []
    by_case = dict(condition_headings(cases, context.selection.conditions))
    for index, case in enumerate(cases):
        if index in by_case:
            headings.append((len(rows), by_case[index]))
        for direction in DIRECTIONS:
            row = case.measured(direction)
            found = stages_of(row)
            if found is not None:
                rows.append((context.labels[case.name], direction, *(_stage_text(found, name) for name in names),
                             str(row.stage_calls.get(CODING, 0)), 1000 * found.total, 100 * found.share_of_total,
                             100 * found.marked_over_unmarked))
    notes = ("Medians over passes with stages marked, and their share of these passes. Every moment belongs to the "
             "innermost stage, \"rest\" is what no stage holds; the sum differs from the whole only as medians do.",
             "whole / unmarked: marked passes over the median of the samples, which run without marks.",
             "Entropy coding includes the way of the symbols to the host and back.")
    return context.table("stages", "Stages", columns, rows, used, notes, headings)


def _stage_text(found: Stages, name: str) -> str | None:
    if name not in found.seconds:
        return None
    seconds = found.seconds[name]
    return f"{number_text(1000 * seconds)} ({100 * seconds / found.total:.0f} %)"


def _key(name: str) -> str:
    return name.replace(" ", "_")


def stage_values(context: Context) -> Table:
    """A line for each stage, with every number apart."""
    columns = (VARIANT, SHAPE, Column("batch", "Batch", digits=0), DIRECTION, Column("stage", "Stage"),
               Column("ms", "median", "ms", digits=3), Column("share_percent", "share", "%", digits=1),
               Column("calls", "calls", digits=0), Column("passes", "passes", digits=0),
               Column("peak_mb", "peak", "MB", digits=1))
    rows, used = [], []
    for case in default_cases(context):
        for direction in DIRECTIONS:
            row = case.measured(direction)
            found = stages_of(row)
            if found is None:
                continue
            used.append(row)
            for name in order_stages(found.seconds):
                seconds, peak = found.seconds[name], row.stage_peak_alloc_bytes.get(name)
                rows.append((context.labels[case.name], case.conditions.shape, case.conditions.batch, direction, name,
                             1000 * seconds, 100 * seconds / found.total, row.stage_calls.get(name),
                             len(row.stages_s[name]), None if peak is None else peak / 1e6))
    return context.table("stage_values", "All stages", columns, rows, used)
