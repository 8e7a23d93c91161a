"""Whether a process has its machine to itself: nice value, cores and control groups, read from pretended ones."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.runners import machine_share
from bench.runners.machine_share import (
    MachineShared,
    find_cpu_quota,
    find_free_memory,
    list_sharing_signs,
    refuse_shared_machine,
)


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where control groups are mounted; the machine has eight CPUs, all usable, and nothing is niced."""
    monkeypatch.setattr(machine_share, "CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(machine_share, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr("os.nice", lambda change: 0)
    return tmp_path / "groups"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_groups_nothing_is_limited(groups: Path) -> None:
    assert find_cpu_quota() is None and list_sharing_signs() == []
    refuse_shared_machine()


@pytest.mark.parametrize(("limits", "quota"), [
    ({"": "max 100000", "slurm": "max 100000", "slurm/job": "150000 100000"}, 1.5),
    ({"slurm": "400000 100000", "slurm/job": "max 100000"}, 4.0),  # a group above it limits too
    ({"slurm": "50000 100000", "slurm/job": "400000 100000"}, 0.5),
    ({"": "200000 100000"}, 2.0),  # a container sees its own group as the root
    ({"slurm/job": "max 100000"}, None), ({"slurm/job": ""}, None), ({"slurm/job": "100000 0"}, None),
])
def test_the_least_quota_of_all_groups_counts(groups: Path, limits: dict[str, str], quota: float | None) -> None:
    write(groups.parent / "own", "0::/slurm/job\n")
    for group, text in limits.items():
        write(groups / group / "cpu.max", text)
    assert find_cpu_quota() == quota


def test_groups_of_version_1_are_read_too(groups: Path) -> None:
    write(groups.parent / "own", "5:memory:/other\n3:cpu,cpuacct:/docker/abc\n")
    write(groups / "cpu,cpuacct" / "docker" / "abc" / "cpu.cfs_quota_us", "250000\n")
    write(groups / "cpu,cpuacct" / "docker" / "abc" / "cpu.cfs_period_us", "100000\n")
    write(groups / "memory" / "other" / "cpu.cfs_quota_us", "1\n")
    assert find_cpu_quota() == 2.5
    write(groups / "cpu,cpuacct" / "docker" / "abc" / "cpu.cfs_quota_us", "-1\n")
    assert find_cpu_quota() is None


def test_a_group_outside_of_what_is_mounted_is_left_out(groups: Path) -> None:
    write(groups.parent / "own", "0::/../../other\n")
    write(groups.parent / "other" / "cpu.max", "100000 100000")
    assert find_cpu_quota() is None


def test_a_niced_process_is_no_measure_of_the_machine(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.nice", lambda change: 15)
    with pytest.raises(MachineShared, match="nice 15") as caught:
        refuse_shared_machine()
    assert "--shared-machine" in str(caught.value) and "RAY_worker_niceness=0" in str(caught.value)


def test_a_part_of_the_cpus_is_no_measure_of_the_machine(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(groups.parent / "own", "0::/job\n")
    write(groups / "job" / "cpu.max", "800000 100000")
    refuse_shared_machine()  # as many as there are
    write(groups / "job" / "cpu.max", "350000 100000")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 5})
    with pytest.raises(MachineShared, match="may use 2 of the machine's 8 CPUs.*allows 3.5 of the machine's 8"):
        refuse_shared_machine()


@pytest.mark.parametrize(("own", "files", "left"), [
    ("0::/job\n", {"job/memory.max": "3000", "job/memory.current": "1000"}, 2000),
    ("0::/job\n", {"job/memory.max": "max", "job/memory.current": "1000"}, 10**6),
    ("0::/a/job\n", {"a/job/memory.max": "9000", "a/job/memory.current": "0", "a/memory.max": "500",
                     "a/memory.current": "400"}, 100),
    ("4:memory:/job\n", {"memory/job/memory.limit_in_bytes": "700", "memory/job/memory.usage_in_bytes": "800"}, 0),
    ("", {}, 10**6),
])
def test_memory_is_what_the_least_group_leaves(groups: Path, monkeypatch: pytest.MonkeyPatch, own: str,
                                               files: dict[str, str], left: int) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=10**6))
    write(groups.parent / "own", own)
    for name, text in files.items():
        write(groups / name, text)
    assert find_free_memory() == left
