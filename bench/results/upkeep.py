"""Upkeep of stored rows: which files there are, migration, and tidying. Every file is written whole."""

from __future__ import annotations

import json
import operator
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench.common.files import match_files
from bench.common.folders import BASELINE
from bench.results.crosschecks import FOLDER as CROSSCHECK
from bench.results.crosschecks import Crosscheck
from bench.results.latency_rows import LatencyRow
from bench.results.machines import name_machine
from bench.results.reproductions import FOLDER as REPRODUCTION
from bench.results.reproductions import Reproduction
from bench.results.rows import Row
from bench.results.schema import NewerSchema, StoredRow
from bench.results.store import replace_lines
from bench.results.stored import LATENCY

R = TypeVar("R", bound=StoredRow)

DAMAGED = ".damaged"  # suffix of the file that takes lines which are no rows


@dataclass(frozen=True)
class Upkeep:
    """What was done to one file.

    Attributes:
        rows: that it holds now.
        migrated: that were of an older schema.
        superseded: dropped, since a later row of their machine has their key.
        shared: keys of which rows of several machines are kept.
        damaged: lines set aside.
        dropped: that were asked to go.
    """

    path: Path
    rows: int
    migrated: int = 0
    superseded: int = 0
    shared: int = 0
    damaged: int = 0
    dropped: int = 0

    @property
    def changed(self) -> bool:
        """Whether the file was written."""
        return bool(self.migrated or self.superseded or self.damaged or self.dropped)


def find_row_files(root: Path) -> Iterator[tuple[Path, type[Any]]]:
    """Yield the files of rows under a folder of results, and the kind of their rows.

    Args:
        root: folder of results.
    """
    for path in match_files(root, "*/*.jsonl"):
        if path.parent.name != BASELINE:
            yield path, Row
    for path in match_files(root / LATENCY, "*/*.jsonl"):
        yield path, LatencyRow
    for path in match_files(root / REPRODUCTION, "*/*.jsonl"):
        yield path, Reproduction
    for path in match_files(root / CROSSCHECK, "*/*.jsonl"):
        yield path, Crosscheck


def migrate_file(path: Path, kind: type[R], complete: Callable[[R], R] = lambda row: row) -> Upkeep:
    """Write the rows of an older schema as rows of today's; other lines stay as they are.

    Args:
        complete: fills in what the older schema did not hold.

    Raises:
        BenchError: a line is no row, or the file can't be written; it is then as it was.
    """
    def migrate_line(line: bytes, row: R) -> bytes:
        new = complete(row)
        is_current = new is row and json.loads(line).get("schema") == kind.SCHEMA
        return line if is_current else new.to_json().encode()

    before, after = replace_lines(
        path, lambda lines: [migrate_line(line, row) for line, row in zip(lines, _parse_rows(kind, lines))])
    return Upkeep(path, len(after), migrated=sum(map(operator.ne, before, after)))


def prune_file(path: Path, kind: type[Any]) -> Upkeep:
    """Drop rows that a later one of the same machine supersedes, and set damaged lines aside in a file beside it.

    Raises:
        BenchError: a file can't be written.
    """
    damaged: list[bytes] = []
    machines: Counter[str] = Counter()  # how many have a row of a key

    def keep_newest(lines: list[bytes]) -> list[bytes]:
        newest: dict[tuple[str, ...], bytes] = {}
        for line in lines:
            try:
                key = _key_to_supersede(kind.from_json(line))
            except NewerSchema:  # what a later version of the suite stored is not ours to tidy
                key = (line.decode(errors="replace"),)
            except ValueError:
                damaged.append(line)
                continue
            if newest.pop(key, None) is None:  # what is there moves, so that the order stays that of measuring
                machines[key[-1]] += 1
            newest[key] = line

        if damaged:
            with path.with_name(path.name + DAMAGED).open("ab") as target:
                target.writelines(line + b"\n" for line in damaged)
        return list(newest.values())

    before, after = replace_lines(path, keep_newest)
    return Upkeep(path, len(after), superseded=len(before) - len(after) - len(damaged), damaged=len(damaged),
                  shared=sum(number > 1 for number in machines.values()) if kind is Row else 0)


def _key_to_supersede(row: Row | LatencyRow | Reproduction | Crosscheck) -> tuple[str, ...]:
    """What a later row has to share; latencies of an earlier session stay, since others took turns with them."""
    if isinstance(row, LatencyRow):
        return row.session, row.key
    if isinstance(row, Crosscheck):
        return row.key, *row.crossing

    made = name_machine(row.provenance)
    return (made, row.row_machine, row.key) if isinstance(row, Reproduction) else (made, row.key)


def drop_rows(path: Path, is_unwanted: Callable[[Row], bool]) -> Upkeep:
    """Drop the rows that ``is_unwanted`` says; a file without any row left is removed.

    Args:
        path: a file of rows of images.
        is_unwanted: says of a row whether it goes.

    Raises:
        BenchError: a line is no row, or the file can't be written.
    """
    before, after = replace_lines(
        path, lambda lines: [line for line, row in zip(lines, _parse_rows(Row, lines)) if not is_unwanted(row)])
    return Upkeep(path, len(after), dropped=len(before) - len(after))


def _parse_rows(kind: type[R], lines: list[bytes]) -> Iterator[R]:
    for number, line in enumerate(lines, start=1):
        try:
            yield kind.from_json(line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
