"""Bounds on time and memory that are enforced while an input is tried."""

from __future__ import annotations

import contextlib
import faulthandler
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

MOST_S = 10.0  # of CPU: on a loaded machine a clock says nothing
MOST_BYTES = 500_000_000  # above what the process held before
HANGING_S = 240  # by the clock; what neither computes nor returns, or never leaves a library, ends the process then
SPARE_BYTES = 4 * 2**30  # of addresses, so that what asks for more fails instead of the machine


class OutOfBounds(BaseException):
    """Time or memory is used up; no Exception, so that nothing under test takes it for an error of its own."""


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Bound what happens inside.

    Raises:
        OutOfBounds: it takes more than MOST_S or MOST_BYTES.
    """
    held = _restart_peak()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_read_status("VmSize") + SPARE_BYTES, limits[1]))
    before = signal.signal(signal.SIGPROF, _stop)
    signal.setitimer(signal.ITIMER_PROF, MOST_S)
    faulthandler.dump_traceback_later(HANGING_S, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)

    taken = _read_status("VmHWM") - held
    if taken > MOST_BYTES:
        raise OutOfBounds(f"{taken / 1e6:.0f} MB")


def _stop(*_: object) -> None:
    raise OutOfBounds(f"more than {MOST_S:g} s of CPU")


def _restart_peak() -> int:
    """Let the kernel count the peak of resident memory anew; returns what is resident."""
    with contextlib.suppress(OSError):  # where that can't be done the peak is the highest so far, and held counts it
        Path("/proc/self/clear_refs").write_text("5")
    return _read_status("VmHWM")


def _read_status(field: str) -> int:
    """A figure of this process, in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{field}:"))
    return 1024 * int(line.split()[1])
