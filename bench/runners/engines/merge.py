"""What runs without a driver have measured: stored by whoever looks next, each row once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.common.files import match_files
from bench.results.rows import Row, row_key
from bench.results.store import Store
from bench.runners.engines.batches import read_batch
from bench.runners.engines.registry import ENGINES
from bench.runners.engines.run_folder import RunFolder
from bench.runners.engines.shards import LAST, MeasuredLine, ShardReader
from bench.runners.evaluate.unit import identify


@dataclass(frozen=True)
class RunState:
    """How far a run is.

    Attributes:
        folder: of the run.
        has_driver: a process stores its rows as they come.
        batches: that are not merged.
        alive: jobs that may still measure; None where nobody knows.
    """

    folder: RunFolder
    has_driver: bool
    batches: tuple[str, ...]
    alive: int | None


def list_runs(results: Path) -> Iterator[RunState]:
    """Yield the state of each run that has a folder below ``results``."""
    for folder in RunFolder.list_all(results):
        has_driver = folder.lock() is None
        batches = tuple(sorted(path.stem for path in match_files(folder.batches, "*.json")))
        alive = _list_alive(folder)
        yield RunState(folder, has_driver, batches, None if alive is None else len(alive))


def merge_abandoned(store: Store) -> list[str]:
    """Store what runs without a driver have measured, and remove what has no more to give; return a line for each run.

    A run whose jobs go on is merged as far as it is; look again later.

    Raises:
        BenchError: files can't be read or written; what was stored stays.
    """
    told = []
    for folder in RunFolder.list_all(store.root):
        lock = folder.lock()
        if lock is None:
            continue
        alive = _list_alive(folder)  # before the shards are read: what ends meanwhile is looked at next time
        rows = _merge_shards(folder, store)
        left = _drop_dead_batches(folder, alive)
        if not left:
            folder.remove()
        goes_on = f"; {left} batches of it are still to come (python -m bench jobs)" if left else ""
        told.append(f"stored {rows} rows of {folder.run.dataset} that jobs of {folder.run.name} measured{goes_on}")
    return told


def list_keys_in_work(results: Path) -> set[str]:
    """Return the keys of rows that jobs of runs without a driver will still give."""
    keys = set()
    for folder in RunFolder.list_all(results):
        if folder.lock() is None:
            continue  # its driver holds claims
        for path in match_files(folder.batches, "*.json"):
            for unit in read_batch(path).units:
                series = unit.series or identify(unit.spec)
                keys |= {row_key(series.digest, unit.dataset, image.name, image.sha256) for image in unit.images}
    return keys


def _merge_shards(folder: RunFolder, store: Store) -> int:
    stored: dict[Path, set[str]] = {}
    merged = 0
    for path in match_files(folder.shards, "*.jsonl"):
        lines = ShardReader(path).read_new()
        rows = [line.parse_row() for line in lines if isinstance(line, MeasuredLine)]
        new = [row for row in rows if row.to_json() not in _read_stored(store, row, stored)]
        store.append_all(new)
        merged += len(new)
        if lines and isinstance(lines[-1], LAST):
            folder.remove_batch(path.stem)
    return merged


def _read_stored(store: Store, row: Row, known: dict[Path, set[str]]) -> set[str]:
    """The stored lines of a row's file: its driver may have stored a row and died before it put the shard away."""
    path = store.path(row.dataset, row.name)
    if path not in known:
        known[path] = set(path.read_text().splitlines()) if path.exists() else set()
    return known[path]


def _drop_dead_batches(folder: RunFolder, alive: set[str] | None) -> int:
    """Remove batches whose jobs have ended without saying so; return how many are left."""
    jobs = {job.batch: job.job for job in folder.list_jobs()}
    left = 0
    for path in match_files(folder.batches, "*.json"):
        if alive is not None and jobs.get(path.stem) not in alive:
            folder.remove_batch(path.stem)
        else:
            left += 1
    return left


def _list_alive(folder: RunFolder) -> set[str] | None:
    entry = ENGINES.get(folder.run.setup.engine)
    return set() if entry is None else entry.list_alive(folder)
