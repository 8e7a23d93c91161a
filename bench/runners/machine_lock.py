"""Timing has a machine for itself: while one run times, no other one measures there, whatever its results' folder.

Who times announces it and waits until nobody measures; who measures begins nothing more while somebody has announced.
The kernel frees both locks when their process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TIMING, MEASURING = "timing", "measuring"
_RETRY_S = 1.0
_FOLDER = Path("/dev/shm")  # of this machine alone, whatever TMPDIR says, and the same for all users


def lock_folder() -> Path:
    """Return the folder of the locks: ``BENCH_MACHINE_LOCKS``, else one in memory, else the usual temporary one."""
    named = os.environ.get("BENCH_MACHINE_LOCKS")
    return Path(named or (_FOLDER if os.access(_FOLDER, os.W_OK) else tempfile.gettempdir()))


class MeasuringClaim:
    """The right to measure on this machine, beside others that do, unless somebody times."""

    def __init__(self) -> None:
        self._handle: int | None = None
        self._waits = False

    def take(self, tell: Callable[[str], None] = lambda text: None) -> bool:
        """Say whether something may begin now: not if somebody times, or waits to; what has begun goes on.

        Args:
            tell: is told once that there is somebody to wait for.
        """
        timing = _open(TIMING)
        try:
            waited, self._waits = self._waits, not _lock(timing, fcntl.LOCK_SH)
            if self._waits and not waited:
                tell("another run is timing on this machine: nothing begins until it is done")
            if self._waits:
                return False
            if self._handle is None:
                self._handle = _open(MEASURING)
                _lock(self._handle, fcntl.LOCK_SH)  # who holds it alone would hold the other one too
            return True
        finally:
            _close(timing)

    def release(self) -> None:
        """Give it back."""
        if self._handle is not None:
            _close(self._handle)
            self._handle = None


@contextmanager
def measuring(tell: Callable[[str], None]) -> Iterator[None]:
    """Measure for the duration of the context, beside others that do, once nobody times.

    Args:
        tell: is told what there is to wait for.
    """
    claim = MeasuringClaim()
    try:
        while not claim.take(tell):
            time.sleep(_RETRY_S)
        yield
    finally:
        claim.release()


@contextmanager
def timing_alone(tell: Callable[[str], None]) -> Iterator[None]:
    """Have the machine for the duration of the context.

    Args:
        tell: is told what there is to wait for.
    """
    handles = []
    try:
        for name in (TIMING, MEASURING):
            handles.append(_open(name))
            if not _lock(handles[-1], fcntl.LOCK_EX):
                tell(f"another run is {name} on this machine: waiting until it is done")
                fcntl.flock(handles[-1], fcntl.LOCK_EX)
        yield
    finally:
        for handle in reversed(handles):  # so that who waits for the first finds the second free
            _close(handle)


def _open(name: str) -> int:
    """Open a lock's file, which all users may lock; -1 where there can be none, and nobody is kept away."""
    path = lock_folder() / f"bench-{name}.lock"
    with suppress(OSError):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # another user's can't be opened for making it
    with suppress(OSError):
        return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    return -1


def _lock(handle: int, how: int) -> bool:
    if handle < 0:
        return True
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True


def _close(handle: int) -> None:
    if handle >= 0:
        os.close(handle)
