"""Tables of times: variants, configurations, every number apart, failures, sessions; what claims of cost came to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from bench.claims.catalogue import COST_UNITS
from bench.claims.judgement import is_marked
from bench.claims.result import Judgement
from bench.metrics.statistics.ratios import Ratio
from bench.metrics.statistics.timing import Summary, summarise_times
from bench.reports.claims.tables import PREDICTED_NOTE, claim_columns
from bench.reports.claims.text import MARK_NOTE, Names
from bench.reports.latency.device import MeasuredDevice, rows_of_cases
from bench.reports.latency.text import (
    base_note,
    condition_headings,
    failure_text,
    join_texts,
    ratio_text,
    remark_text,
    times_text,
)
from bench.reports.page.table import Cell, Column, Table, group_records
from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import BASE, DEFAULT, DIRECTIONS, Case, compare_rows
from bench.results.rows import OK

REMARK: Column[Case] = Column("remark", "Remark", wide=True, of=remark_text)
CLAIM_KEYS = ("claim", "variant", "what", "versus", "where", "claimed", "kind", "measured", "interval", "verdict",
              "reason", "note", "contradicts", "source")  # of the columns of the claims' report


def identity_columns(device: MeasuredDevice, keys: Sequence[str],
                     row_of: Callable[[Any], LatencyRow] = lambda row: row) -> list[Column[Any]]:
    """Columns that say what was measured: those of ``keys``, from the row that ``row_of`` finds in a record."""
    columns: list[Column[LatencyRow]] = [
        Column("variant", "Variant", of=lambda row: device.labels[row.name]),
        Column("configuration", "Configuration", of=attrgetter("configuration")),
        Column("shape", "Shape", of=_shape_text),
        Column("batch", "Batch", digits=0, of=attrgetter("batch")),
        Column("direction", "Direction", of=attrgetter("direction")),
    ]
    return [column.taken_from(row_of) for column in columns if column.key in keys]


def _shape_text(row: LatencyRow) -> str:
    return f"{row.width}x{row.height}"


def text_column(key: str, title: str, unit: str = "", *, of: Callable[[Any], Cell]) -> Column[Any]:
    """A column of numbers as text, aligned to the right."""
    return Column(key, title, unit, digits=0, of=of)


def latency_table(device: MeasuredDevice) -> Table:
    """A line for each variant under all conditions: both directions' times and their ratio to the base."""
    columns = [
        *identity_columns(device, ["variant"], attrgetter("any")),
        Column("weights", "Weights", of=attrgetter("any.weights")),
        Column("bpp", "bpp", digits=3, of=attrgetter("any.bpp")),
        *(column for direction in DIRECTIONS for column in _time_columns(device, direction)),
        text_column("samples", "n", of=_sample_counts), REMARK,
    ]
    cases = device.default_cases
    headings = condition_headings([case.conditions for case in cases], device.selection.conditions)
    return device.make_table("latency", "Latency", columns, cases, rows_of_cases(cases),
                             (base_note(device.base_label),), headings)


def _time_columns(device: MeasuredDevice, direction: str) -> list[Column[Case]]:
    def versus_base(case: Case) -> str | None:
        row = case.measured(direction)
        if row is None or not device.has_base:
            return None
        return "1" if case.name == BASE else ratio_text(_base_ratio(device, row)) or "not in turns"

    return [_times_column(direction),
            text_column(f"{direction}_vs_base", f"vs {device.base_label}", of=versus_base),
            Column(f"{direction}_first_ms", "first call", "ms", digits=0,
                   of=lambda case: _to_ms(getattr(case.measured(direction), "first_s", None)))]


def _times_column(direction: str) -> Column[Case]:
    return text_column(f"{direction}_ms", f"{direction}, median (p10–p90)", "ms",
                       of=lambda case: times_text(case.measured(direction)))


def _sample_counts(case: Case) -> str | None:
    counts = dict.fromkeys(len(row.samples_s) for row in case.rows if row.status == OK)
    return " / ".join(map(str, counts)) or None


