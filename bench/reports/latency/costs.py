"""Tables of memory and complexity. Pure functions of the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

import numpy as np

from bench.common.text import AT_LEAST, mark_lower_bound
from bench.reports.latency.device import MeasuredDevice, rows_of_cases
from bench.reports.latency.tables import REMARK, identity_columns
from bench.reports.latency.text import MB, condition_headings, conditions_text, to_mb
from bench.reports.page.table import Cell, Column, Table, group_records
from bench.results.latency_figures import (
    find_largest,
    forward_kmac_per_pixel,
    kmac_per_pixel,
    list_uncounted,
    peak_bytes,
)
from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import DIRECTIONS, Case, conditions_of
from bench.results.rows import OK

MEGAPIXEL = 1e6


def memory_table(device: MeasuredDevice) -> Table:
    """Peaks of both directions under all conditions."""
    columns: list[Column[Case]] = [
        *identity_columns(device, ["variant"], attrgetter("any")),
        Column("weights_mb", "weights", "MB", digits=1, of=lambda case: to_mb(case.any.weights_bytes)),
        *(column for direction in DIRECTIONS for column in _peak_columns(direction)),
        Column("peak_vs_base_percent", f"peak vs {device.base_label}", "%", digits=1, signed=True,
               of=lambda case: _change_percent(device, case, peak_bytes)),
        Column("peak_rss_mb", "process peak", "MB", digits=0,
               of=lambda case: to_mb(find_largest(row.peak_rss_bytes for row in case.rows if row.status == OK))),
        Column("rss_mb", "process before", "MB", digits=0,
               of=lambda case: to_mb(find_largest(row.rss_bytes for row in case.rows if row.status == OK))),
        REMARK,
    ]
    notes = ("Peaks are of tensors, weights included, for this model alone: on a GPU as torch's allocator tells them, "
             "\"reserved\" being what it held; on a CPU the running sum of what torch's profiler sees allocated and "
             "freed. The process holds all variants that took turns, and the "
             "libraries: a pass itself takes what its peak has beyond \"before\". MB: 10⁶ bytes.",
             f"peak vs {device.base_label}: of the direction that takes more.")
    cases = device.default_cases
    headings = condition_headings([case.conditions for case in cases], device.selection.conditions)
    return device.make_table("memory", "Memory", columns, cases, rows_of_cases(cases), notes, headings)


def _peak_columns(direction: str) -> list[Column[Case]]:
    def find_largest_stage(case: Case) -> str | None:
        peaks = getattr(case.measured(direction), "stage_peak_alloc_bytes", {})
        return max(peaks, key=peaks.__getitem__, default=None)

    return [Column(f"{direction}_peak_mb", f"{direction} peak", "MB", digits=1,
                   of=lambda case: to_mb(getattr(case.measured(direction), "peak_alloc_bytes", None))),
            Column(f"{direction}_reserved_mb", "reserved", "MB", digits=1,
                   of=lambda case: to_mb(getattr(case.measured(direction), "peak_reserved_bytes", None))),
            Column(f"{direction}_peak_stage", "in stage", of=find_largest_stage)]


def _change_percent(device: MeasuredDevice, case: Case, value_of: Callable[[Case], float | None]) -> float | None:
    """What ``value_of`` a case differs by from that of the base."""
    base = device.find_base(case)
    value, reference = value_of(case), None if base is None else value_of(base)
    return None if value is None or not reference else 100 * (value / reference - 1)


def memory_slope_table(device: MeasuredDevice) -> Table:
    """What each megapixel adds to the peak, of variants measured at two sizes or more."""
    measured = [row for row in rows_of_cases(device.default_cases) if row.status == OK]
    variants = group_records(measured, lambda row: (
        row.name, *attrgetter("batch", "threads", "deterministic")(conditions_of(row))))

    columns: list[Column[list[LatencyRow]]] = [
        *identity_columns(device, ["variant"], lambda rows: rows[0]),
        Column("shapes", "Shapes", of=_shapes_text),
        *map(_slope_column, DIRECTIONS),
    ]
    notes = ["Least squares through the peaks over the pixels of a pass."]
    if any(column.of(rows) is None for column in columns for rows in variants.values()):
        notes.append("N/A: measured at one size only, so that there is no slope.")
    return device.make_table("memory_slope", "Memory per megapixel", columns, variants.values(), measured, notes)


def _shapes_text(rows: Sequence[LatencyRow]) -> str:
    every = dict.fromkeys(map(conditions_of, rows))
    return ", ".join(dict.fromkeys(conditions_text(one, [one]) for one in every))


def _slope_column(direction: str) -> Column[list[LatencyRow]]:
    return Column(f"{direction}_mb_per_megapixel", direction, "MB/megapixel", digits=1, missing="N/A",
                  of=lambda rows: slope_mb_per_megapixel([row for row in rows if row.direction == direction]))


def slope_mb_per_megapixel(rows: Sequence[LatencyRow]) -> float | None:
    """Slope of peaks over sizes of one image, as those of a batch are coded one after another; None below two sizes."""
    peaks = np.array([(row.width * row.height / MEGAPIXEL, row.peak_alloc_bytes / MB) for row in rows
                      if row.peak_alloc_bytes is not None]).reshape(-1, 2)
    if len(set(peaks[:, 0])) < 2:
        return None
    return float(np.polyfit(peaks[:, 0], peaks[:, 1], 1)[0])


def complexity_table(device: MeasuredDevice) -> Table:
    """Parameters and operations of every variant."""
    columns: list[Column[Case]] = [
        *identity_columns(device, ["variant"], attrgetter("any")),
        Column("parameters", "Parameters", digits=0, of=attrgetter("any.parameters")),
        Column("parameters_vs_base_percent", f"vs {device.base_label}", "%", digits=1, signed=True,
               of=lambda case: _change_percent(device, case, attrgetter("any.parameters"))),
        Column("unused_parameters", "unused", digits=0, of=attrgetter("any.unused_parameters")),
        *(column for direction in DIRECTIONS for column in _operation_columns(device, direction)),
        Column("forward_kmac_per_pixel", "forward", "kMAC/pixel", digits=2, of=lambda case: mark_lower_bound(
            forward_kmac_per_pixel(case), any(map(list_uncounted, case.measured_rows)), digits=2)),
        Column("shape", "counted at", of=lambda case: conditions_text(case.conditions, device.selection.conditions)),
        Column("uncounted", "Operators without a count", wide=True,
               of=lambda case: ", ".join(sorted({name for row in case.rows for name in row.uncounted})) or None),
    ]
    notes = ("kMAC/pixel: thousands of multiply-accumulates of convolutions, matrix products, attention and registered "
             "operators, over the original pixels. Encoder and decoder each walk the context model, so that their sum "
             "is more than a forward pass. Forward: as the published code computes it, with an attention whose result "
             "nothing reads; not known where transforms have other names than HPCM's.",
             "Unused parameters are those that neither direction reads. Operators without a count do more than one "
             "operation a value, and are not in the figures: most a few (normalisations, pooling); where one may do "
             f"more, {AT_LEAST} stands before the figure.")
    cases = device.headline_cases
    return device.make_table("complexity", "Complexity", columns, cases, rows_of_cases(cases), notes)


def _operation_columns(device: MeasuredDevice, direction: str) -> list[Column[Case]]:
    def mark(case: Case) -> Cell:
        row = case.measured(direction)
        return mark_lower_bound(kmac_per_pixel(row), bool(list_uncounted(row)), digits=2)

    def count(case: Case) -> float | None:
        row = case.measured(direction)
        return None if list_uncounted(row) else kmac_per_pixel(row)

    return [Column(f"{direction}_kmac_per_pixel", direction, "kMAC/pixel", digits=2, of=mark),
            Column(f"{direction}_kmac_vs_base_percent", f"vs {device.base_label}", "%", digits=1, signed=True,
                   of=lambda case: _change_percent(device, case, count))]
