"""What a folder of results holds, each part read once however many ask for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from bench.common.errors import BenchError
from bench.common.files import match_files
from bench.common.folders import BASELINE
from bench.common.text import list_names
from bench.results.crosschecks import FOLDER as CROSSCHECK
from bench.results.crosschecks import Crosscheck, read_crosschecks
from bench.results.folder_record import keep_covered
from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import LatencySelection, select_latency
from bench.results.machines import Machine, keep_from
from bench.results.reproductions import Reproduction, read_reproductions
from bench.results.row_selection import Selection, select_rows
from bench.results.rows import Row
from bench.results.store import Store, read_rows
from bench.results.training_logs import Training, read_trainings

LATENCY = "latency"  # folder of the devices that latencies were measured on
TRIAL = "trial.json"  # record of a trial, in a folder of its own

T = TypeVar("T")


class StoredResults:
    """The rows and logs under one folder, as they were when they were first asked for.

    Args:
        root: the folder.
        machine: count only rows that were made there; None counts all.
    """

    def __init__(self, root: Path | str, machine: Machine | None = None) -> None:
        self.root, self.machine = Path(root), machine
        self._derived: dict[Any, Any] = {}

    @cached_property
    def datasets(self) -> list[str]:
        """Names of the folders that hold rows of images which count."""
        names = {path.parent.name for path in match_files(self.root, "*/*.jsonl") if path.stat().st_size} - {BASELINE}
        return sorted(name for name in names if self.machine is None or self.rows(name))

    @cached_property
    def devices(self) -> list[str]:
        """Names of the folders of devices that hold rows of latencies which count."""
        names = {path.parent.name for path in match_files(self.root / LATENCY, "*/*.jsonl") if path.stat().st_size}
        return sorted(name for name in names if self.machine is None or self.latencies(name).stored)

    @cached_property
    def crosschecked(self) -> list[str]:
        """Names of the folders of datasets whose files were decoded under other settings."""
        paths = match_files(self.root / CROSSCHECK, "*/*.jsonl")
        return sorted({path.parent.name for path in paths if path.stat().st_size})

    @cached_property
    def trainings(self) -> list[Training]:
        """The logged trainings, by variant and rising λ.

        Raises:
            BenchError: a log is damaged.
        """
        return read_trainings(self.root)

    def rows(self, dataset: str) -> list[Row]:
        """Return the rows of ``dataset``, one of each key, see :meth:`Store.read`; none where none are stored.

        Of a folder of the user's they are those of the pictures that its last run covered.

        Args:
            dataset: one of :attr:`datasets`.

        Raises:
            BenchError: a file of rows is damaged, or rows are of several datasets.
        """
        return self.derive(_read_rows, dataset)

    def selection(self, dataset: str) -> Selection:
        """Return the chosen rows of ``dataset``, none where none are stored."""
        return self.derive(_select_rows, dataset)

    def reproductions(self, dataset: str) -> list[Reproduction]:
        """Return what measuring rows of ``dataset`` again gave, see :func:`read_reproductions`."""
        return self.derive(_read_reproductions, dataset)

    def crosschecks(self, dataset: str) -> list[Crosscheck]:
        """Return what decoding files of ``dataset`` under other settings gave, see :func:`read_crosschecks`."""
        return self.derive(_read_crosschecks, dataset)

    def latencies(self, device: str) -> LatencySelection:
        """Return the chosen rows of the folder ``device``, none where none are stored.

        Args:
            device: one of :attr:`devices`.

        Raises:
            BenchError: a file of rows is damaged.
        """
        return self.derive(_select_latencies, device)

    def derive(self, make: Callable[..., T], *arguments: Any) -> T:
        """Return ``make(self, *arguments)``, which is called only once for the same arguments."""
        key = (make, *arguments)
        if key not in self._derived:
            self._derived[key] = make(self, *arguments)
        return self._derived[key]


def _read_rows(results: StoredResults, dataset: str) -> list[Row]:
    store = Store(results.root)
    rows = keep_covered(store.read(dataset, machine=results.machine), store.folder(dataset))
    names = sorted({row.dataset for row in rows})
    if len(names) > 1:
        raise BenchError(f"{store.folder(dataset)} holds rows of several datasets: {list_names(names)}",
                         "move the rows of each to a folder of its own: they would be averaged together")
    return rows


def _read_reproductions(results: StoredResults, dataset: str) -> list[Reproduction]:
    return read_reproductions(results.root, dataset, results.rows(dataset))


def _read_crosschecks(results: StoredResults, dataset: str) -> list[Crosscheck]:
    return read_crosschecks(results.root, dataset)


def _select_rows(results: StoredResults, dataset: str) -> Selection:
    rows = results.rows(dataset)
    return select_rows(rows[0].dataset if rows else dataset, rows)  # a folder's name may stand for a longer one


def _select_latencies(results: StoredResults, device: str) -> LatencySelection:
    files = match_files(results.root / LATENCY / device, "*.jsonl")
    rows = (row for path in files for row in read_rows(path, LatencyRow))
    return select_latency(keep_from(rows, results.machine))
