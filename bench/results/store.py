"""Stored rows: ``results/<dataset>/<name>.jsonl``, append-only, safe against kills and a second run."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from bench.common.errors import BenchError
from bench.common.files import file_name, match_files, reading, write_whole, writing
from bench.common.hashing import digest_json
from bench.results.machines import Machine, choose_counting, keep_from, name_machine
from bench.results.rows import Row
from bench.results.schema import NewerSchema, StoredRow

PRUNE_HINT = "python -m bench results prune sets damaged lines aside"
_log = logging.getLogger(__name__)

R = TypeVar("R", bound=StoredRow)
T = TypeVar("T")


class Store:
    """Rows under one results directory.

    Every row is one line, written whole on a file opened for appending, under an exclusive
    lock, and synced. So a reader or a second writer never sees half a row, and a killed writer leaves at
    most one torn last line, which reading passes over and the next append removes.
    """

    def __init__(self, results_dir: Path | str) -> None:
        self.root = Path(results_dir)
        self._claims: int | None = None
        self._claims_path = self.root / ".claims"

    def folder(self, dataset: str) -> Path:
        """Return the folder that holds the rows of ``dataset``."""
        return self.root / file_name(dataset)

    def path(self, dataset: str, name: str) -> Path:
        """Return the file that holds the rows of codec ``name`` on ``dataset``."""
        return self.folder(dataset) / f"{file_name(name)}.jsonl"

    def append(self, row: Row) -> None:
        """Store one row durably.

        Raises:
            DiskFull: there is no space; the file is as it was before.
            BenchError: the file can't be written for another reason.
        """
        self.append_all([row])

    def append_all(self, rows: Iterable[Row]) -> None:
        """Store rows durably, those of one codec at once: the wait for the disk is most of the time.

        Raises:
            DiskFull: there is no space; what is stored is whole.
            BenchError: a file can't be written for another reason.
        """
        files: dict[Path, list[Row]] = {}
        for row in rows:
            files.setdefault(self.path(row.dataset, row.name), []).append(row)
        for path, own in files.items():
            append_rows(path, own)

    def read(self, dataset: str, name: str | None = None, *, machine: Machine | None = None) -> list[Row]:
        """Return the rows of ``dataset`` (of one codec ``name``) that count, see :func:`choose_counting`.

        Args:
            dataset: name of the dataset.
            name: of a codec; None for all.
            machine: only rows made there; None for all.

        Raises:
            BenchError: see :func:`read_rows`.
        """
        pattern = "*.jsonl" if name is None else self.path(dataset, name).name
        return choose_counting(keep_from(self._read_files(dataset, pattern), machine))

    def read_of_every_machine(self, dataset: str) -> list[Row]:
        """Return the last row of each key and machine.

        Raises:
            BenchError: see :func:`read_rows`.
        """
        rows = self._read_files(dataset, "*.jsonl")
        return list({(row.key, name_machine(row.provenance)): row for row in rows}.values())

    def _read_files(self, dataset: str, pattern: str) -> Iterator[Row]:
        for path in match_files(self.folder(dataset), pattern):
            yield from read_rows(path, Row)

    def claim(self, dataset: str, series: str) -> bool:
        """Take the right to measure ``series`` on ``dataset``; False if another process holds it.

        The kernel frees a claim when its process ends, however it ends. A claim is one byte of a file,
        locked at an offset made of the series, so no lock file is left behind.
        """
        with writing(self._claims_path):
            claims = self._open_claims()
            try:
                fcntl.lockf(claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _hash_to_offset(dataset, series))
            except (BlockingIOError, PermissionError):
                return False
        return True

    def release(self, dataset: str, series: str) -> None:
        """Give a claim back."""
        fcntl.lockf(self._open_claims(), fcntl.LOCK_UN, 1, _hash_to_offset(dataset, series))

    def _open_claims(self) -> int:
        """Open the file of claims once: closing any handle of it would free all claims of this process."""
        if self._claims is None:
            self.root.mkdir(parents=True, exist_ok=True)
            self._claims = os.open(self._claims_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        return self._claims


def append_row(path: Path, row: StoredRow) -> None:
    """Store one row of any kind durably at the end of ``path``; see :func:`append_rows`."""
    append_rows(path, [row])


def append_rows(path: Path, rows: Sequence[StoredRow]) -> None:
    """Store rows of any kind durably at the end of ``path``, all by one write.

    Args:
        path: a file of rows of this kind, which need not exist.
        rows: any stored rows.

    Raises:
        DiskFull: there is no space; the file is as it was before.
        BenchError: the file can't be written for another reason.
    """
    lines = b"".join(row.to_json().encode() + b"\n" for row in rows)
    with writing(path):
        created = not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        with _open_locked(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, fcntl.LOCK_EX) as handle:
            _repair_tail(handle, path)
            _write_whole(handle, lines)
        if created:
            _sync_directory(path.parent)


def _hash_to_offset(dataset: str, series: str) -> int:
    return int(digest_json({"dataset": dataset, "series": series})[:14], 16)


@contextmanager
def _open_locked(path: Path, flags: int, lock: int) -> Iterator[int]:
    """Open and lock the file that is at ``path`` once the lock is held: it may have been replaced meanwhile."""
    while True:
        handle = os.open(path, flags | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, lock)
            if _is_at(path, handle):
                yield handle
                return
        finally:
            os.close(handle)  # also unlocks


def _is_at(path: Path, handle: int) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(handle))


def _write_whole(handle: int, lines: bytes) -> None:
    """Append ``lines`` and sync; where that fails cut the file back, so that no half row stays."""
    before = os.fstat(handle).st_size
    try:
        written = os.write(handle, lines)
        while written < len(lines):  # a nearly full disk takes a part first and refuses the rest
            written += os.write(handle, lines[written:])
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, before)
        raise


def _repair_tail(handle: int, path: Path) -> None:
    """Make the file end with a line end: complete a whole last row, remove a torn one."""
    size = os.fstat(handle).st_size
    if size == 0 or os.pread(handle, 1, size - 1) == b"\n":
        return
    start = os.pread(handle, size, 0).rfind(b"\n") + 1
    tail = os.pread(handle, size - start, start)
    if _is_whole(tail):
        os.pwrite(handle, b"\n", size)  # the handle may stand at the beginning
        return
    _log.warning("%s: removed a torn last line of %d bytes", path, len(tail))
    os.ftruncate(handle, start)


def _is_whole(line: bytes) -> bool:
    """Say whether ``line`` is a whole JSON object; a row of a newer schema is one too and must stay."""
    try:
        return isinstance(json.loads(line.decode("utf-8-sig")), dict)
    except (ValueError, RecursionError):
        return False


def read_rows(path: Path, kind: type[R]) -> list[R]:
    """Return every row of ``path`` in the order they were stored; see :func:`read_lines`.

    Args:
        path: a file of rows.
        kind: of the rows; older schemas are upgraded.

    Raises:
        BenchError: the file can't be read, or a line is no row of ``kind``; the message names file, line and field.
    """
    return read_lines(path, kind.from_json, PRUNE_HINT)


def read_lines(path: Path, parse: Callable[[bytes], T], hint: str) -> list[T]:
    """Return what ``parse`` makes of every line of ``path`` that holds something.

    A last line without its end, which a killed run leaves, is passed over. This is the one reader of stored lines.

    Args:
        parse: raises ValueError where a line is wrong.
        hint: what to do about a wrong line.

    Raises:
        BenchError: the file can't be read, or a line is wrong; the message names file and line.
    """
    with reading(path), _open_locked(path, os.O_RDONLY, fcntl.LOCK_SH) as handle:
        with os.fdopen(os.dup(handle), "rb") as reader:
            lines = reader.read().split(b"\n")

    if lines[-1].strip() and not _is_whole(lines[-1]):
        _log.warning("%s: the last line is torn (a killed run); it is passed over", path)
        lines.pop()
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            if line.strip():
                found.append(parse(line))
        except ValueError as error:  # covers UnicodeDecodeError and JSONDecodeError
            raise BenchError(f"{path}, line {number}: {error}",
                             "" if isinstance(error, NewerSchema) else hint) from None
    return found


def replace_lines(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> tuple[list[bytes], list[bytes]]:
    """Replace the lines of ``path`` by what ``change`` makes of them, whole or not at all; without any, remove it.

    A torn last line goes. Nothing is written where nothing changes.

    Args:
        change: takes and returns lines without their ends; raises ValueError where one is no row.

    Returns:
        The lines before and after.

    Raises:
        BenchError: the file can't be read or written, or a line is no row.
    """
    try:
        with writing(path), _open_locked(path, os.O_RDWR, fcntl.LOCK_EX) as handle:
            _repair_tail(handle, path)
            before = os.pread(handle, os.fstat(handle).st_size, 0)
            lines = [line for line in before.split(b"\n") if line.strip()]
            changed = change(lines)
            after = b"".join(line + b"\n" for line in changed)
            if not after:
                path.unlink()
            elif after != before:
                write_whole(path, after)
            return lines, changed
    except ValueError as error:
        raise BenchError(f"{path}, {error}", PRUNE_HINT) from None


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
