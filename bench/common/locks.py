"""Locks by which processes keep out of each other's folders; a killed process holds none."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from bench.common.errors import ConfigurationError


class FolderInUse(ConfigurationError):
    """Another process works in a folder."""


def lock_folder(folder: Path, activity: str, name: str = "lock") -> FileLock:
    """Keep other processes out of ``folder`` until what is returned is released or forgotten.

    Args:
        folder: made where it is missing.
        activity: what is done there, for the message: "trains".
        name: of the lock's file; locks of several names in one folder don't exclude each other.

    Raises:
        FolderInUse: another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / name, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FolderInUse(f"another process {activity} in {folder}",
                          "wait for it, stop it, or choose another --out") from None
    return lock
