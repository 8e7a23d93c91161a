"""Which stored rows a report shows, where a point has been measured more than once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from bench.results.machines import choose_counting, describe_mixture
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

    Of rows with one key :func:`choose_counting` says which counts. The series with the most measured images is chosen;
    of equally complete ones, the most recently measured.

    Args:
        dataset: what the selection is of.
        rows: of that dataset, in the order they were stored.

    Returns:
        A choice for each codec and rate point, by codec and rising mean rate.
    """
    points: dict[tuple[str, str], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in choose_counting(rows):
        points[row.name, row.point][row.series].append(row)
    choices = []
    for (name, point), series in points.items():
        candidates = [_keep_newest_per_image(members) for members in series.values()]
        best = max(candidates, key=_rank_series)
        choices.append(Choice(name, point, best, len(candidates) - 1))
    choices.sort(key=lambda choice: (choice.name, _average_bpp(choice.rows), choice.point))
    return Selection(dataset, tuple(choices), tuple(_describe_mixtures(choices)))


def _keep_newest_per_image(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Keep the newest row of every image name (an image may have been replaced between two runs)."""
    newest: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row.measured_at):
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
        mixture = describe_mixture(rows)
        if mixture:
            notes.append(f"{name}: {mixture}. Rates and qualities of two machines differ by single latents that are "
                         "rounded to the other side; times don't compare. With --strict only rows of one count.")
        set_ups = {msgspec.json.encode(row.provenance) for row in rows if row.provenance != Provenance()}
        if len(set_ups) > 1 and not mixture:
            notes.append(f"{name}: its rows come from {len(set_ups)} set-ups of one machine (library versions, "
                         "threads, parallel jobs).")
        versions = sorted({row.code_version for row in rows})
        if len(versions) > 1:
            notes.append(f"{name}: its rows were measured by {len(versions)} versions of the code.")
        left_out = sum(choice.series_left_out for choice in members)
        if left_out:
            notes.append(f"{name}: {left_out} other series of the same rate points are stored and not shown.")
    return notes
