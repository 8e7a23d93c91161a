"""A table as data: what every renderer takes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from bench.common.text import format_number

Cell = str | int | float | bool | None
Record = TypeVar("Record")
Whole = TypeVar("Whole")
Key = TypeVar("Key", bound=Hashable)


def group_records(records: Iterable[Record], key: Callable[[Record], Key]) -> dict[Key, list[Record]]:
    """Return records by ``key``, keys and records in the order they come in.

    >>> group_records(["jpeg", "webp", "jxl"], lambda name: name[0])
    {'j': ['jpeg', 'jxl'], 'w': ['webp']}
    """
    groups: dict[Key, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


@dataclass(frozen=True)
class Column(Generic[Record]):
    """One column: what stands above it, how its cells are written, and how a record gives one.

    Attributes:
        key: name in CSV files, with the unit in it ("bpp", "psnr_rgb_db").
        title: heading for readers.
        unit: unit for readers, shown after the title.
        digits: decimals of a float; None writes the value as it is.
        signed: write the sign of positive numbers too.
        missing: what stands for None ("–" does not apply, "N/A" could not be computed).
        wide: long text; LaTeX wraps it.
        detail: left to the files, a terminal doesn't show it.
        of: gives the cell of a record.
    """

    key: str
    title: str
    unit: str = ""
    digits: int | None = None
    signed: bool = False
    missing: str = "–"
    wide: bool = False
    detail: bool = field(default=False, kw_only=True)
    of: Callable[[Record], Cell] = field(kw_only=True)

    @property
    def heading(self) -> str:
        """Title with the unit."""
        return f"{self.title} [{self.unit}]" if self.unit else self.title

    @property
    def numeric(self) -> bool:
        """True where cells are aligned to the right."""
        return self.digits is not None

    def taken_from(self, part: Callable[[Whole], Record]) -> Column[Whole]:
        """Return this column for records of which the present ones are a ``part``."""
        return Column(self.key, self.title, self.unit, self.digits, self.signed, self.missing, self.wide,
                      detail=self.detail, of=lambda whole: self.of(part(whole)))

    def text(self, value: Cell) -> str:
        """Return one cell as readers see it, not yet escaped."""
        if value is None:
            return self.missing
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, (int, float)) and self.digits is not None:
            return format_number(value, f"{'+' if self.signed else ''}.{self.digits}f")
        return str(value)


@dataclass(frozen=True)
class Table:
    """A table with what has to be said about it.

    Attributes:
        name: stem of its files.
        title: what it shows, with dataset and coverage.
        columns: as in every row.
        rows: cells as values, not text; :meth:`from_records` makes them.
        notes: conventions and remarks, shown below.
        warnings: shown above, prominently, and in every row of the CSV file.
        headings: (index, text): a heading before row ``index``.
        constants: (key, value) pairs that CSV files repeat in every row (dataset, coverage, convention).
    """

    name: str
    title: str
    columns: tuple[Column[Any], ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    headings: tuple[tuple[int, str], ...] = ()
    constants: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_records(cls, name: str, title: str, columns: Sequence[Column[Record]], records: Iterable[Record], *,
                     notes: Sequence[str] = (), warnings: Sequence[str] = (),
                     headings: Sequence[tuple[int, str]] = (), constants: Sequence[tuple[str, str]] = ()) -> Table:
        """Return a table with a row a record, each cell as its column takes it from the record.

        Example:
            >>> columns = (Column("codec", "Codec", of=lambda pair: pair[0]),
            ...            Column("bpp", "Rate", "bpp", digits=2, of=lambda pair: pair[1]))
            >>> Table.from_records("rates", "Rates", columns, [("jpeg", 0.5), ("webp", 0.25)]).rows
            (('jpeg', 0.5), ('webp', 0.25))
        """
        rows = tuple(tuple(column.of(record) for column in columns) for record in records)
        return cls(name, title, tuple(columns), rows, tuple(notes), tuple(warnings), tuple(headings), tuple(constants))

    def lines(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the heading before each row ("" without one), and the row's cells as readers see them."""
        headings = dict(self.headings)
        for index, row in enumerate(self.rows):
            yield headings.get(index, ""), [column.text(value) for column, value in zip(self.columns, row)]

    def column(self, key: str) -> list[Cell]:
        """Return the values of one column."""
        index = [column.key for column in self.columns].index(key)
        return [row[index] for row in self.rows]

    def without_empty_columns(self) -> Table:
        """Drop the columns that hold nothing but None."""
        kept = [i for i in range(len(self.columns)) if any(row[i] is not None for row in self.rows)]
        return replace(self, columns=tuple(self.columns[i] for i in kept),
                       rows=tuple(tuple(row[i] for i in kept) for row in self.rows))
