"""Which stored rows a report shows, where a point has been measured more than once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from bench.results.rows import OK, Provenance, Row


@dataclass(frozen=True)
class Choice:
    """The series chosen for one rate point of one codec.

    Attributes:
        name: codec as tables call it.
        point: label of the rate point.
        rows: one row an image, ordered by image name.
        series_left_out: how many other series of the same point were not chosen.
    """

    name: str
    point: str
    rows: tuple[Row, ...]
    series_left_out: int = 0


@dataclass(frozen=True)
class Selection:
    """Everything that a report of one dataset is made from."""

    dataset: str
    choices: tuple[Choice, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def rows(self) -> list[Row]:
        """All chosen rows."""
        return [row for choice in self.choices for row in choice.rows]


def select_rows(dataset: str, rows: Iterable[Row]) -> Selection:
    """Choose one series for every (codec, point) of ``rows``, given in the order they were stored.

    Of rows with one key the last counts. The series with the most measured images is chosen; of equally
    complete ones, the most recently measured.

    Args:
        dataset: what the selection is of.
        rows: of that dataset, in the order they were stored.

    Returns:
        A choice for each codec and rate point, by codec and rising mean rate.
    """
    latest: dict[str, tuple[int, Row]] = {}
    for order, row in enumerate(rows):
        latest[row.key] = (order, row)
    points: dict[tuple[str, str], dict[str, list[tuple[int, Row]]]] = defaultdict(lambda: defaultdict(list))
    for order, row in latest.values():
        points[row.name, row.point][row.series].append((order, row))
    choices = []
    for (name, point), series in points.items():
        candidates = [_keep_newest_per_image(members) for members in series.values()]
        best = max(candidates, key=_rank_series)
        choices.append(Choice(name, point, best, len(candidates) - 1))
    choices.sort(key=lambda choice: (choice.name, _average_bpp(choice.rows), choice.point))
    return Selection(dataset, tuple(choices), tuple(_describe_mixtures(choices)))


def _keep_newest_per_image(members: Sequence[tuple[int, Row]]) -> tuple[Row, ...]:
    """Keep the newest row of every image name (an image may have been replaced between two runs)."""
    newest: dict[str, Row] = {}
    for _, row in sorted(members, key=lambda member: (member[1].measured_at, member[0])):
        newest[row.image] = row
    return tuple(newest[image] for image in sorted(newest))


def _rank_series(rows: Sequence[Row]) -> tuple[int, str, str]:
    measured = sum(row.status == OK for row in rows)
    return measured, max(row.measured_at for row in rows), rows[0].series


def _average_bpp(rows: Sequence[Row]) -> float:
    rates = [row.bpp for row in rows if row.bpp is not None]
    return sum(rates) / len(rates) if rates else float("inf")


def _describe_mixtures(choices: Sequence[Choice]) -> list[str]:
    """Say which codecs mix machines or code versions, and how many series were not chosen."""
    notes = []
    codecs: dict[str, list[Choice]] = defaultdict(list)
    for choice in choices:
        codecs[choice.name].append(choice)
    for name, members in codecs.items():
        rows = [row for choice in members for row in choice.rows]
        machines = {msgspec.json.encode(row.provenance) for row in rows if row.provenance != Provenance()}
        if len(machines) > 1:
            notes.append(f"{name}: its rows come from {len(machines)} different machines or set-ups (library "
                         "versions, threads, parallel jobs).")
        versions = sorted({row.code_version for row in rows})
        if len(versions) > 1:
            notes.append(f"{name}: its rows were measured by {len(versions)} versions of the code.")
        left_out = sum(choice.series_left_out for choice in members)
        if left_out:
            notes.append(f"{name}: {left_out} other series of the same rate points are stored and not shown.")
    return notes
