"""The table of stored rows that were measured again: how they came out, and where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from operator import attrgetter

from bench.common.text import list_names
from bench.metrics.quality import QualityMetric, headline_metrics
from bench.reports.page.table import Column, Table, group_records
from bench.results.labels import label_codecs
from bench.results.machines import name_machine
from bench.results.reproductions import (
    DIFFERS,
    FAILED,
    FEW_BYTES,
    MOST_BITS_PERCENT,
    MOST_DB,
    NOISE,
    SAME,
    Reproduction,
)

Group = Sequence[Reproduction]  # of one codec on one machine, or of one of its rate points

NOTE = (
    f"Measured again by python -m bench reproduce, on files and decoded pixels. Learned codecs add in floating point: "
    f"single latents may be rounded to the other side, and up to {MOST_BITS_PERCENT:g} % of the bits (in small files "
    f"{FEW_BYTES} bytes) and {MOST_DB:g} dB count as noise. Classical codecs have to give the same, unless their "
    f"library is of another version. Differences are of the new row to the stored one, the largest of all rows."
)


def _count(outcome: str, title: str) -> Column[Group]:
    return Column(outcome, title, digits=0, of=lambda group: sum(one.outcome == outcome for one in group))


def _count_known(attribute: str, title: str) -> Column[Group]:
    """How many are the same, of those that tell."""
    def count(group: Group) -> int | None:
        known = [value for value in map(attrgetter(attribute), group) if value is not None]
        return sum(known) if known else None

    return Column(attribute, title, digits=0, missing="?", of=count)


def _quality_column(metric: QualityMetric) -> Column[Group]:
    return Column(f"{metric.slug}_db", metric.label, "dB", digits=4, signed=True,
                  of=lambda group: _find_largest([one.quality_db.get(metric.name) for one in group]))


def _name_points(points: Set[str]) -> str:
    return f"all {len(points)}" if len(points) > 1 else next(iter(points))


def _find_largest(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known, key=abs) if known else None


POINT: Column[Group] = Column("point", "Point", of=lambda group: _name_points({one.point for one in group}))
COLUMNS: tuple[Column[Group], ...] = (
    Column("rows", "Rows", digits=0, of=len),
    _count(SAME, "same"), _count(NOISE, "within noise"), _count(DIFFERS, "differ"), _count(FAILED, "failed"),
    _count_known("same_bytes", "same bytes"), _count_known("same_pixels", "same pixels"),
    Column("bits_percent", "Bits", "%", digits=4, signed=True,
           of=lambda group: _find_largest([one.bits_percent for one in group])),
    *map(_quality_column, headline_metrics()),
    Column("stored_on", "Stored on", detail=True, of=lambda group: _list_once(one.row_machine for one in group)),
    Column("measured_on", "Measured again on", detail=True, of=lambda group: name_machine(group[0].provenance)),
    Column("versions", "Other version", wide=True, of=lambda group: _list_once(one.versions for one in group)),
)


def reproduction_table(reproductions: Sequence[Reproduction], title: str, *, by_point: bool = False) -> Table:
    """Return a line for each codec and machine that rows were measured again on.

    Args:
        title: dataset and coverage.
        by_point: a line for each rate point of codecs that did not all come out the same.
    """
    split = {one.name for one in reproductions if by_point and one.outcome != SAME}
    groups = group_records(sorted(reproductions, key=attrgetter("name")),
                           lambda one: (one.name, one.point if one.name in split else "", name_machine(one.provenance)))
    labels = label_codecs(reproductions)
    codec: Column[Group] = Column("codec", "Codec", of=lambda group: labels[group[0].name])
    columns = (codec, POINT, *COLUMNS) if by_point else (codec, *COLUMNS)
    table = Table.from_records("reproduction", f"Rows that were measured again: {title}", columns, groups.values(),
                               notes=(NOTE, *describe_wrong(reproductions)))
    return table.without_empty_columns()


def describe_wrong(reproductions: Sequence[Reproduction]) -> list[str]:
    """Name every row that came out otherwise, and say by how much."""
    return [f"{one.what}: {_describe(one)}" for one in reproductions if one.is_wrong]


def _describe(one: Reproduction) -> str:
    if one.outcome == FAILED:
        return f"failed: {one.reason}"
    parts = [f"{one.bits_percent:+.3f} % bits", *(f"{value:+.3f} dB {name}" for name, value in one.quality_db.items())]
    parts += ["other bytes"] if one.same_bytes is False else []
    parts += ["other pixels"] if one.same_pixels is False else []
    return f"{', '.join(parts)} than what {one.row_machine or 'a machine that is not stated'} stored"


def describe_reproduction(reproductions: Sequence[Reproduction]) -> str:
    """Say in one sentence where rows were measured again, when, and what came out; empty where none were."""
    if not reproductions:
        return ""
    fine = sum(not one.is_wrong for one in reproductions)
    places = list_names(dict.fromkeys(name_machine(one.provenance) for one in reproductions))
    day = max(one.measured_at for one in reproductions)[:10]
    text = (f"Reproduced on {places}, last on {day}: {fine} of {len(reproductions)} rows that were measured again came "
            "out the same, or differ by floating-point noise")
    others = sum(bool(one.versions) for one in reproductions)
    return f"{text}; {others} of these are of another version of their library." if others else f"{text}."


def _list_once(texts: Iterable[str]) -> str | None:
    return "; ".join(dict.fromkeys(filter(None, texts))) or None
