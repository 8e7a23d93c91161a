"""Tables of single images: every row for a file, and for the page those with the lowest and the highest quality."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.metrics.quality import METRICS, headline_metrics
from bench.reports.page.table import Column, Table
from bench.reports.rate.coverage import CONVENTION, Coverage
from bench.reports.rate.tables import CODEC, IMAGE, MACHINE, POINT, list_measures
from bench.results.row_selection import Choice, Selection
from bench.results.rows import OK, Row

MOST_ROWS, MOST_OF_AN_END = 1000, 3  # shown on the page; of each end of a rate point, of which one is always shown


def image_table(selection: Selection, coverage: Coverage) -> Table:
    """Every chosen row."""
    return _make_table("per_image", "Single images", selection, coverage, selection.rows)


def extreme_table(selection: Selection, coverage: Coverage) -> Table:
    """For each rate point the images with the lowest and the highest quality, as many as a page can show."""
    ends = 2 * max(len(selection.choices), 1)
    number = max(1, min(MOST_OF_AN_END, MOST_ROWS // ends))
    rows = [row for choice in selection.choices for row in _select_extremes(choice, number)]
    leading = headline_metrics()[0]
    subject = f"Images with the lowest and the highest {leading.label}, {number} of each end"
    return _make_table("extreme_images", subject, selection, coverage, rows)


def _select_extremes(choice: Choice, number: int) -> list[Row]:
    """Return the measured rows at both ends of the leading metric's quality, the lowest first."""
    leading = headline_metrics()[0].name
    known = [(quality, row) for row in choice.rows
             if row.status == OK and (quality := row.curve_quality(leading)) is not None]
    ordered = [row for _, row in sorted(known, key=lambda pair: pair[0])]
    return ordered if len(ordered) <= 2 * number else [*ordered[:number], *ordered[-number:]]


def _make_table(name: str, subject: str, selection: Selection, coverage: Coverage, rows: Sequence[Row]) -> Table:
    columns: Iterable[Column[Row]] = (
        CODEC, POINT, IMAGE,
        Column("width", "width", digits=0, of=lambda row: row.width),
        Column("height", "height", digits=0, of=lambda row: row.height),
        Column("bytes_total", "bytes", digits=0, of=lambda row: row.bytes_total),
        *list_measures(selection),
        Column("decode_matches", "decode matches", of=lambda row: row.decode_matches),
        Column("remark", "Remark", wide=True, of=_describe_row),
        replace(MACHINE, detail=True),
    )
    return coverage.make_table(name, subject, tuple(columns), rows, [CONVENTION]).without_empty_columns()


def _describe_row(row: Row) -> str | None:
    differs = row.decode_matches is False and row.decode_max_abs_difference is not None
    missing = {METRICS.get(name).label if name in METRICS else name: reason
               for name, reason in row.quality_missing.items() if not any(reason in text for text in row.warnings)}
    parts = (
        f"failed: {row.reason}" if row.status != OK else "", *row.warnings,
        "not the catalogue's image" if row.image_verified is False else "",
        f"decoded image differs by up to {row.decode_max_abs_difference}" if differs else "",
        *(f"no {label}: {reason}" for label, reason in missing.items()),
    )
    return "; ".join(filter(None, parts)) or None
