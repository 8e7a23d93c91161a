"""Upkeep of stored rows: which files there are, migration, and tidying. Every file is written whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from bench.common.folders import BASELINE
from bench.results.latency_rows import LatencyRow
from bench.results.rows import Row
from bench.results.schema import StoredRow
from bench.results.store import replace_lines
from bench.results.stored import LATENCY

R = TypeVar("R", bound=StoredRow)

DAMAGED = ".damaged"  # suffix of the file that takes lines which are no rows


@dataclass(frozen=True)
class StoredFile(Generic[R]):
    """A file of rows of one kind."""

    path: Path
    kind: type[R]


@dataclass(frozen=True)
class Upkeep:
    """What was done to one file.

    Attributes:
        rows: that it holds now.
        migrated: that were of an older schema.
        superseded: dropped, since a later row has their key.
        damaged: lines set aside.
        dropped: that were asked to go.
    """

    path: Path
    rows: int
    migrated: int = 0
    superseded: int = 0
    damaged: int = 0
    dropped: int = 0

    @property
    def changed(self) -> bool:
        """Whether the file was written."""
        return bool(self.migrated or self.superseded or self.damaged or self.dropped)


def find_row_files(root: Path) -> Iterator[StoredFile[Any]]:
    """Yield the files of rows under a folder of results: of images, then of latencies."""
    for path in sorted(root.glob("*/*.jsonl")):
        if path.parent.name != BASELINE:
            yield StoredFile(path, Row)
    for path in sorted((root / LATENCY).glob("*/*.jsonl")):
        yield StoredFile(path, LatencyRow)


def migrate_file(file: StoredFile[R], complete: Callable[[R], R] = lambda row: row) -> Upkeep:
    """Write the rows of an older schema as rows of today's; other lines stay as they are.

    Args:
        complete: fills in what the older schema did not hold.

    Raises:
        BenchError: a line is no row, or the file can't be written; it is then as it was.
    """
    counts = {"rows": 0, "migrated": 0}

    def migrate_line(line: bytes) -> bytes:
        row = file.kind.from_json(line)
        new = complete(row)
        counts["rows"] += 1
        if new is row and json.loads(line).get("schema") == file.kind.SCHEMA:
            return line
        counts["migrated"] += 1
        return new.to_json().encode()

    replace_lines(file.path, lambda lines: [migrate_line(line) for line in lines])
    return Upkeep(file.path, **counts)


def prune_file(file: StoredFile[Any]) -> Upkeep:
    """Drop rows that a later one of their key supersedes, and set damaged lines aside in a file beside it.

    Raises:
        BenchError: a file can't be written.
    """
    damaged: list[bytes] = []
    counts = {"rows": 0, "superseded": 0}

    def keep_newest(lines: list[bytes]) -> list[bytes]:
        newest: dict[str, bytes] = {}
        read = 0
        for line in lines:
            try:
                key = file.kind.from_json(line).key
            except ValueError:
                damaged.append(line)
                continue
            read += 1
            newest.pop(key, None)  # so that the order stays that of measuring
            newest[key] = line
        counts["rows"], counts["superseded"] = len(newest), read - len(newest)
        _set_aside(file.path, damaged)
        return list(newest.values())

    replace_lines(file.path, keep_newest)
    return Upkeep(file.path, damaged=len(damaged), **counts)


def drop_rows(file: StoredFile[R], is_unwanted: Callable[[R], bool]) -> Upkeep:
    """Drop the rows that ``is_unwanted`` says; a file without any row left is removed.

    Raises:
        BenchError: a line is no row, or the file can't be written.
    """
    counts = {"rows": 0, "dropped": 0}

    def drop_lines(lines: list[bytes]) -> list[bytes]:
        kept = [line for line in lines if not is_unwanted(file.kind.from_json(line))]
        counts["rows"], counts["dropped"] = len(kept), len(lines) - len(kept)
        return kept

    replace_lines(file.path, drop_lines)
    return Upkeep(file.path, **counts)


def _set_aside(path: Path, lines: list[bytes]) -> None:
    if lines:
        with path.with_name(path.name + DAMAGED).open("ab") as target:
            target.writelines(line + b"\n" for line in lines)
