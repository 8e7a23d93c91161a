"""What an engine is: something that runs units somewhere; and what a cluster is to the engines that have one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from bench.runners.evaluate.engine import Measured, Units
from bench.runners.evaluate.expected import ExpectedUnit
from bench.runners.evaluate.unit import Unit

T = TypeVar("T")


class TimedUnits(Units, ABC):
    """Units that are known to take so long, so that they can be put into batches."""

    @abstractmethod
    def expect(self, unit: Unit) -> ExpectedUnit:
        """Return what a unit that was taken is expected to take."""

    @abstractmethod
    def share_among(self, workers: int) -> None:
        """Say that all that is left is measured by so many at a time."""


class Engine(Protocol):
    """Runs units; rows come in groups that are stored at once."""

    def run_units(self, units: TimedUnits) -> Generator[list[Measured], None, None]:
        """Run all units and yield their rows as they come; what runs is ended when the generator is closed.

        Raises:
            BenchError: a unit could not go on.
        """
        ...


class Cluster(Protocol):
    """Where jobs are submitted: the little that Slurm and Ray are asked for.

    Attributes:
        window: how many jobs are submitted at a time; None for all, of which the cluster itself starts some at a time.
        poll_s: between looks at which jobs have ended.
        grace_s: after a job's end, until what it wrote is seen here.
    """

    window: int | None
    poll_s: float
    grace_s: float

    def submit(self, batches: Sequence[Path], avoid: Collection[str] = ()) -> list[str]:
        """Have a worker run each batch, of which the file is named; returns the names of the jobs.

        Args:
            batches: files that :func:`bench.runners.engines.job.run_batch` reads.
            avoid: nodes on which these batches were lost before, which are better left out.

        Raises:
            BenchError: the cluster refuses.
        """
        ...

    def list_ended(self, jobs: Collection[str]) -> Mapping[str, str]:
        """Return those of ``jobs`` that run no more and won't again, and how they ended, as far as is known."""
        ...

    def cancel(self, jobs: Collection[str]) -> None:
        """End jobs that this run has submitted."""
        ...

    def ask(self, function: Callable[..., T], *arguments: str) -> tuple[T | None, str]:
        """Return what ``function``, a module's own, gives on a worker; see :func:`bench.runners.engines.job.answer`.

        Raises:
            BenchError: no worker answers.
        """
        ...

    def close(self) -> None:
        """Let go of the cluster."""
        ...
