"""The Slurm that tests start: its two nodes run jobs, one can be lost, and nothing of it is left at the end."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import slurm_nodes

pytestmark = pytest.mark.skipif(os.environ.get("BENCH_SLURM") != "1", reason="starts a Slurm; run with BENCH_SLURM=1")
JOB = "echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES"


def run(nodes: slurm_nodes.SlurmNodes, *command: str) -> str:
    done = subprocess.run(command, env=nodes.environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr + nodes.describe()
    return done.stdout


def list_running(folder: Path) -> list[str]:
    """Command lines of processes that know of this Slurm's folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            known = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in known and int(process.name) != os.getpid():
            found.append(known[:200].decode(errors="replace"))
    return found


def test_two_nodes_run_jobs_and_nothing_is_left() -> None:
    missing = slurm_nodes.explain_missing()
    if missing is not None:
        pytest.skip(missing)
    with slurm_nodes.slurm_nodes(lost_after_s=10) as nodes:
        told = run(nodes, "srun", "--nodes=2", "--gres=gpu:1", "sh", "-c", JOB)
        assert sorted(told.split("\n")) == ["", "bench1 0", "bench2 0"]
        assert run(nodes, "srun", "--nodelist=bench2", "--gres=gpu:2", "sh", "-c", JOB) == "bench2 0,1\n"

        nodes.kill_node("bench1")
        slurm_nodes.wait_for("lost node", lambda: nodes.read_states()["bench1"].startswith("down"), nodes.describe)
        assert run(nodes, "srun", "sh", "-c", JOB).startswith("bench2")
        nodes.start_node("bench1")
        slurm_nodes.wait_for("node that is back", lambda: nodes.read_states()["bench1"] == "idle", nodes.describe)
        assert list_running(nodes.folder)
    assert list_running(nodes.folder) == []