def _base_ratio(device: MeasuredDevice, row: LatencyRow) -> Ratio | None:
    """A row against the base in the default configuration that took turns with it."""
    if (row.name, row.configuration) == (BASE, DEFAULT):
        return None
    return compare_rows(row, device.selection.in_turns(row, BASE))


@dataclass(frozen=True)
class Timing:
    """A measured row with what its samples come to."""

    row: LatencyRow
    times: Summary
    versus_base: Ratio | None


def timings_table(device: MeasuredDevice) -> Table:
    """A line for each measured row, with every number apart."""
    def time_column(key: str, title: str, seconds_of: Callable[[Timing], float | None]) -> Column[Timing]:
        return Column(key, title, "ms", digits=3, of=lambda timing: _to_ms(seconds_of(timing)))

    columns: list[Column[Timing]] = [
        *identity_columns(device, ["variant", "configuration", "shape", "batch", "direction"], attrgetter("row")),
        Column("samples", "n", digits=0, of=attrgetter("times.n")),
        time_column("median_ms", "median", attrgetter("times.median")),
        time_column("median_low_ms", "95 % from", lambda one: one.times.interval and one.times.interval[0]),
        time_column("median_high_ms", "to", lambda one: one.times.interval and one.times.interval[1]),
        time_column("p10_ms", "p10", attrgetter("times.p10")),
        time_column("p90_ms", "p90", attrgetter("times.p90")),
        time_column("first_ms", "first call", attrgetter("row.first_s")),
        Column("warmup_calls", "warm-up calls", digits=0, of=lambda one: len(one.row.warmup_s)),
        Column("vs_base", "vs base", digits=3, of=lambda one: getattr(one.versus_base, "value", None)),
        Column("vs_base_low", "95 % from", digits=3, of=lambda one: getattr(one.versus_base, "low", None)),
        Column("vs_base_high", "to", digits=3, of=lambda one: getattr(one.versus_base, "high", None)),
        Column("vs_base_differs", "differs", of=lambda one: getattr(one.versus_base, "differs", None)),
        Column("session", "Session", of=attrgetter("row.session")),
        Column("measured_at", "Measured", of=attrgetter("row.measured_at")),
    ]
    rows = [row for row in device.selection.rows if row.status == OK]
    timings = [Timing(row, summarise_times(row.samples_s), _base_ratio(device, row)) for row in rows]
    notes = (base_note(device.base_label), "95 % of a median: between order statistics, from six samples on.")
    return device.make_table("timings", "All timings", columns, timings, rows, notes)


def _to_ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds


def configurations_table(device: MeasuredDevice) -> Table | None:
    """Every other configuration against the default one of the same variant; None where none was tried."""
    cases = [case for case in device.selection.cases if case.configuration != DEFAULT]
    if not cases:
        return None
    columns: list[Column[Case]] = [
        *identity_columns(device, ["variant", "configuration"], attrgetter("any")),
        *(column for direction in DIRECTIONS for column in _configuration_columns(device, direction)),
        Column("stream", "Stream", of=_stream_text),
        Column("decode_matches", "decodes exactly",
               of=lambda case: case.any.decode_matches if case.any.status == OK else None),
        REMARK,
    ]
    notes = (base_note("default"), "\"Other bytes\": a file coded in this configuration differs from one coded in the "
             "default one, and must be decoded in this one.")
    headings = condition_headings([case.conditions for case in cases], device.selection.conditions)
    return device.make_table("configurations", "Configurations", columns, cases, rows_of_cases(cases), notes, headings)


def _configuration_columns(device: MeasuredDevice, direction: str) -> list[Column[Case]]:
    def versus_default(case: Case) -> str | None:
        row = case.measured(direction)
        if row is None:
            return None
        return ratio_text(compare_rows(row, device.selection.in_turns(row, row.name))) or "not in turns"

    return [_times_column(direction), text_column(f"{direction}_vs_default", "vs default", of=versus_default)]


