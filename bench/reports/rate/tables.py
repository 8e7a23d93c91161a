"""Tables of what was measured: summary, failures, provenance. Pure functions of the rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import fsum
from operator import itemgetter

from bench.common.text import format_count
from bench.metrics.quality import QualityMetric, headline_metrics, known_metrics
from bench.reports.page.table import Column, Table, group_records
from bench.reports.rate.coverage import CONVENTION, Coverage
from bench.results.machines import name_machine
from bench.results.row_selection import Selection
from bench.results.rows import OK, Row

MOST_FAILURES = 1000  # shown
Rows = Sequence[Row]  # of one rate point, one an image

CODEC: Column[Row] = Column("codec", "Codec", of=lambda row: row.label)
POINT: Column[Row] = Column("point", "Point", of=lambda row: row.point)
IMAGE: Column[Row] = Column("image", "Image", of=lambda row: row.image)
RATE_COLUMNS: tuple[Column[Row], ...] = (
    Column("bpp", "bpp", digits=4, of=lambda row: row.bpp),
    Column("bpp_y", "y", "bpp", digits=4, detail=True, of=lambda row: row.bpp_of("y")),
    Column("bpp_z", "z", "bpp", digits=4, detail=True, of=lambda row: row.bpp_of("z")),
    Column("bpp_header", "header", "bpp", digits=4, detail=True, of=lambda row: row.bpp_of("header")),
    Column("bpp_estimated", "estimated", "bpp", digits=4, detail=True, of=lambda row: row.bpp_estimated),
    Column("actual_over_estimated", "actual / est.", digits=4, detail=True, of=lambda row: row.actual_over_estimated),
)
TIME_COLUMNS: tuple[Column[Row], ...] = (
    Column("encode_s", "encode", "s", digits=3, of=lambda row: row.encode_s),
    Column("decode_s", "decode", "s", digits=3, of=lambda row: row.decode_s),
)
MACHINE: Column[Row] = Column("machine", "Machine", of=lambda row: name_machine(row.provenance) or None)
ORIGIN_COLUMNS: tuple[Column[Row], ...] = (
    Column("codec_version", "Version", wide=True, of=lambda row: _version(row)),
    Column("settings", "Settings", wide=True, of=lambda row: _text(row.settings)),
    Column("colour", "Colour path", of=lambda row: row.colour),
    Column("weights_sha256", "Weights SHA-256", of=lambda row: row.identity.get("weights_sha256", "")[:16] or None),
    MACHINE,
    Column("code_version", "Code", of=lambda row: row.code_version or None),
)


def summary_table(selection: Selection, coverage: Coverage) -> Table:
    """One line for each rate point: means over the images that were measured, and what went wrong."""
    columns: tuple[Column[Rows], ...] = (
        _take_first(CODEC), _take_first(POINT),
        Column("images_ok", "ok", digits=0, of=lambda rows: len(_select_measured(rows))),
        Column("images", "images", digits=0, of=len),
        *map(_average, list_measures(selection)),
        Column("mismatches", "decode mismatches", digits=0,
               of=lambda rows: sum(row.decode_matches is False for row in rows)),
        Column("failures", "failed", digits=0, of=lambda rows: len(rows) - len(_select_measured(rows))),
        Column("warnings", "warnings", digits=0, detail=True, of=lambda rows: sum(len(row.warnings) for row in rows)),
    )
    notes = [CONVENTION, "Means go over the images counted under \"ok\". encode and decode are wall-clock "
             "seconds an image, not a latency benchmark.", *_describe_machines(selection)]
    for metric in headline_metrics():
        measured = _select_measured(selection.rows)
        lacking = {row.image for row in measured if metric.name not in row.quality_versions}
        if lacking:
            notes.append(f"{metric.label} was not computed for {format_count(len(lacking), 'image')}: python -m bench "
                         f"evaluate with --metrics {metric.name} adds it.")

        without = {row.image for row in measured if metric.name in row.quality_missing}
        if without:
            notes.append(f"The means of {metric.label} leave out {format_count(len(without), 'image')} that it is not "
                         "defined for (reasons in the table of single images).")
    rows = (choice.rows for choice in selection.choices)
    return coverage.make_table("summary", "Rate points", columns, rows, notes)


def failure_table(selection: Selection, coverage: Coverage) -> Table:
    """The rows that failed, with their reasons; of very many the first."""
    columns: list[Column[Row]] = [CODEC, POINT, IMAGE, Column("reason", "Reason", wide=True, of=lambda row: row.reason)]
    failed = [row for row in selection.rows if row.status != OK]
    left_out = len(failed) - MOST_FAILURES
    notes = [f"Left out: {format_count(left_out, 'failure')} more, which the file of single images has."]
    return coverage.make_table("failures", "Failures", columns, failed[:MOST_FAILURES], notes if left_out > 0 else [])


def provenance_table(selection: Selection, coverage: Coverage) -> Table:
    """What every row was measured with and where, one line for each combination within a codec."""
    alike = group_records(selection.rows, lambda row: (row.series, row.provenance.libraries.get("torch"), row.colour,
                                                       name_machine(row.provenance), row.code_version))
    shown = (CODEC, *ORIGIN_COLUMNS)
    groups = group_records(alike.values(), lambda rows: tuple(column.of(rows[0]) for column in shown))
    columns: tuple[Column[Rows], ...] = (
        _take_first(CODEC),
        Column("points", "Points", of=lambda rows: ", ".join(dict.fromkeys(row.point for row in rows))),
        Column("rows", "Rows", digits=0, of=len), *map(_take_first, ORIGIN_COLUMNS),
    )
    records = ([row for rows in parts for row in rows] for parts in groups.values())
    table = coverage.make_table("provenance", "Provenance", columns, records, selection.notes)
    return table.without_empty_columns()


def _describe_machines(selection: Selection) -> list[str]:
    """Say which machines decoded exactly and took the time that a table shows."""
    labels = group_records(dict.fromkeys((name_machine(row.provenance), row.label) for row in selection.rows),
                           itemgetter(0))
    known = {machine: [label for _, label in pairs] for machine, pairs in labels.items() if machine}
    if not known:
        return []

    places = list(known) if len(known) == 1 else [f"{machine} ({', '.join(of)})" for machine, of in known.items()]
    return [f"Times and decode mismatches are properties of the machine: {'; '.join(places)}."]


def _select_measured(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.status == OK]


def list_measures(selection: Selection) -> tuple[Column[Row], ...]:
    """Rates, every quality metric that a row tells anything of, and times."""
    told = {name for row in selection.rows for name in row.quality_versions}
    qualities = [column for metric in known_metrics() if metric.name in told for column in _quality_columns(metric)]
    return (*RATE_COLUMNS, *qualities, *TIME_COLUMNS)


def _quality_columns(metric: QualityMetric) -> list[Column[Row]]:
    """Value of an image, then the quality along a curve where that is another number; readers first see the latter."""
    columns = [(metric.scale, lambda row: row.quality.get(metric.name))]
    if metric.has_own_curve_scale:
        columns.append((metric.on_curves, lambda row: row.curve_quality(metric.name)))
    return [Column(scale.column, scale.title, scale.unit, digits=scale.digits, missing="N/A", of=of,
                   detail=not metric.headline or scale != metric.on_curves) for scale, of in columns]


def _take_first(column: Column[Row]) -> Column[Rows]:
    """The same column for rows that all have the same in it."""
    return column.taken_from(lambda rows: rows[0])


def _average(column: Column[Row]) -> Column[Rows]:
    """The same column for a rate point: the mean over its measured images that have a value."""
    def mean(rows: Rows) -> float | None:
        values = [value for row in _select_measured(rows) if isinstance(value := column.of(row), (int, float))]
        return fsum(values) / len(values) if values else None

    return replace(_take_first(column), of=mean)


def _version(row: Row) -> str | None:
    """The library's of a classical codec; torch's and the coder's of a learned one."""
    if "coder" not in row.identity:
        return _text(row.identity.get("codec_version"))
    torch = row.provenance.libraries.get("torch")
    coder = str(row.identity["coder"])
    return f"torch {torch}, {coder}" if torch else coder


def _text(value: object) -> str | None:
    """Return a JSON value in as few characters as a reader needs."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(entry)}" for key, entry in sorted(value.items())) or None
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
