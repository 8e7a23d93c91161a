"""Calls in processes of their own: what kills one of them costs its own call, no other."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from bench.common.errors import BenchError
from bench.common.interruption import end_with_parent, sparing_children


class ProcessDied(BenchError):
    """A process crashed or was killed, for want of memory for instance."""


class _Call(NamedTuple):
    """One that is under way."""

    name: str
    process: BaseProcess


def describe_ending(status: int | None) -> str:
    """Return how a process ended, from its exit status: "status 3", "SIGKILL"."""
    if status is None:
        return "its status is not known"
    if status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def call_apart(function: Callable[..., Any], calls: Mapping[str, tuple[Any, ...]],
               processes: int) -> Iterator[tuple[str, Future[Any]]]:
    """Call a function in a new process for each of ``calls``, and yield each call's outcome when it is there.

    Processes end with the iterator, and with this process.

    Args:
        function: of a module.
        calls: name to arguments.
        processes: how many at a time.
    """
    waiting = list(calls)
    running: dict[Any, _Call] = {}  # by the connection that the answer comes through
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                name = waiting.pop(0)
                connection, process = _start(function, calls[name])
                running[connection] = _Call(name, process)
            for ready in wait(list(running)):
                name, process = running.pop(ready)
                yield name, _receive(ready, process)
    finally:
        for _, process in running.values():
            process.kill()
            process.join()


def _start(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Connection, BaseProcess]:
    context = multiprocessing.get_context("spawn")
    connection, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, function, arguments))
    with sparing_children():
        process.start()
    theirs.close()
    return connection, process


def _answer(connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    end_with_parent()
    answer: tuple[Any, Exception | None]
    try:
        answer = function(*arguments), None
    except Exception as error:  # whatever it is, it is for the other side to say
        answer = None, _make_portable(error)
    connection.send(answer)


def _make_portable(error: Exception) -> Exception:
    """Return an error, or where it can't be sent one that says the same."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return BenchError(f"{type(error).__name__}: {error}")


def _receive(connection: Any, process: BaseProcess) -> Future[Any]:
    outcome: Future[Any] = Future()
    try:
        value, error = connection.recv()
    except (EOFError, OSError):
        process.join()
        value, error = None, ProcessDied(f"its process died ({describe_ending(process.exitcode)})")
    process.join()
    connection.close()
    if error is None:
        outcome.set_result(value)
    else:
        outcome.set_exception(error)
    return outcome
