"""Tables of where a latency report's rows come from: sessions, and what newer measurements replaced."""

from __future__ import annotations

from bench.reports.latency.tables import CONFIGURATION, DIRECTION, REMARK, SHAPE, VARIANT, identity_cells
from bench.reports.latency.text import Context, failure_text, listed, text_column, times_text
from bench.reports.page.table import Column, Table
from bench.results.latency_rows import LatencyRow
from bench.results.rows import OK


def sessions(context: Context) -> Table:
    """What every session was measured with; variants of one session took turns."""
    columns = (Column("session", "Session"), Column("measured_at", "First row"),
               Column("variants", "Variants", wide=True), Column("shapes", "Shapes"), Column("code_version", "Code"),
               Column("machine", "Clocks and load", wide=True), Column("warnings", "Warnings", wide=True))
    groups: dict[str, list[LatencyRow]] = {}
    for row in context.selection.stored:
        groups.setdefault(row.session, []).append(row)
    rows = [(session, members[0].measured_at or None, listed(context.labels[row.name] for row in members),
             listed(f"{row.width}x{row.height}" for row in members), listed(row.code_version for row in members),
             listed(_state_text(row) for row in members), listed(
                 text for row in members for text in row.state.get("warnings", ())))
            for session, members in groups.items()]
    return context.table("sessions", "Sessions", columns, rows, context.selection.stored)


def _state_text(row: LatencyRow) -> str:
    """Governor, clocks and load before the measurement, and what other processes took."""
    before = row.state.get("before", {})
    gpu = before.get("gpu", {})
    parts = [("governor", before.get("governor"), ""), ("CPU", before.get("cpu_mhz"), " MHz"),
             ("GPU", gpu.get("sm_mhz"), " MHz"), ("", gpu.get("celsius"), " °C"),
             ("load", before.get("load_1min"), ""), ("others", row.state.get("other_busy_cores"), " cores")]
    return ", ".join(f"{name} {value}{unit}".strip() for name, value, unit in parts if value is not None)


def earlier(context: Context) -> Table:
    """Rows that newer ones replaced."""
    columns = (VARIANT, CONFIGURATION, SHAPE, DIRECTION, Column("samples", "n", digits=0),
               text_column("ms", "median (p10–p90)", "ms"), Column("code_version", "Code"),
               Column("session", "Session"), Column("measured_at", "Measured"), REMARK)
    rows = [(*identity_cells(context, row)[:3], row.direction, len(row.samples_s) or None,
             times_text(row) if row.status == OK else None, row.code_version or None, row.session,
             row.measured_at or None, failure_text(row)) for row in context.selection.older]
    return context.table("earlier", "Earlier measurements", columns, rows, context.selection.older,
                         ("Replaced by newer ones in all other tables.",))
