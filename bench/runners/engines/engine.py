"""What an engine is: something that runs units somewhere; and what a cluster is to the engines that have one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from bench.runners.evaluate.engine import Measured, Units

T = TypeVar("T")


class Engine(Protocol):
    """Runs units; rows come in groups that are stored at once."""

    def run_units(self, units: Units) -> Generator[list[Measured], None, None]:
        """Run all units and yield their rows as they come; what runs is ended when the generator is closed.

        Raises:
            BenchError: a unit could not go on.
        """
        ...


class Cluster(Protocol):
    """Where jobs are submitted: the little that Slurm and Ray are asked for."""

    def submit(self, batches: Sequence[Path]) -> list[str]:
        """Have a worker run each batch, of which the file is named; returns the names of the jobs."""
        ...

    def list_ended(self, jobs: Collection[str]) -> Mapping[str, str]:
        """Return those of ``jobs`` that run no more and won't again, and why: "done", "node failure", ..."""
        ...

    def cancel(self, jobs: Collection[str]) -> None:
        """End jobs that this run has submitted."""
        ...

    def ask(self, function: Callable[[], T]) -> T:
        """Return what ``function``, a module's own, gives on a worker."""
        ...

    def close(self) -> None:
        """Let go of the cluster."""
        ...
