"""Slurm's queue, by its own commands: which jobs of a run live, and their end. Accounting is not needed."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Collection

from bench.common.errors import BenchError

RUNS_ON = frozenset({"PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "REQUEUED",
                     "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT", "STAGE_OUT"})


def list_states(name: str) -> dict[str, str] | None:
    """Return the states of the jobs called ``name`` that Slurm remembers; None where it does not answer."""
    done = _call("squeue", "--noheader", "--array", "--states=all", f"--name={name}", f"--user={getpass.getuser()}",
                 "--format=%i %T")
    if done is None or done.returncode:
        return None
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line.strip())


def cancel_jobs(name: str, jobs: Collection[str] = ()) -> None:
    """End jobs called ``name``, all of them unless some are given; others are never ended.

    Raises:
        BenchError: Slurm does not end them.
    """
    done = _call("scancel", "--quiet", f"--name={name}", f"--user={getpass.getuser()}", *jobs)
    if done is None or (done.returncode and "Invalid job id" not in done.stderr):
        raise BenchError(f"the jobs called {name} could not be ended", f"scancel --name={name}")


def _call(*command: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "LC_ALL": "C"})
    except (OSError, subprocess.TimeoutExpired):
        return None
