"""Temporary files and folders that show whether their owner lives: what a killed process left, the next one removes.

The owner holds a lock that the operating system gives up when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

PREFIX = "bench-"
KINDS = ("benchmark", "encoded", "crosscheck", "decoder", "ffmpeg", "operators", "profile", "server", "vtm")
RUN_FOLDER = "BENCH_RUN_FOLDER"  # environment variable of processes that belong to a run: its temporary folder
_OWNER = ".owner"  # the locked file in a folder
_UNCLAIMED_S = 86400.0  # after which a folder without one was left between its making and its locking
_UNLOCKED_S = 60.0  # the same of an empty file
_own: set[Path] = set()  # of this process


@contextmanager
def temporary_folder(kind: str, place: str | None = None) -> Iterator[Path]:
    """Give a new folder, which is removed at the end.

    Args:
        kind: one of ``KINDS``.
        place: the folder to make it in, instead of the usual one.
    """
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{kind}-", dir=place) as name:
        unlocked = Path(name) / f"{_OWNER}.new"
        with unlocked.open("wb") as owner:
            _lock(owner)
            unlocked.replace(unlocked.with_name(_OWNER))
            _own.add(Path(name))
            yield Path(name)
    _own.discard(Path(name))


def temporary_file(kind: str) -> IO[bytes]:
    """Return a new file, open and named, which is removed when it is closed.

    Args:
        kind: one of ``KINDS``.
    """
    file = tempfile.NamedTemporaryFile(prefix=f"{PREFIX}{kind}-")
    _lock(file)
    _own.add(Path(file.name))
    return file


@contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """Give a new, empty file in the folder of ``path``, to be written and moved; it is removed where it is left.

    What killed processes left there goes before.
    """
    _sweep_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    unlocked = temporary.with_suffix(".new")
    try:
        with unlocked.open("xb") as owner:
            _lock(owner)
            _own.update((unlocked, temporary))
            unlocked.replace(temporary)
            yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        unlocked.unlink(missing_ok=True)
        _own.difference_update((unlocked, temporary))


def remove_own() -> None:
    """Remove what this process still has; for one that ends at once."""
    for path in list(_own):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def remove_abandoned(place: str | None = None) -> list[Path]:
    """Remove the user's temporary files and folders whose owners are gone, and return them.

    Args:
        place: the folder that they are in, instead of the usual one.
    """
    found = Path(place or tempfile.gettempdir()).glob(f"{PREFIX}*-*")
    return [path for path in found if path.name.split("-")[1] in KINDS and _remove_if_abandoned(path)]


@functools.cache  # once a process
def _sweep_folder(folder: Path) -> None:
    name = f".*.{'[0-9a-f]' * 32}"
    for path in folder.glob(f"{name}.tmp"):
        _remove_if_abandoned(path)
    for path in folder.glob(f"{name}.new"):
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > _UNLOCKED_S:
                path.unlink()


def _remove_if_abandoned(path: Path) -> bool:
    with suppress(OSError):
        if _is_abandoned(path):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            return True
    return False


def _lock(file: IO[bytes]) -> None:
    with suppress(OSError):  # a file system without locks: there nothing counts as abandoned
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_abandoned(path: Path) -> bool:
    """Whether nobody holds the lock; in doubt somebody does."""
    status = path.lstat()
    if status.st_uid != os.getuid() or not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        return False

    owner = path / _OWNER if stat.S_ISDIR(status.st_mode) else path
    try:
        number = os.open(owner, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return time.time() - status.st_mtime > _UNCLAIMED_S
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(number)
    return True
