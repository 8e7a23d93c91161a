"""Runs units in worker processes, one or several at a time, so that a crash costs only the picture it is in."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from bench.common.errors import BenchError
from bench.results.rows import Row
from bench.runners.evaluate.decoder_client import DECODER, DecoderProcess
from bench.runners.evaluate.forked_process import ForkedProcess, ProcessEnded, ServerGone
from bench.runners.evaluate.pictures import Pictures
from bench.runners.evaluate.slots import Slot, SlotServers, make_slots, wants_gpu
from bench.runners.evaluate.stopwatch import FILES, STARTING, Stopwatch
from bench.runners.evaluate.unit import Unit
from bench.runners.evaluate.unit_progress import Done, UnitProgress, run_and_tell
from bench.runners.machine_lock import MeasuringClaim
from bench.runners.nodes.placement import SLOT_VARIABLE

_RETRY_S = 1.0  # between looks at units that another run holds


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

    @property
    def waits_for_others(self) -> bool:
        """Whether units that can't be had now are waited for."""
        return True

    @property
    def waiting(self) -> Sequence[Unit]:
        """What nobody has taken."""
        return self._waiting

    def take(self, accepts: Callable[[Unit], bool] = lambda unit: True) -> Unit | None:
        """Return the next unit, or None if none can be had now.

        Args:
            accepts: says which units will do.
        """
        unit = next(filter(accepts, self._waiting), None)
        if unit is not None:
            self._waiting.remove(unit)
        return unit

    def release(self, unit: Unit) -> None:
        """Say that ``unit`` is done."""

    def tell(self, text: str) -> None:
        """Tell the user what happens; there is none to tell unless a run says otherwise."""


class Measured(NamedTuple):
    """A row, its unit, and what the time since the unit's row before it, or since its beginning, was spent on."""

    unit: Unit
    row: Row
    seconds: dict[str, float]


def run_units(units: Units, jobs: int) -> Generator[Measured, None, None]:
    """Run all units, ``jobs`` at a time, and yield their rows as they come.

    Each worker and its decoder live as long as the run, or until they crash; a new worker goes on with what is left.
    Where units want a GPU each worker sees one, and no two see the same one unless there are more workers than GPUs.
    While another run times on this machine, nothing begins.

    Raises:
        BenchError: a unit could not go on (a full disk).
    """
    # Plugins are left to the processes themselves: what they do when they are imported may not be forked.
    own = () if os.environ.get("BENCH_PLUGINS") else (__name__, DECODER.partition(":")[0])
    with SlotServers([*own, *units.imports]) as servers:
        yield from _run_units(units, [_Worker(slot, servers) for slot in make_slots(units.waiting, jobs)])


def _run_units(units: Units, idle: list[_Worker]) -> Generator[Measured, None, None]:
    busy: list[_Worker] = []
    claim = MeasuringClaim()
    try:
        while busy or not units.exhausted:
            may_begin = units.exhausted or claim.take(units.tell)
            for worker in list(idle) if may_begin else ():
                if (unit := worker.take(units)) is not None:
                    idle.remove(worker)
                    busy.append(worker)
                    worker.start(unit)
            if not busy and not units.exhausted:
                if may_begin and not units.waits_for_others:
                    return
                claim.release()
                time.sleep(_RETRY_S)
                continue

            ready = wait([worker.connection for worker in busy], timeout=_RETRY_S) if busy else ()
            for worker in [worker for worker in busy if worker.connection in ready]:
                yield from worker.receive()
                if worker.finished:
                    busy.remove(worker)
                    units.release(worker.unit)
                    idle.insert(0, worker)  # before those that have no process yet
    finally:
        claim.release()
        for worker in [*idle, *busy]:
            worker.begin_stop()
        for worker in [*idle, *busy]:
            worker.stop()


class _Worker:
    """Runs units in a process, and what its death leaves of a unit in a new one."""

    def __init__(self, slot: Slot, servers: SlotServers) -> None:
        self._slot, self._servers = slot, servers
        self._process: ForkedProcess | None = None

    @property
    def connection(self) -> Connection:
        """To the process."""
        assert self._process is not None
        return self._process.connection

    @property
    def unit(self) -> Unit:
        """That it was given last."""
        return self._progress.unit

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do of it."""
        return self._progress.finished

    def take(self, units: Units) -> Unit | None:
        """Take a unit that may run here, on a GPU one that wants it as long as there are any."""
        first = units.take(wants_gpu) if self._slot.gpu is not None else None
        return first or units.take(self._slot.accepts)

    def start(self, unit: Unit) -> None:
        self._progress, self._rows, self._since = UnitProgress(unit), 0, time.monotonic()
        self._send_rest()

    def receive(self) -> list[Measured]:
        """Return the rows that the next message gives, or the process' death."""
        assert self._process is not None
        try:
            message = self._process.receive()
        except ProcessEnded as ended:
            return self._replace_process(str(ended))
        if isinstance(message, ServerGone):  # it could start no decoder, for which the picture is not to blame
            self._progress.spare_picture()
            return self._replace_process("the server of processes is gone")
        if isinstance(message, BenchError):
            raise message
        self._progress.hear(message)
        if not isinstance(message, Done):
            return []

        row, seconds = message
        now = time.monotonic()  # what the worker can't see: its own start, and rows on their way
        seconds[FILES if self._rows else STARTING] += max(0.0, now - self._since - sum(seconds.values()))
        self._rows, self._since = self._rows + 1, now
        return [Measured(self.unit, row, seconds)]

    def begin_stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end(number)

    def _replace_process(self, how: str) -> list[Measured]:
        """Give what a dead process left to a new one; return what its death cost."""
        self.stop(signal.SIGKILL)  # what it started
        failed = self._progress.bury_worker(how)
        self._since = time.monotonic()
        if not self.finished:
            self._rows = 0
            self._send_rest()
        return [Measured(self.unit, row, {}) for row in failed]

    def _send_rest(self) -> None:
        if self._process is None:
            address = self._servers.find_address(self._slot)
            self._process = ForkedProcess(address, f"{__name__}:{serve.__name__}")
            self._process.send((address, self._slot.name))
        self._process.send(self._progress.left)


def serve(connection: Connection) -> None:
    """Run units until the parent is gone."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that temporary files are removed
    stopwatch, pictures = Stopwatch(), Pictures()
    address, slot = connection.recv()
    os.environ[SLOT_VARIABLE] = slot
    with DecoderProcess(address) as decoder:
        while True:
            unit = connection.recv()
            try:
                run_and_tell(unit, connection.send, stopwatch, decoder, pictures)
            except BenchError as error:
                connection.send(error)
