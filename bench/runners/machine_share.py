"""Which share of the machine this process has: nice value, cores, and what its control groups allow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

import psutil

from bench.common.errors import ConfigurationError

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
# Of version 2 and of version 1.
_MEMORY_LIMIT = ("memory.max", "memory.limit_in_bytes")
_MEMORY_USED = ("memory.current", "memory.usage_in_bytes")


class MachineShared(ConfigurationError):
    """Times would be of a part of the machine, or beside others."""


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_free_memory() -> int:
    """Return the bytes that this process and those that it starts may still take."""
    left = [psutil.virtual_memory().available]
    for group in _list_groups("memory"):
        limit, used = (_read_number(group, names) for names in (_MEMORY_LIMIT, _MEMORY_USED))
        if limit is not None and used is not None:
            left.append(max(0, limit - used))
    return min(left)


def _read_number(group: Path, names: Sequence[str]) -> int | None:
    for name in names:
        with suppress(OSError, ValueError):  # "max"
            return int((group / name).read_text())
    return None


def find_cpu_quota() -> float | None:
    """Return how many CPUs' time the control groups of this process allow; None where nothing limits it."""
    quotas = [quota for group in _list_groups("cpu") if (quota := _read_quota(group)) is not None]
    return min(quotas, default=None)


def _list_groups(controller: str) -> Iterator[Path]:
    """Yield the folders of this process' groups and of those above them, in version 2 and in version 1.

    A container sees its own group as the root.
    """
    try:
        lines = OWN_GROUPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number != "0" and controller not in controllers.split(","):
            continue
        root = CGROUPS if number == "0" else CGROUPS / controllers
        group = PurePosixPath(path.lstrip("/"))
        if ".." not in group.parts:
            yield from (root / above for above in (group, *group.parents))


def _read_quota(group: Path) -> float | None:
    """Return the CPUs that a group allows: of "max 100000" or "150000 100000", or of version 1's two files."""
    try:
        quota_us, period_us = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota_us = (group / "cpu.cfs_quota_us").read_text()
            period_us = (group / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        return round(int(quota_us) / int(period_us), 3) if int(quota_us) > 0 else None
    except (ValueError, ZeroDivisionError):  # "max"
        return None


def list_sharing_signs() -> list[str]:
    """Return what says that this process has the machine not to itself; empty where nothing does."""
    cpus, cores, quota, nice = os.cpu_count() or 1, usable_cores(), find_cpu_quota(), os.nice(0)
    signs = {
        f"it runs at nice {nice}": nice > 0,
        f"it may use {cores} of the machine's {cpus} CPUs": cores < cpus,
        f"its control group allows {quota:g} of the machine's {cpus} CPUs" if quota else "": quota and quota < cpus,
    }
    return [text for text, holds in signs.items() if holds]


def refuse_shared_machine() -> None:
    """Let a process time that has the machine to itself.

    Raises:
        MachineShared: it has not; the message says why and what to do.
    """
    if signs := list_sharing_signs():
        raise MachineShared(
            f"times of this process would not be the machine's: {'; '.join(signs)}",
            "take the whole machine (Slurm: --exclusive; Ray: RAY_worker_niceness=0), or time all the same by "
            "--shared-machine: rows tell nice value, CPUs and quota")
