"""Runs units in worker processes, one or several at a time, so that a crash costs only the unit it is in."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Generator, Iterable
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from bench.common.errors import BenchError, CodecError
from bench.results.rows import Row
from bench.runners.evaluate.decoder_client import DECODER, DecoderProcess
from bench.runners.evaluate.fork_server import ForkServer
from bench.runners.evaluate.forked_process import ForkedProcess, ProcessEnded
from bench.runners.evaluate.measure import failed_row, run_unit
from bench.runners.evaluate.pictures import Pictures
from bench.runners.evaluate.stopwatch import FILES, STARTING, Stopwatch
from bench.runners.evaluate.unit import Unit, identify
from bench.runners.machine import describe_machine

_RETRY_S = 1.0  # between looks at units that another run holds


class EncoderDied(CodecError):
    """The process that measures a unit crashed or was killed, for want of memory for instance."""


class Units:
    """Units in the order they are given."""

    def __init__(self, units: Iterable[Unit]) -> None:
        self._waiting = list(units)

    @property
    def imports(self) -> list[str]:
        """Modules that their codecs import and that take long to import."""
        return sorted({module for unit in self._waiting for module in unit.imports})

    @property
    def exhausted(self) -> bool:
        """Whether there will be no more."""
        return not self._waiting

    def take(self) -> Unit | None:
        """Return the next unit, or None if none can be had now."""
        return self._waiting.pop(0) if self._waiting else None

    def release(self, unit: Unit) -> None:
        """Say that ``unit`` is done."""


class Measured(NamedTuple):
    """A row, its unit, and what the time since the unit's row before it, or since its beginning, was spent on."""

    unit: Unit
    row: Row
    seconds: dict[str, float]


def run_units(units: Units, jobs: int) -> Generator[Measured, None, None]:
    """Run all units, ``jobs`` at a time, and yield their rows as they come.

    Each worker and its decoder live as long as the run, or until they crash.

    Raises:
        BenchError: a unit could not go on (a full disk).
    """
    # Plugins are left to the processes themselves: what they do when they are imported may not be forked.
    own = () if os.environ.get("BENCH_PLUGINS") else (__name__, DECODER.partition(":")[0])
    with ForkServer([*own, *units.imports]) as server:
        yield from _run_units(units, jobs, server.address)


def _run_units(units: Units, jobs: int, address: str) -> Generator[Measured, None, None]:
    idle: list[_Worker] = []
    busy: list[_Worker] = []
    try:
        while busy or not units.exhausted:
            while len(busy) < jobs and not units.exhausted and (unit := units.take()) is not None:
                worker = idle.pop() if idle else _Worker(address)
                worker.start(unit)
                busy.append(worker)

            ready = wait([worker.connection for worker in busy], timeout=_RETRY_S) if busy else ()
            for worker in [worker for worker in busy if worker.connection in ready]:
                yield from worker.receive()
                if worker.finished:
                    busy.remove(worker)
                    units.release(worker.unit)
                    if worker.is_alive:
                        idle.append(worker)
            if not busy and not units.exhausted:
                time.sleep(_RETRY_S)
    finally:
        for worker in [*idle, *busy]:
            worker.stop()


class _Worker:
    """A process that runs units; told apart from a pool's by that its death costs only the unit it ran."""

    def __init__(self, address: str) -> None:
        self._process = ForkedProcess(address, f"{__name__}:{serve.__name__}")
        self._process.send(address)
        self.connection = self._process.connection
        self.finished = True
        self.is_alive = True

    def start(self, unit: Unit) -> None:
        self.unit, self.finished, self._rows = unit, False, 0
        self._since = time.monotonic()
        self._process.send(unit)

    def receive(self) -> list[Measured]:
        """Return the row of the next message; if the process died, failed rows for the images left."""
        try:
            message = self._process.receive()
        except ProcessEnded as ended:
            self._process.end()
            self.finished, self.is_alive = True, False
            return [Measured(self.unit, row, {}) for row in self._failed_rest(ended)]
        if isinstance(message, BenchError):
            raise message
        if message is None:
            self.finished = True
            return []
        row, seconds = message
        now = time.monotonic()  # what the worker can't see: its own start, and rows on their way
        seconds[FILES if self._rows else STARTING] += max(0.0, now - self._since - sum(seconds.values()))
        self._rows, self._since = self._rows + 1, now
        return [Measured(self.unit, row, seconds)]

    def stop(self) -> None:
        self._process.end(signal.SIGTERM)

    def _failed_rest(self, ended: ProcessEnded) -> list[Row]:
        error = EncoderDied(f"the process that encodes died ({ended})")
        series = identify(self.unit.spec)
        provenance = describe_machine(self.unit.device, jobs=self.unit.jobs, torch=None)
        return [failed_row(self.unit, image, series, error, provenance)
                for image in self.unit.images[self._rows:]]


def serve(connection: Connection) -> None:
    """Run units until the parent is gone; None ends a unit's rows."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that temporary files are removed
    stopwatch, pictures = Stopwatch(), Pictures()
    with DecoderProcess(connection.recv()) as decoder:
        while True:
            unit = connection.recv()
            stopwatch.take()
            try:
                for row in run_unit(unit, stopwatch, decoder, pictures):
                    connection.send((row, stopwatch.take()))
                connection.send(None)
            except BenchError as error:
                connection.send(error)
