"""Tables of times: variants, configurations, every number apart, failures; and what the claims of cost came to."""

from __future__ import annotations

from collections.abc import Iterable

from bench.claims.catalogue import COST_UNITS
from bench.claims.judgement import is_marked
from bench.claims.result import Judgement
from bench.metrics.statistics.timing import Ratio, summarise_times
from bench.reports.claims.tables import PREDICTED_NOTE, claim_columns
from bench.reports.claims.text import MARK_NOTE, Names
from bench.reports.latency.text import (
    Context,
    base_note,
    condition_headings,
    failure_text,
    ratio_text,
    remark_text,
    text_column,
    times_text,
)
from bench.reports.page.table import Cell, Column, Table
from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import BASE, DEFAULT, DIRECTIONS, Case, compare
from bench.results.rows import OK

VARIANT = Column("variant", "Variant")
CONFIGURATION = Column("configuration", "Configuration")
SHAPE = Column("shape", "Shape")
DIRECTION = Column("direction", "Direction")
REMARK = Column("remark", "Remark", wide=True)
CLAIM_KEYS = ("claim", "variant", "what", "versus", "where", "claimed", "kind", "measured", "interval", "verdict",
              "reason", "note", "contradicts", "source")  # of the columns of the claims' report


def default_cases(context: Context) -> list[Case]:
    """All cases of the default configuration."""
    return [case for case in context.selection.cases if case.configuration == DEFAULT]


def headline_cases(context: Context) -> list[Case]:
    """Of every variant the measured case under the first conditions: the usual shape, else the smallest."""
    chosen: dict[str, Case] = {}
    for case in default_cases(context):
        if any(row.status == OK for row in case.rows):
            chosen.setdefault(case.name, case)
    return list(chosen.values())


def latency(context: Context) -> Table:
    """A line for each variant under all conditions: both directions' times and their ratio to the base."""
    columns = [VARIANT, Column("weights", "Weights"), Column("bpp", "bpp", digits=3)]
    for direction in DIRECTIONS:
        columns += [text_column(f"{direction}_ms", f"{direction}, median (p10–p90)", "ms"),
                    text_column(f"{direction}_vs_base", f"vs {context.base_label}"),
                    Column(f"{direction}_first_ms", "first call", "ms", digits=0)]
    columns += [text_column("samples", "n"), REMARK]
    cases, rows = default_cases(context), []
    for case in cases:
        cells: list[Cell] = [context.labels[case.name], case.any.weights, case.any.bpp]
        for direction in DIRECTIONS:
            row = case.measured(direction)
            first_s = None if row is None else row.first_s
            cells += [times_text(row), _versus_base(context, case, row),
                      None if first_s is None else 1000 * first_s]
        numbers = dict.fromkeys(len(row.samples_s) for row in case.rows if row.status == OK)
        rows.append((*cells, " / ".join(map(str, numbers)) or None, remark_text(case)))
    headings = condition_headings(cases, context.selection.conditions)
    return context.table("latency", "Latency", columns, rows, [row for case in cases for row in case.rows],
                         (base_note(context.base_label),), headings)


def base_ratio(context: Context, row: LatencyRow | None) -> Ratio | None:
    """A row against the base in the default configuration that took turns with it."""
    if row is None or (row.name, row.configuration) == (BASE, DEFAULT):
        return None
    return compare(row, context.selection.in_turns(row, BASE))


def _versus_base(context: Context, case: Case, row: LatencyRow | None) -> str | None:
    if row is None or not context.has_base:
        return None
    if case.name == BASE:
        return "1"
    return ratio_text(base_ratio(context, row)) or "not in turns"


