"""Slurm, through submitit: a job for each batch, many of them one array; or the same as processes of this machine."""

from __future__ import annotations

import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import psutil

import bench
from bench.common.errors import BenchError
from bench.common.text import find_last_line
from bench.runners.engines.job import answer, run_batch
from bench.runners.engines.run_folder import RunFolder
from bench.runners.engines.slurm_queue import RUNS_ON, cancel_in_background, cancel_jobs, list_states

T = TypeVar("T")

LONGEST_ARRAY = 1000  # Slurm's default of MaxArraySize is 1001
_PATIENCE_S = 60.0


def explain_missing(here: bool) -> str | None:
    """Say what Slurm lacks here to be used, if anything.

    Args:
        here: jobs run as processes of this machine.
    """
    if find_spec("submitit") is None:
        return "submitit is not installed: pip install -e '.[slurm]'"
    if not here and shutil.which("sbatch") is None:
        return "there is no sbatch on this machine: run where jobs are submitted, a login node"
    return None


class SlurmCluster:
    """Jobs of Slurm.

    Args:
        folder: of the run, which all nodes must see; its name is that of the jobs.
    """

    def __init__(self, folder: RunFolder) -> None:
        import submitit

        setup = folder.run.setup
        self.window: int | None = (setup.slots or 1) if setup.here else None
        self.poll_s, self.grace_s = (1.0, 1.0) if setup.here else (10.0, 30.0)
        self._folder, self._here = folder, setup.here
        python = setup.python or shlex.quote(sys.executable)
        make = submitit.LocalExecutor if setup.here else submitit.SlurmExecutor
        self._executor = make(folder.logs, max_num_timeout=0, python=python)
        self._parameters = _list_parameters(folder)
        self._executor.update_parameters(**self._parameters)
        self._jobs: dict[str, Any] = {}

    def submit(self, batches: Sequence[Path], avoid: Collection[str] = ()) -> list[str]:
        """See :class:`bench.runners.engines.engine.Cluster`."""
        if not avoid or self._here:
            return self._submit(batches)
        self._executor.update_parameters(exclude=",".join(sorted(avoid)))
        try:
            return self._submit(batches)
        except BenchError:  # there are no other nodes
            self._executor.parameters.pop("exclude")
            return self._submit(batches)
        finally:
            self._executor.parameters.pop("exclude", None)

    def _submit(self, batches: Sequence[Path]) -> list[str]:
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        paths, jobs = [str(path) for path in batches], []
        try:
            for start in range(0, len(paths), LONGEST_ARRAY):
                jobs += self._executor.map_array(run_batch, paths[start:start + LONGEST_ARRAY])
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            raise BenchError(f"no job can be submitted: {find_last_line(str(error))}",
                             "docs/cluster.md says what each option becomes") from error
        self._jobs |= {job.job_id: job for job in jobs}
        return [job.job_id for job in jobs]

    def list_ended(self, jobs: Collection[str]) -> Mapping[str, str]:
        """See :class:`bench.runners.engines.engine.Cluster`; nothing has ended as far as is known where nobody says."""
        if self._here:
            return {job: self._describe_end(job, "ended") for job in jobs if self._jobs[job].done()}
        states = list_states(self._folder.run.name)
        if states is None:
            return {}
        ended = {job: states.get(job, "gone from the queue") for job in jobs if states.get(job) not in RUNS_ON}
        return {job: self._describe_end(job, state) for job, state in ended.items()}

    def cancel(self, jobs: Collection[str]) -> None:
        """See :class:`bench.runners.engines.engine.Cluster`."""
        if not self._here:
            cancel_in_background(self._folder.run.name, jobs)
            return
        for job in jobs:
            self._jobs[job].cancel()
        for job in jobs:
            self._jobs[job]._process.wait()

    def ask(self, function: Callable[..., T], *arguments: str) -> tuple[T | None, str]:
        """See :class:`bench.runners.engines.engine.Cluster`."""
        job = self._executor.submit(answer, function, *arguments)
        self._jobs[job.job_id] = job
        try:
            while not job.paths.result_pickle.exists():  # submitit itself asks the accounting, which many lack
                time.sleep(1.0)
                if ended := self.list_ended([job.job_id]):
                    time.sleep(self.grace_s)
                    if not job.paths.result_pickle.exists():
                        raise BenchError(f"no worker answers: {ended[job.job_id]}",
                                         "Python, the checkout and results must lie where nodes see them: "
                                         "docs/cluster.md")
            return job.result()
        except BaseException:
            self.cancel([job.job_id])
            raise

    def close(self) -> None:
        """See :class:`bench.runners.engines.engine.Cluster`."""

    def _describe_end(self, job: str, state: str) -> str:
        paths = self._jobs[job].paths
        for path in (paths.stderr, paths.stdout):
            if path.exists() and (words := path.read_text(errors="replace").strip()):
                return f"{state}; it printed last: {find_last_line(words)}"
        return state


def _list_parameters(folder: RunFolder) -> dict[str, Any]:
    """Return what submitit calls the options of a job."""
    setup = folder.run.setup
    root = str(Path(bench.__file__).resolve().parents[1])
    if setup.here:
        here = {"timeout_min": setup.job_min, "gpus_per_node": setup.gpus, "setup": list(setup.setup) or None}
        return {name: value for name, value in here.items() if value is not None}

    wanted = {"gpus_per_node": setup.gpus, "cpus_per_task": setup.cpus, "partition": setup.partition,
              "mem": None if setup.mem_gb is None else f"{round(1024 * setup.mem_gb)}M",
              "account": setup.account, "exclusive": setup.exclusive or None}
    return {
        **{name: value for name, value in wanted.items() if value is not None},
        "time": setup.job_min, "job_name": folder.run.name, "array_parallelism": setup.slots or LONGEST_ARRAY,
        "stderr_to_stdout": True,
        "setup": [f"export PYTHONPATH={shlex.quote(root)}${{PYTHONPATH:+:$PYTHONPATH}}", *setup.setup],
        "additional_parameters": {"no-requeue": True, **setup.options},  # what is lost is submitted again, elsewhere
    }


def list_alive(folder: RunFolder) -> set[str] | None:
    """Return the jobs of a run that live, whoever submitted them; None where nobody knows."""
    if folder.run.setup.here:
        return {str(process.pid) for process in _list_processes(folder)}
    states = list_states(folder.run.name)
    return None if states is None else {job for job, state in states.items() if state in RUNS_ON}


def cancel_run(folder: RunFolder) -> None:
    """End all jobs of a run, whoever submitted them.

    Raises:
        BenchError: Slurm does not end them.
    """
    if not folder.run.setup.here:
        cancel_jobs(folder.run.name)
        return
    processes = _list_processes(folder)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)  # submitit then ends what it started
    psutil.wait_procs(processes, timeout=_PATIENCE_S)


def _list_processes(folder: RunFolder) -> list[psutil.Process]:
    """The processes that submitit started in place of jobs: their command names the folder."""
    found = []
    for job in folder.list_jobs():
        with suppress(psutil.Error):
            process = psutil.Process(int(job.job))
            if str(folder.logs) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
