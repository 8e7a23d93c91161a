"""How the C library keeps memory: a CPU spends a quarter of a codec's time on getting the same memory again.

glibc maps each block of more than 32 MiB anew and gives it back when it is freed, so that the system zeroes every page
of every large tensor. No result depends on it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Parameters of mallopt (malloc.h) and their values.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_NEVER, _USUAL_MAPS, _LARGEST_THRESHOLD = -1, 65536, 32 << 20


def keep_freed_memory() -> bool:
    """Keep what is freed for the next allocation until the process ends; returns whether the C library can.

    The process stays as large as it was at its peak.
    """
    mallopt = _mallopt()
    if mallopt is None:
        return False
    # The threshold that glibc itself reaches after a while; naming one stops its own adjustments.
    return bool(mallopt(_TRIM_THRESHOLD, _NEVER) and mallopt(_MMAP_THRESHOLD, _LARGEST_THRESHOLD)
                and mallopt(_MMAP_MAX, 0))


def release_freed_memory() -> None:
    """Give back to the system what is freed and kept, where the C library can: the next pass gets it anew."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@contextmanager
def memory_given_back() -> Iterator[None]:
    """Give freed memory back as glibc does by itself after a while; :func:`keep_freed_memory` applies again afterwards.

    That is: map blocks of more than 32 MiB anew, and give back what is free at the heap's end from 64 MiB on.
    """
    mallopt = _mallopt()
    if mallopt is not None:
        mallopt(_MMAP_MAX, _USUAL_MAPS)
        mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_THRESHOLD)
    try:
        yield
    finally:
        keep_freed_memory()


def _mallopt() -> Callable[[int, int], int] | None:
    return getattr(ctypes.CDLL(None), "mallopt", None)
