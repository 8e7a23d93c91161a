"""A process of a fork server, as seen from the one that wanted it."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from multiprocessing import BufferTooShort
from multiprocessing.connection import Connection
from typing import Any

from bench.common.errors import BenchError
from bench.common.processes import describe_ending
from bench.runners.evaluate.fork_server import Ended

_GRACE_S = 0.5
_LAST_GRACE_S = 10.0  # after SIGKILL; a driver may hold a process for ever


class ProcessEnded(Exception):
    """The process at the other end is gone; ``status`` as of :class:`subprocess.Popen`, None if nobody knows."""

    def __init__(self, status: int | None) -> None:
        super().__init__(describe_ending(status))
        self.status = status


class ServerGone(BenchError):
    """The server that forks processes was killed."""


class NoAnswer(Exception):
    """The process at the other end did not answer in time."""


class ForkedProcess:
    """A process that a server forked for this one.

    Args:
        address: of the server.
        function: "module:function", called there with a connection to here.
        output: a file that all that it prints is added to, instead of where the server prints.

    Attributes:
        connection: to the process, for ``multiprocessing.connection.wait``.

    Raises:
        ServerGone: nobody is at the address.
    """

    def __init__(self, address: str, function: str, *, output: str | None = None) -> None:
        self.connection = _connect(address)
        self._pid = 0  # until it has said it
        with suppress(OSError):  # a server that is gone: the first answer then says so
            self.connection.send((function, output))

    def send(self, message: Any) -> None:
        """Send ``message``; one to a process that is gone is lost, and the next answer says so."""
        with suppress(OSError):
            self.connection.send(message)

    @property
    def has_message(self) -> bool:
        """Whether a message, or the process' end, is there to receive."""
        return self.connection.poll()

    def receive(self, timeout_s: float | None = None) -> Any:
        """Return the next message.

        Raises:
            ProcessEnded: there are no more.
            NoAnswer: none came within ``timeout_s``.
        """
        self._find_pid(timeout_s)
        return self._next_message(timeout_s)

    def receive_into(self, buffer: Any) -> None:
        """Fill a writable ``buffer`` with the bytes of the next message.

        Raises:
            ProcessEnded: the process ended before it had sent them.
        """
        try:
            self.connection.recv_bytes_into(buffer)
        except (EOFError, OSError, BufferTooShort):
            raise ProcessEnded(None) from None

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the process and all that it started, and wait until it is gone.

        One that goes on regardless, in native code, is killed.
        """
        self.send_signal(number)
        if not self._outlive(_GRACE_S):
            self.send_signal(signal.SIGKILL)
            self._outlive(_LAST_GRACE_S)
        self.connection.close()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and all that it started; one that has not begun yet ends with its connection."""
        with suppress(ProcessEnded, NoAnswer, OSError):
            self._find_pid(0)
            os.killpg(self._pid, number)

    def _outlive(self, patience_s: float | None) -> bool:
        """Wait until the process is gone, or has not begun, for at most ``patience_s``; whether it is."""
        # What comes until the end may be in the middle of a message, of which an interrupt kept the rest.
        with suppress(OSError):
            while self._pid and self.connection.poll(patience_s):
                if not os.read(self.connection.fileno(), 1 << 16):
                    return True
            return not self._pid
        return True

    def _find_pid(self, timeout_s: float | None) -> None:
        if not self._pid:
            self._pid = self._next_message(timeout_s)

    def _next_message(self, timeout_s: float | None) -> Any:
        try:
            if not self.connection.poll(timeout_s):
                raise NoAnswer
            message = self.connection.recv()
        except (EOFError, OSError):
            raise ProcessEnded(None) from None
        if isinstance(message, Ended):
            raise ProcessEnded(message.status)
        return message


def _connect(address: str) -> Connection:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(address)
        except OSError as error:
            raise ServerGone(f"no process can be started, the server of processes is gone ({error})",
                             "run the same command again to go on") from None
        return Connection(client.detach())
