"""Tables of memory and complexity. Pure functions of the rows."""

from __future__ import annotations

import numpy as np

from bench.reports.latency.tables import REMARK, VARIANT, default_cases, headline_cases
from bench.reports.latency.text import Context, condition_headings, conditions_text, remark_text
from bench.reports.page.table import Cell, Column, Table
from bench.results.latency_figures import forward_kmac_per_pixel, highest, kmac_per_pixel, peak_bytes
from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import BASE, DIRECTIONS, Case
from bench.results.rows import OK

MB, MEGAPIXEL = 1e6, 1e6


def memory(context: Context) -> Table:
    """Peaks of both directions under all conditions."""
    columns = [VARIANT, Column("weights_mb", "weights", "MB", digits=1)]
    for direction in DIRECTIONS:
        columns += [Column(f"{direction}_peak_mb", f"{direction} peak", "MB", digits=1),
                    Column(f"{direction}_reserved_mb", "reserved", "MB", digits=1),
                    Column(f"{direction}_peak_stage", "in stage")]
    columns += [Column("peak_vs_base_percent", f"peak vs {context.base_label}", "%", digits=1, signed=True),
                Column("peak_rss_mb", "process peak", "MB", digits=0),
                Column("rss_mb", "process before", "MB", digits=0), REMARK]
    cases, rows = default_cases(context), []
    for case in cases:
        cells: list[Cell] = [context.labels[case.name], _mb(case.any.weights_bytes)]
        for direction in DIRECTIONS:
            row = case.measured(direction)
            stages = {} if row is None else row.stage_peak_alloc_bytes
            cells += [*((None, None) if row is None else (_mb(row.peak_alloc_bytes), _mb(row.peak_reserved_bytes))),
                      max(stages, key=stages.__getitem__, default=None)]
        base = context.selection.case(case.conditions, BASE)
        change = None if base is None or case.name == BASE else _change(peak_bytes(case), peak_bytes(base))
        measured = [row for row in case.rows if row.status == OK]
        rows.append((*cells, change, _mb(highest(row.peak_rss_bytes for row in measured)),
                     _mb(highest(row.rss_bytes for row in measured)), remark_text(case)))
    notes = ("Peaks are of tensors, weights included, as torch's allocator sees them for this model alone; "
             "\"reserved\" is what the GPU's allocator held. The process holds all variants that took turns, and the "
             "libraries: a pass itself takes what its peak has beyond \"before\". MB: 10⁶ bytes.",
             f"peak vs {context.base_label}: of the direction that takes more.")
    headings = condition_headings(cases, context.selection.conditions)
    return context.table("memory", "Memory", columns, rows, [row for case in cases for row in case.rows], notes,
                         headings)


def _mb(size: int | None) -> float | None:
    return None if size is None else size / MB


def _change(value: float | None, reference: float | None) -> float | None:
    """Change in percent."""
    return None if value is None or not reference else 100 * (value / reference - 1)


def memory_slope(context: Context) -> Table:
    """What each megapixel adds to the peak, of variants measured at two sizes or more."""
    columns = (VARIANT, Column("shapes", "Shapes"),
               *(Column(f"{direction}_mb_per_megapixel", direction, "MB/megapixel", digits=1, missing="N/A")
                 for direction in DIRECTIONS))
    groups: dict[tuple, list[Case]] = {}
    for case in default_cases(context):
        conditions = case.conditions
        groups.setdefault((case.name, conditions.batch, conditions.threads, conditions.deterministic), []).append(case)
    rows, used = [], []
    for (name, *_), cases in groups.items():
        measured = [row for case in cases for row in case.rows if row.status == OK]
        if not measured:
            continue
        used += measured
        shapes = dict.fromkeys(conditions_text(case.conditions, [case.conditions]) for case in cases
                               if any(row.status == OK for row in case.rows))
        rows.append((context.labels[name], ", ".join(shapes), *(
            slope_mb_per_megapixel([row for row in measured if row.direction == direction])
            for direction in DIRECTIONS)))
    notes = ["Least squares through the peaks over the pixels of a pass."]
    if any(None in row for row in rows):
        notes.append("N/A: measured at one size only, so that there is no slope.")
    return context.table("memory_slope", "Memory per megapixel", columns, rows, used, notes)


def slope_mb_per_megapixel(rows: list[LatencyRow]) -> float | None:
    """Slope of peaks over sizes of one image, as those of a batch are coded one after another; None below two sizes."""
    points = [(row.width * row.height / MEGAPIXEL, row.peak_alloc_bytes / MB) for row in rows
              if row.peak_alloc_bytes is not None]
    sizes, peaks = zip(*points) if points else ((), ())
    return float(np.polyfit(sizes, peaks, 1)[0]) if len(set(sizes)) > 1 else None


def complexity(context: Context) -> Table:
    """Parameters and operations of every variant."""
    against = f"vs {context.base_label}"
    columns = [VARIANT, Column("parameters", "Parameters", digits=0),
               Column("parameters_vs_base_percent", against, "%", digits=1, signed=True),
               Column("unused_parameters", "unused", digits=0)]
    for direction in DIRECTIONS:
        columns += [Column(f"{direction}_kmac_per_pixel", direction, "kMAC/pixel", digits=2),
                    Column(f"{direction}_kmac_vs_base_percent", against, "%", digits=1, signed=True)]
    columns += [Column("forward_kmac_per_pixel", "forward", "kMAC/pixel", digits=2), Column("shape", "counted at"),
                Column("uncounted", "Operators without a count", wide=True)]
    cases = headline_cases(context)
    rows = []
    for case in cases:
        base = context.selection.case(case.conditions, BASE)
        base = None if case.name == BASE else base
        cells: list[Cell] = [context.labels[case.name], case.any.parameters,
                             _change(case.any.parameters, base and base.any.parameters), case.any.unused_parameters]
        for direction in DIRECTIONS:
            own = kmac_per_pixel(case.measured(direction))
            cells += [own, _change(own, kmac_per_pixel(base.measured(direction)) if base else None)]
        uncounted = sorted({name for row in case.rows for name in row.uncounted})
        where = conditions_text(case.conditions, context.selection.conditions)
        rows.append((*cells, forward_kmac_per_pixel(case), where, ", ".join(uncounted) or None))
    notes = ("kMAC/pixel: thousands of multiply-accumulates of convolutions, matrix products, attention and registered "
             "operators, over the original pixels. Encoder and decoder each walk the context model, so that their sum "
             "is more than a forward pass. Forward: as the published code computes it, with an attention whose result "
             "nothing reads; not known where transforms have other names than HPCM's.",
             "Unused parameters are those that neither direction reads. Operators without a count do more than one "
             "operation a value, and are not in the figures.")
    return context.table("complexity", "Complexity", columns, rows, [row for case in cases for row in case.rows], notes)
