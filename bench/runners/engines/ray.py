"""Ray, by its core interface: a task for each batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import bench
from bench.common.errors import BenchError
from bench.common.text import find_last_line
from bench.runners.engines.job import answer, run_batch
from bench.runners.engines.run_folder import RunFolder

T = TypeVar("T")

# Of what this process starts itself: workers are else niced to 15, and a raylet ends itself on a busy machine.
DEFAULTS = {"RAY_worker_niceness": "0", "RAY_agent_register_timeout_ms": "300000"}
MACHINE = "machine"  # a resource that each node has once: who takes it is alone there


def explain_missing(here: bool) -> str | None:
    """Say what Ray lacks here to be used, if anything."""
    return "ray is not installed: pip install -e '.[ray]'" if find_spec("ray") is None else None


class RayCluster:
    """Tasks of Ray: of the cluster at the set-up's address, else of ``RAY_ADDRESS``, else of this machine alone.

    Args:
        folder: of the run, which all nodes must see.
    """

    poll_s, grace_s = 0.5, 2.0

    def __init__(self, folder: RunFolder) -> None:
        import ray

        self._ray, setup = ray, folder.run.setup
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        self._is_own = not ray.is_initialized()
        try:
            if self._is_own:
                ray.init(setup.address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise BenchError(f"Ray can't be reached: {error}", "docs/cluster.md says how to start it") from error

        self.window = setup.slots
        self._options: dict[str, Any] = {"num_cpus": setup.cpus or 1, "num_gpus": setup.gpus or 0, "max_retries": 0,
                                         "name": folder.run.name, "runtime_env": {"env_vars": _list_variables()}}
        if setup.mem_gb is not None:
            self._options["memory"] = int(setup.mem_gb * 1e9)
        if setup.exclusive:
            self._options["resources"] = {MACHINE: 1}
        self._tasks: dict[str, Any] = {}

    def submit(self, batches: Sequence[Path], avoid: Collection[str] = ()) -> list[str]:
        """See :class:`bench.runners.engines.engine.Cluster`; Ray itself gives no task to a node that is gone."""
        task = self._ray.remote(**self._options)(run_batch)
        references = [task.remote(str(path)) for path in batches]
        self._tasks |= {reference.hex(): reference for reference in references}
        return [reference.hex() for reference in references]

    def list_ended(self, jobs: Collection[str]) -> Mapping[str, str]:
        """See :class:`bench.runners.engines.engine.Cluster`."""
        if not jobs:
            return {}
        waiting = [self._tasks[job] for job in jobs]
        ready, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
        return {reference.hex(): self._describe_end(reference) for reference in ready}

    def cancel(self, jobs: Collection[str]) -> None:
        """See :class:`bench.runners.engines.engine.Cluster`."""
        for job in jobs:
            self._ray.cancel(self._tasks[job], force=True)

    def ask(self, function: Callable[..., T], *arguments: str) -> tuple[T | None, str]:
        """See :class:`bench.runners.engines.engine.Cluster`."""
        try:
            return self._ray.get(self._ray.remote(**self._options)(answer).remote(function, *arguments))
        except self._ray.exceptions.RayError as error:
            raise BenchError(f"no worker answers: {find_last_line(str(error))}") from error

    def close(self) -> None:
        """See :class:`bench.runners.engines.engine.Cluster`."""
        if self._is_own:
            self._ray.shutdown()

    def _describe_end(self, reference: Any) -> str:
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return f"{type(error).__name__}: {find_last_line(str(error))}"
        return "ended"


def _list_variables() -> dict[str, str]:
    """What the environment of tasks has of this process' own: where modules are, and settings of the suite."""
    root = str(Path(bench.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {**{name: value for name, value in os.environ.items() if name.startswith("BENCH_")}, "PYTHONPATH": path}