def timings(context: Context) -> Table:
    """A line for each measured row, with every number apart."""
    columns = (VARIANT, CONFIGURATION, SHAPE, Column("batch", "Batch", digits=0), DIRECTION,
               Column("samples", "n", digits=0), *(Column(key, title, "ms", digits=3) for key, title in (
                   ("median_ms", "median"), ("median_low_ms", "95 % from"), ("median_high_ms", "to"),
                   ("p10_ms", "p10"), ("p90_ms", "p90"), ("first_ms", "first call"))),
               Column("warmup_calls", "warm-up calls", digits=0), Column("vs_base", "vs base", digits=3),
               Column("vs_base_low", "95 % from", digits=3), Column("vs_base_high", "to", digits=3),
               Column("vs_base_differs", "differs"), Column("session", "Session"), Column("measured_at", "Measured"))
    used = [row for row in context.selection.rows if row.status == OK]
    rows = [(*identity_cells(context, row), *_numbers(row), *_ratio_cells(base_ratio(context, row)), row.session,
             row.measured_at) for row in used]
    return context.table("timings", "All timings", columns, rows, used, (
        base_note(context.base_label), "95 % of a median: between order statistics, from six samples on."))


def identity_cells(context: Context, row: LatencyRow) -> tuple[Cell, ...]:
    """Variant, configuration, shape, batch and direction."""
    return context.labels[row.name], row.configuration, f"{row.width}x{row.height}", row.batch, row.direction


def _numbers(row: LatencyRow) -> tuple[Cell, ...]:
    found = summarise_times(row.samples_s)
    low, high = found.interval or (None, None)
    seconds = (found.median, low, high, found.p10, found.p90, row.first_s)
    return found.n, *(None if one is None else 1000 * one for one in seconds), len(row.warmup_s)


def _ratio_cells(found: Ratio | None) -> tuple[Cell, ...]:
    return (None,) * 4 if found is None else (found.value, found.low, found.high, found.differs)


def configurations(context: Context) -> Table | None:
    """Every other configuration against the default one of the same variant; None where none was tried."""
    cases = [case for case in context.selection.cases if case.configuration != DEFAULT]
    if not cases:
        return None
    columns = [VARIANT, CONFIGURATION]
    for direction in DIRECTIONS:
        columns += [text_column(f"{direction}_ms", f"{direction}, median (p10–p90)", "ms"),
                    text_column(f"{direction}_vs_default", "vs default")]
    columns += [Column("stream", "Stream"), Column("decode_matches", "decodes exactly"), REMARK]
    rows = []
    for case in cases:
        cells: list[Cell] = [context.labels[case.name], case.configuration]
        for direction in DIRECTIONS:
            row = case.measured(direction)
            default = None if row is None else context.selection.in_turns(row, row.name)
            cells += [times_text(row), ratio_text(compare(row, default)) or (None if row is None else "not in turns")]
        measured = any(row.status == OK for row in case.rows)
        stream = None if not measured else "other bytes" if case.any.changes_stream else "same bytes"
        rows.append((*cells, stream, case.any.decode_matches if measured else None, remark_text(case)))
    notes = (base_note("default"), "\"Other bytes\": a file coded in this configuration differs from one coded in the "
             "default one, and must be decoded in this one.")
    return context.table("configurations", "Configurations", columns, rows,
                         [row for case in cases for row in case.rows], notes,
                         condition_headings(cases, context.selection.conditions))


def failures(context: Context) -> Table:
    """Every case whose newest measurement failed, a line for each direction."""
    failed = [row for row in context.selection.rows if row.status != OK]
    rows = [(*identity_cells(context, row)[:3], row.direction, failure_text(row)) for row in failed]
    columns = (VARIANT, CONFIGURATION, SHAPE, DIRECTION, Column("reason", "Reason", wide=True))
    return context.table("failures", "Failures", columns, rows, failed)


def claims_table(context: Context, judgements: Iterable[Judgement]) -> Table:
    """What the claims of cost came to on this device, about full-width variants that were measured on it."""
    cases = headline_cases(context)
    variants = {case.name for case in cases}
    places = {"", *(row.device for row in context.selection.stored)}  # parameters and operations have no place
    shown = [one for one in judgements if one.claim.metric in COST_UNITS and not one.miniature
             and one.claim.variant in variants and one.place in places]

    columns = [column for column in claim_columns(Names(context.labels, {})) if column.key in CLAIM_KEYS]
    rows = [tuple(column.cell(one) for column in columns) for one in shown]
    notes = (PREDICTED_NOTE, *([MARK_NOTE] if any(map(is_marked, shown)) else []),
             "Verdicts are those of the report of claims, which says what each of them means.")
    return context.table("claims", "What the claims of cost came to", columns, rows,
                         [row for case in cases for row in case.rows], notes)
