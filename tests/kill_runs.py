"""Runs of verbs that a test kills: forked from a process that has imported what they need, or started as users do."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from bench.runners.evaluate.fork_server import ForkServer
from bench.runners.evaluate.forked_process import ForkedProcess, NoAnswer, ProcessEnded

MODULES = ("bench.commands.evaluate", "bench.commands.train", "bench.commands.profile", "bench.runners.profile.run",
           "bench.runners.profile.subjects", "bench.training.search.search", "bench.training.miniatures",
           "torch.utils.tensorboard", "bench.reports.kinds", "bench.reports.page.files", "bench.reports.rate.report",
           "bench.reports.claims.report", "matplotlib.pyplot", "psutil")
_PR_SET_CHILD_SUBREAPER = 36


def serve_run(connection: Connection) -> None:
    """Run the verb of the only message as ``python -m bench`` does."""
    from bench.cli import main
    from bench.common.interruption import run_interruptible

    arguments, environment = connection.recv()
    os.environ.update(environment)
    tempfile.tempdir = None
    signal.signal(signal.SIGINT, signal.default_int_handler)
    connection.send(os.getpid())
    sys.exit(run_interruptible(lambda: main(arguments)))


class ForkedRun:
    """A run that is forked from ``server``: its imports are done."""

    def __init__(self, server: ForkServer, arguments: Sequence[str], environment: Mapping[str, str],
                 output: Path) -> None:
        output.touch()
        self._process = ForkedProcess(server.address, f"{__name__}:{serve_run.__name__}", output=str(output))
        self._process.send((list(arguments), dict(environment)))
        self.pid = self._process.receive(60)

    def wait(self, timeout_s: float) -> int | None:
        """The exit status, negative for a signal; None if it has not ended yet."""
        try:
            self._process.receive(timeout_s)
        except NoAnswer:
            return None
        except ProcessEnded as ended:
            self._process.connection.close()
            return ended.status
        raise AssertionError("a run says nothing")


class StartedRun:
    """A run that is started as users do."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], output: Path) -> None:
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench", *arguments], env=dict(environment), stdout=file,
                stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_heed_interrupts)
        self.pid = self._process.pid

    def wait(self, timeout_s: float) -> int | None:
        """The exit status, negative for a signal; None if it has not ended yet."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Make this process the parent of those of its descendants whose parents are gone, so that it finds them."""
    library = ctypes.CDLL(None)
    library.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        library.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def list_descendants() -> set[int]:
    """Return the numbers of all processes that this one and they have started."""
    return {process.pid for process in psutil.Process().children(recursive=True)}


def find_orphans(known: set[int], patience_s: float) -> list[str]:
    """Return descendants of this process, but for ``known`` ones, that do not end in time."""
    until = time.monotonic() + patience_s
    while True:
        left = []
        for process in psutil.Process().children(recursive=True):
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    if process.ppid() == os.getpid():
                        os.waitpid(process.pid, os.WNOHANG)
                elif process.pid not in known:
                    left.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
            except (psutil.Error, ChildProcessError):
                pass
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.05)
