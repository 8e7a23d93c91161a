"""Processes forked from one that has imported what coding needs: imports take seconds, and each is paid for once a run.

The server imports modules and does nothing else, so that what is forked from it knows nothing of any codec or file.
Whoever connects to its socket gets a new process at the other end of the connection, and is told how it ended.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, NoReturn

import bench
from bench.common.files import writing
from bench.common.temporary import RUN_FOLDER, remove_abandoned, temporary_folder

_PATIENCE_S = 2.0
_GRACE_S = 0.5
_LONGEST_PLACE = 70  # letters: the address of a socket has to be shorter than 108


class Ended(NamedTuple):
    """The last message of a connection: its process ended with ``status``, negative for a signal."""

    status: int


class ForkServer:
    """Starts the server at once and ends it; a context manager. Processes that it forked go on without it.

    Args:
        modules: what it imports before it forks; one that can't be imported is left to the process that needs it.
        environment: is added to this process' own before anything is imported there.
    """

    def __init__(self, modules: Iterable[str] = (), environment: Mapping[str, str] = MappingProxyType({})) -> None:
        place = tempfile.gettempdir()
        remove_abandoned(place)
        self._modules, self._environment = [*modules], environment
        self._stack, self._starts = ExitStack(), count()
        with writing(place, "temporary files go there: set TMPDIR to another folder"):
            short = place if len(place) < _LONGEST_PLACE else "/tmp"
            self._folder = self._stack.enter_context(temporary_folder("server", short))
        self._start()

    def _start(self) -> None:
        self.address = str(self._folder / f"socket{next(self._starts)}")
        alive, self._alive = os.pipe()  # the server ends when nobody can write into it
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.address)
            listener.listen()
            numbers = (listener.fileno(), alive)
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import serve; serve{(*numbers, self._modules)}"],
                pass_fds=numbers, stdin=subprocess.DEVNULL,
                env={**os.environ, **self._environment, "PYTHONPATH": _search_path(), RUN_FOLDER: str(self._folder)},
                start_new_session=True,  # Ctrl-C is for the process that runs the plan, which then ends the others
            )
        os.close(alive)

    def find_address(self) -> str:
        """Return where the server listens: another one, started now, where it was killed."""
        if self._process.poll() is not None:
            os.close(self._alive)
            self._start()
        return self.address

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close(_PATIENCE_S if exception[0] is None else 0.0)

    def close(self, patience_s: float = _PATIENCE_S) -> None:
        """End the server, after the processes that it forked unless these take long to end."""
        os.close(self._alive)
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stack.close()


def find_address(server: ForkServer | str) -> str:
    """Return where a server listens, which may be known by its address alone."""
    return server if isinstance(server, str) else server.find_address()


def _search_path() -> str:
    """Where a process finds this package and what ``PYTHONPATH`` names."""
    root = str(Path(bench.__file__).resolve().parents[1])
    return os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])


def serve(listener: int, alive: int, modules: Iterable[str]) -> NoReturn:
    """Import ``modules``, then fork a process for each connection, until the other end of ``alive`` is closed."""
    gc.disable()  # a fifth of the time that imports take: all that they make stays
    for module in modules:
        with suppress(Exception):
            importlib.import_module(module)
    gc.freeze()  # what is there now is never collected: its memory stays shared
    gc.enable()
    signal.signal(signal.SIGCHLD, lambda *_: _reap(os.WNOHANG))  # so that their time counts as this process' too

    with socket.socket(fileno=listener) as waiting:
        while alive not in select.select([listener, alive], [], [])[0]:
            accepted, _ = waiting.accept()
            connection = Connection(accepted.detach())
            if os.fork() == 0:
                os.close(listener)
                _supervise(connection)
            connection.close()
    _reap(0)
    os._exit(0)  # taking modules down takes longer than anything above


def _reap(options: int) -> None:
    """Take the exit status of processes that ended; without options of all, waiting for them."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, options)[0]:
            pass


def _supervise(connection: Connection) -> NoReturn:
    """Fork the process, and tell at its end how it ended; end it when the other end of the connection is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        _run_child(connection)

    threading.Thread(target=_end_with_peer, args=(connection.fileno(), child), daemon=True).start()
    _, status = os.waitpid(child, 0)
    with suppress(OSError):
        connection.send(Ended(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _end_with_peer(number: int, child: int) -> None:
    """End a process and all that it started once nobody is at the other end of a connection, whatever it is doing."""
    hang_up = select.poll()
    hang_up.register(number, 0)  # of hanging up poll tells unasked
    hang_up.poll()
    for ending in (signal.SIGTERM, signal.SIGKILL):  # the first lets it remove temporary files
        with suppress(OSError):
            os.killpg(child, ending)
        time.sleep(_GRACE_S)


def _run_child(connection: Connection) -> NoReturn:
    """Run what the other end asks for, in a session of its own, so that it can be ended with all that it starts."""
    status = 1
    try:
        os.setsid()
        function, output = connection.recv()
        connection.send(os.getpid())
        if output is not None:
            file = os.open(output, os.O_WRONLY | os.O_APPEND)
            os.dup2(file, 1)
            os.dup2(file, 2)

        module, _, name = function.partition(":")
        getattr(importlib.import_module(module), name)(connection)
        status = 0
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the other end is gone
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
