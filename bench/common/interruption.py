"""SIGTERM, Ctrl-C and a closed terminal end a verb in order, within 2 s: it says what is stored, and nothing lives on.

The main thread gets an exception and unwinds. Where that takes too long, in native code or since somebody passes the
exception over, another thread ends the process: at any moment files are whole or absent.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from psutil import Process

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_UNWINDING_S = 1.0
_ENDING_S = 0.5
_TRACKER = "multiprocessing.resource_tracker"  # removes what Python shares between processes, then ends by itself

_held = threading.local()


class _Interruption:
    """What is known of the end: ``number`` of the signal, or 0; what to say, until it was said; processes to end."""

    number = 0
    stored = "what was finished is stored"
    way_on = "run the same command to go on"
    is_told = False
    descendants: frozenset[Process] = frozenset()
    is_over = False  # the command has ended by itself
    lock = threading.Lock()


def note_stored(text: str, way_on: str = _Interruption.way_on) -> None:
    """Say what an interruption finds stored from now on, and how to go on: "3 of 24 images are done and stored"."""
    _Interruption.stored, _Interruption.way_on = text, way_on


def describe_interruption() -> str:
    """Return what was interrupted, what is stored and how to go on; it is told once."""
    _Interruption.is_told = True
    name = signal.Signals(_Interruption.number or signal.SIGINT).name
    return f"interrupted ({name}): {_Interruption.stored}; {_Interruption.way_on}"


def run_interruptible(main: Callable[[], int]) -> int:
    """Run a command in this process, its only one; return its exit status.

    A signal that is not ignored ends the process with 128 and its number.
    """
    _heed_signals()
    try:
        return main()
    finally:
        if _Interruption.number:
            _end()
        _Interruption.is_over = True


@contextmanager
def sparing_children() -> Iterator[None]:
    """Let processes that `multiprocessing` starts not heed a terminal's Ctrl-C: this one ends them."""
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # whose start would undo what follows
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent(*_: object) -> None:
    """End this process, which `multiprocessing` started, as soon as its parent is gone, whatever it is doing."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _heed_signals() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)  # written to at once, whatever the main thread does
    threading.Thread(target=_limit_unwinding, args=(reader,), daemon=True).start()
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as in the background of a shell, or under nohup
            signal.signal(number, _interrupt)
    # One that comes between is the child's own.
    os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_leave_signals)


def _hold_signals() -> None:
    _held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _held.mask)


def _leave_signals() -> None:
    """In a forked process: the parent ends it."""
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        if signal.getsignal(number) == _interrupt:
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
    _release_signals()


def _interrupt(number: int, _: object) -> None:
    if _Interruption.is_over:
        os._exit(128 + number)
    if _Interruption.number:
        return
    _Interruption.number = number
    # Callbacks of native code print what is raised in them, and go on.
    sys.excepthook, sys.unraisablehook, threading.excepthook = _keep_quiet, _keep_quiet, _keep_quiet
    with suppress(Exception):  # in the middle of an import
        _Interruption.descendants = _list_descendants()
    raise KeyboardInterrupt


def _keep_quiet(*_: object) -> None:
    pass


def _limit_unwinding(reader: int) -> None:
    while (number := os.read(reader, 1)[0]) not in SIGNALS:
        pass  # of one that somebody else handles
    time.sleep(_UNWINDING_S)
    _Interruption.number = _Interruption.number or number  # which the main thread may not know yet
    _end()


def _end() -> NoReturn:
    """End this process and all that it started, in at most ``_ENDING_S``."""
    status = 128 + _Interruption.number
    if not _Interruption.lock.acquire(timeout=_ENDING_S):  # by whoever ends it already, and does not get on
        os._exit(status)
    threading.Timer(_ENDING_S, os._exit, [status]).start()
    for step in (_end_descendants, _remove_temporaries, _tell):
        with suppress(Exception):
            step()
    os._exit(status)


def _end_descendants() -> None:
    import psutil

    processes = _Interruption.descendants | _list_descendants()
    for process in processes:
        with suppress(psutil.Error):
            if _TRACKER not in " ".join(process.cmdline()):
                process.kill()
    psutil.wait_procs(processes, timeout=_ENDING_S / 2)


def _list_descendants() -> frozenset[Process]:
    import psutil

    return frozenset(psutil.Process().children(recursive=True))


def _remove_temporaries() -> None:
    from bench.common.temporary import remove_abandoned, remove_own

    remove_own()
    remove_abandoned()


def _tell() -> None:
    """Tell what was not told yet; nobody else may get on, so whatever is written must not wait."""
    if not _Interruption.is_told and os.environ.get("RANK", "0") == "0" and select.select([], [2], [], 0)[1]:
        os.write(2, f"{describe_interruption()}\n".encode())
    if threading.current_thread() is threading.main_thread():
        sys.stdout.flush()
