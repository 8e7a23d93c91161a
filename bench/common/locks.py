"""Locks by which processes keep out of each other's folders; a killed process holds none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.common.errors import ConfigurationError
from bench.common.files import writing


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
        PlaceError: the folder can't be written, or its file system has no locks.
    """
    lock = _acquire(folder / name, wait=False)
    if lock is None:
        raise FolderInUse(f"another process {activity} in {folder}",
                          "wait for it, stop it, or choose another --out")
    return lock


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Lock a file, waiting for the process that holds it; its folder is made where it is missing.

    Raises:
        PlaceError: it can't be written, or its file system has no locks.
    """
    lock = _acquire(path, wait=True)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _acquire(path: Path, *, wait: bool) -> FileLock | None:
    """Return the lock, held; None where another process holds it and is not waited for."""
    lock = FileLock(path, thread_local=False)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            return None
    return lock
