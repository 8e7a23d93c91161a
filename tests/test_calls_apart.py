"""Calls in processes of their own: each has its outcome, whatever became of the others."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from bench.common.errors import BenchError
from bench.common.processes import ProcessDied, call_apart


def double(number: int) -> tuple[int, int]:
    return 2 * number, os.getpid()


def work(what: str) -> tuple[int, int]:
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "exit":
        os._exit(7)
    if what == "raise":
        raise ValueError("no such thing")
    if what == "raise what can't be sent":
        raise Unsendable("nothing", "all")
    return double(len(what))


class Unsendable(Exception):
    def __init__(self, reason: str, place: str) -> None:
        super().__init__(f"{reason} at {place}")


@pytest.mark.parametrize("processes", [1, 3])
def test_what_kills_its_process_fails_alone_and_says_how(processes: int) -> None:
    calls = {name: (name,) for name in ("kill", "first", "exit", "raise", "raise what can't be sent", "last")}
    outcomes = dict(call_apart(work, calls, processes))
    assert [outcomes[name].result()[0] for name in ("first", "last")] == [10, 8]

    for name, kind, text in (("kill", ProcessDied, "its process died (SIGKILL)"),
                             ("exit", ProcessDied, "its process died (status 7)"),
                             ("raise", ValueError, "no such thing"),
                             ("raise what can't be sent", BenchError, "Unsendable: nothing at all")):
        error = outcomes[name].exception()
        assert type(error) is kind and str(error) == text


def test_processes_end_with_the_iterator() -> None:
    outcomes = call_apart(time.sleep, {"ends": (0,), "waits": (600,)}, 2)
    assert next(outcomes)[0] == "ends"
    started = [one for one in psutil.Process().children() if "spawn_main" in " ".join(one.cmdline())]
    outcomes.close()
    assert len(started) == 1 and not started[0].is_running()
