"""The engines by name: what each lacks here to be used, and how its cluster is reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.common.errors import ConfigurationError
from bench.common.registry import Registry
from bench.runners.engines import ray, slurm
from bench.runners.engines.dispatch import ClusterEngine
from bench.runners.engines.engine import Cluster
from bench.runners.engines.run_folder import RunFolder
from bench.runners.engines.setup import LOCAL, RAY, SLURM, Setup


@dataclass(frozen=True)
class ClusterEntry:
    """An engine that has a cluster.

    Attributes:
        explain_missing: says what is lacking on this machine, if anything; its argument is the set-up's ``here``.
        connect: to the cluster, for a run.
        list_alive: jobs of a run without its driver; None where nobody knows.
        cancel_run: ends these.
        outlives_driver: whether jobs go on when their driver has ended.
    """

    explain_missing: Callable[[bool], str | None]
    connect: Callable[[RunFolder], Cluster]
    list_alive: Callable[[RunFolder], set[str] | None]
    cancel_run: Callable[[RunFolder], None]
    outlives_driver: bool

    def available(self, here: bool = False) -> bool:
        """Whether it can be used on this machine."""
        return self.explain_missing(here) is None


ENGINES: Registry[ClusterEntry | None] = Registry("engine", {
    LOCAL: None,  # which needs nothing
    SLURM: ClusterEntry(slurm.explain_missing, slurm.SlurmCluster, slurm.list_alive, slurm.cancel_run, True),
    RAY: ClusterEntry(ray.explain_missing, ray.RayCluster, lambda folder: set(), lambda folder: None, False),
})


def list_available() -> list[str]:
    """Return the names of the engines that can be used on this machine."""
    return [name for name in ENGINES if (entry := ENGINES.get(name)) is None or entry.available()]


@contextmanager
def open_cluster(setup: Setup, results: Path, dataset: str, detach: bool = False) -> Iterator[ClusterEngine]:
    """Reach the cluster of a set-up for one run, and let go of it at the end.

    Args:
        setup: of an engine that has a cluster.
        results: folder of the run's rows; all nodes must see it.
        dataset: that is measured.
        detach: leave the jobs alone once they are submitted.

    Raises:
        ConfigurationError: the engine can't be used on this machine, or not like this.
        BenchError: the cluster can't be reached.
    """
    entry = ENGINES.get(setup.engine)
    assert entry is not None
    if missing := entry.explain_missing(setup.here):
        raise ConfigurationError(f"the engine {setup.engine} can't be used here: {missing}",
                                 f"can be used: {', '.join(list_available())}; see docs/cluster.md")
    if detach and not entry.outlives_driver:
        raise ConfigurationError(f"tasks of {setup.engine} end with the command that started them",
                                 "leave out --detach, and run the command on the cluster: docs/cluster.md")
    folder = RunFolder.create(results, dataset, setup)
    lock = folder.lock()
    assert lock is not None
    with ExitStack() as stack:
        stack.callback(lock.release)
        stack.callback(_remove_unused, folder)
        cluster = stack.enter_context(closing(entry.connect(folder)))
        yield ClusterEngine(cluster, folder, detach=detach)


def _remove_unused(folder: RunFolder) -> None:
    if not folder.list_jobs():
        folder.remove()
