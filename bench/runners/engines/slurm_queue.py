"""Slurm's queue, by its own commands: which jobs of a run live, and their end. Accounting is not needed."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Collection
from contextlib import suppress

from bench.common.errors import BenchError

RUNS_ON = frozenset({"PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "REQUEUED",
                     "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT", "STAGE_OUT"})


def list_states(name: str) -> dict[str, str] | None:
    """Return the states of the jobs called ``name`` that Slurm remembers; None where it does not answer."""
    done = _call("squeue", "--noheader", "--array", "--states=all", "--format=%i %T", *_choose(name))
    if done is None or done.returncode:
        return None
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line.strip())


def cancel_jobs(name: str) -> None:
    """End all jobs called ``name``.

    Raises:
        BenchError: Slurm does not end them.
    """
    done = _call("scancel", *_choose(name))
    if done is None or done.returncode:
        raise BenchError(f"the jobs called {name} could not be ended", f"scancel --name={name}")


def cancel_in_background(name: str, jobs: Collection[str]) -> None:
    """Have some jobs called ``name`` ended, whatever becomes of this process, which a signal may end first."""
    if jobs:
        with suppress(OSError):
            subprocess.run(["setsid", "--fork", "scancel", *_choose(name), *jobs], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)


def _choose(name: str) -> list[str]:
    return [f"--name={name}", f"--user={getpass.getuser()}"]


def _call(*command: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "LC_ALL": "C"})
    except (OSError, subprocess.TimeoutExpired):
        return None
