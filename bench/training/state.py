"""The stored state of a training: whole or absent, one process' at a time, and refused when another job made it."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch

from bench.common.errors import CheckpointError, ConfigurationError
from bench.common.whole_files import whole
from bench.training.job import Job


def claim(folder: Path) -> IO[bytes]:
    """Keep other processes from training in ``folder`` until what is returned is closed or forgotten.

    Raises:
        ConfigurationError: another process trains there.
    """
    lock = (folder / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ConfigurationError(f"another process trains in {folder}",
                                 "wait for it, stop it, or choose another --out") from None
    return lock


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` so that a kill at any moment leaves the old file or the new one."""
    with whole(path) as temporary:
        torch.save(state, temporary)


def read_state(path: Path, job: Job, given: Mapping[str, Any]) -> dict[str, Any]:
    """Read the state of ``job`` with ``given`` start and images.

    Raises:
        CheckpointError: the file is damaged.
        ConfigurationError: another job made it, or the same from another start or images.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        made_by, wanted = {**state["job"], **state["given"]}, {**job.as_plain(), **given}
    except Exception as error:  # damaged files raise many kinds
        raise CheckpointError(f"{path} is no state of a training, or a damaged one: {error}",
                              "remove it to start anew, or choose another --out") from None
    if made_by != wanted:
        other = ", ".join(_differences(made_by, wanted))
        raise ConfigurationError(f"{path} was made by another training: {other}", "choose another --out")
    return state


def _differences(old: Any, new: Any, name: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [line for key in {**old, **new} for line in
                _differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)]
    return [] if old == new else [f"{name} {old!r}, not {new!r}"]