def _stream_text(case: Case) -> str | None:
    if case.any.status != OK:
        return None
    return "other bytes" if case.any.changes_stream else "same bytes"


def failures_table(device: MeasuredDevice) -> Table:
    """Every case whose newest measurement failed, a line for each direction."""
    failed = [row for row in device.selection.rows if row.status != OK]
    columns = [*identity_columns(device, ["variant", "configuration", "shape", "direction"]),
               Column("reason", "Reason", wide=True, of=failure_text)]
    return device.make_table("failures", "Failures", columns, failed, failed)


def claims_table(device: MeasuredDevice, judgements: Iterable[Judgement]) -> Table:
    """What the claims of cost came to on this device, about full-width variants that were measured on it."""
    cases = device.headline_cases
    variants = {case.name for case in cases}
    places = {"", *(row.device for row in device.selection.stored)}  # parameters and operations have no place
    shown = [one for one in judgements if one.claim.metric in COST_UNITS and not one.miniature
             and one.claim.variant in variants and one.place in places]

    columns = [column for column in claim_columns(Names(device.labels, {})) if column.key in CLAIM_KEYS]
    notes = (PREDICTED_NOTE, *([MARK_NOTE] if any(map(is_marked, shown)) else []),
             "Verdicts are those of the report of claims, which says what each of them means.")
    return device.make_table("claims", "What the claims of cost came to", columns, shown, rows_of_cases(cases), notes)


def sessions_table(device: MeasuredDevice) -> Table:
    """What every session was measured with; variants of one session took turns."""
    sessions = group_records(device.selection.stored, attrgetter("session"))

    def join_from(text_of: Callable[[LatencyRow], str]) -> Callable[[list[LatencyRow]], str | None]:
        return lambda rows: join_texts(map(text_of, rows))

    columns: list[Column[list[LatencyRow]]] = [
        Column("session", "Session", of=lambda rows: rows[0].session),
        Column("measured_at", "First row", of=lambda rows: rows[0].measured_at or None),
        Column("variants", "Variants", wide=True, of=join_from(lambda row: device.labels[row.name])),
        Column("shapes", "Shapes", of=join_from(_shape_text)),
        Column("code_version", "Code", of=join_from(attrgetter("code_version"))),
        Column("machine", "Clocks and load", wide=True, of=join_from(_state_text)),
        Column("warnings", "Warnings", wide=True,
               of=lambda rows: join_texts(text for row in rows for text in row.state.get("warnings", ()))),
    ]
    return device.make_table("sessions", "Sessions", columns, sessions.values(), device.selection.stored)


def _state_text(row: LatencyRow) -> str:
    """Governor, clocks and load before the measurement, and what other processes took."""
    before = row.state.get("before", {})
    gpu = before.get("gpu", {})
    parts = [("governor", before.get("governor"), ""), ("CPU", before.get("cpu_mhz"), " MHz"),
             ("GPU", gpu.get("sm_mhz"), " MHz"), ("", gpu.get("celsius"), " °C"),
             ("load", before.get("load_1min"), ""), ("others", row.state.get("other_busy_cores"), " cores")]
    return ", ".join(f"{name} {value}{unit}".strip() for name, value, unit in parts if value is not None)


def earlier_table(device: MeasuredDevice) -> Table:
    """Rows that newer ones replaced."""
    columns = [
        *identity_columns(device, ["variant", "configuration", "shape", "direction"]),
        Column("samples", "n", digits=0, of=lambda row: len(row.samples_s) or None),
        text_column("ms", "median (p10–p90)", "ms", of=lambda row: times_text(row) if row.status == OK else None),
        Column("code_version", "Code", of=lambda row: row.code_version or None),
        Column("session", "Session", of=attrgetter("session")),
        Column("measured_at", "Measured", of=lambda row: row.measured_at or None),
        Column("remark", "Remark", wide=True, of=failure_text),
    ]
    return device.make_table("earlier", "Earlier measurements", columns, device.selection.older, device.selection.older,
                             ("Replaced by newer ones in all other tables.",))
