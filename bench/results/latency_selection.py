"""Which stored latency rows a report shows, and which of them were measured in turns and so compare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from bench.metrics.statistics.ratios import Ratio, compare_rounds
from bench.results.latency_rows import DIRECTIONS, LatencyRow
from bench.results.rows import OK

BASE = "hpcm_base"  # what every variant is compared with
DEFAULT = "default"  # configuration
USUAL_SHAPE = (768, 512)  # of single figures, where it was measured


@dataclass(frozen=True, order=True)
class Conditions:
    """What was coded and how: only measurements under the same conditions compare."""

    width: int
    height: int
    batch: int
    image: str  # "photograph", or an image file's name
    threads: int
    deterministic: bool

    @property
    def shape(self) -> str:
        """"768x512"."""
        return f"{self.width}x{self.height}"

    @property
    def is_usual(self) -> bool:
        """Whether the shape is the one of single figures."""
        return (self.width, self.height) == USUAL_SHAPE


def conditions_of(row: LatencyRow) -> Conditions:
    """The conditions of a row."""
    return Conditions(row.width, row.height, row.batch, str(row.identity.get("image", "photograph")),
                      int(row.identity.get("threads") or row.provenance.threads or 0),
                      bool(row.identity.get("deterministic", row.provenance.deterministic)))


@dataclass(frozen=True)
class Case:
    """The newest measurement of one variant in one configuration and conditions; a direction may be missing."""

    conditions: Conditions
    name: str
    configuration: str
    rows: tuple[LatencyRow, ...]  # the encoder's, then the decoder's

    def measured(self, direction: str) -> LatencyRow | None:
        """The row of a direction, if it was measured."""
        return next((row for row in self.measured_rows if row.direction == direction), None)

    @property
    def measured_rows(self) -> list[LatencyRow]:
        """Those of :attr:`rows` that hold a result."""
        return [row for row in self.rows if row.status == OK]

    @property
    def any(self) -> LatencyRow:
        """A row for what both directions share, a measured one if there is any."""
        return [*self.measured_rows, *self.rows][0]


@dataclass(frozen=True)
class LatencySelection:
    """All rows of one device.

    Attributes:
        cases: the newest measurements, ordered by conditions (the usual shape first, then by size), line and name.
        older: rows that a newer measurement of the same case replaced, oldest first.
        stored: every row, the last of each session and key.
    """

    cases: tuple[Case, ...]
    older: tuple[LatencyRow, ...]
    stored: tuple[LatencyRow, ...]

    @cached_property
    def conditions(self) -> list[Conditions]:
        """All of them, in order."""
        return list(dict.fromkeys(case.conditions for case in self.cases))

    @property
    def rows(self) -> list[LatencyRow]:
        """Rows of all cases."""
        return [row for case in self.cases for row in case.rows]

    def case(self, conditions: Conditions, name: str, configuration: str = DEFAULT) -> Case | None:
        """The case, if it was measured or failed."""
        wanted = (conditions, name, configuration)
        return next((one for one in self.cases if (one.conditions, one.name, one.configuration) == wanted), None)

    def in_turns(self, row: LatencyRow, name: str, configuration: str = DEFAULT) -> LatencyRow | None:
        """The measured row of another variant (or configuration) that took turns with ``row``.

        Args:
            row: a measured one.
            name: of the other variant.
            configuration: of the other row.

        Returns:
            The row of the same session, conditions and direction, or None.
        """
        return self._by_session.get((row.session, conditions_of(row), row.direction, name, configuration))

    @cached_property
    def _by_session(self) -> dict[tuple, LatencyRow]:
        return {(row.session, conditions_of(row), row.direction, row.name, row.configuration): row
                for row in self.stored if row.status == OK}


def select_latency(rows: Iterable[LatencyRow]) -> LatencySelection:
    """Choose what counts of ``rows``, given in the order they were stored.

    Of rows with one session and key the last counts. Of the sessions that measured a case the newest one with both
    directions counts, also where it failed; without such a session, the newest.

    Args:
        rows: of one device, in the order they were stored.
    """
    stored: dict[tuple[str, str], LatencyRow] = {}
    for row in rows:
        stored.pop((row.session, row.key), None)  # so that the order is that of the last ones
        stored[row.session, row.key] = row
    ordered = sorted(stored.values(), key=lambda row: row.measured_at)
    sessions: dict[tuple[Conditions, str, str], dict[str, dict[str, LatencyRow]]] = {}
    for row in ordered:
        slot = conditions_of(row), row.name, row.configuration
        sessions.setdefault(slot, {}).setdefault(row.session, {})[row.direction] = row
    cases = [Case(*slot, _newest_rows(found)) for slot, found in sessions.items()]
    chosen = {id(row) for case in cases for row in case.rows}
    base_lines = {case.any.line for case in cases if case.name == BASE}
    return LatencySelection(tuple(sorted(cases, key=lambda case: _sort_key(case, base_lines))),
                            tuple(row for row in ordered if id(row) not in chosen), tuple(ordered))


def _newest_rows(sessions: dict[str, dict[str, LatencyRow]]) -> tuple[LatencyRow, ...]:
    """The rows of the session that counts, in order of :data:`DIRECTIONS`; sessions are in order."""
    ordered = list(sessions.values())
    newest = next((found for found in reversed(ordered) if len(found) == len(DIRECTIONS)), ordered[-1])
    return tuple(newest[direction] for direction in DIRECTIONS if direction in newest)


def _sort_key(case: Case, base_lines: set[str]) -> tuple:
    conditions, line = case.conditions, case.any.line
    return (conditions.batch, not conditions.is_usual, conditions.width * conditions.height, conditions,
            line not in base_lines, line, case.name != BASE, case.name,
            case.configuration != DEFAULT, case.configuration)


def compare_rows(row: LatencyRow | None, other: LatencyRow | None) -> Ratio | None:
    """Ratio of the medians of two rows that took turns, paired by rounds; None without any.

    Where one lost its last rounds, the rounds that both have are compared.
    """
    if row is None or other is None:
        return None
    rounds = min(len(row.samples_s), len(other.samples_s))
    return compare_rounds(row.samples_s[:rounds], other.samples_s[:rounds]) if rounds else None
