"""Profiles in a process of its own: what kills it is tried once more alone, fails alone, and the rest goes on."""

from __future__ import annotations

import os
import signal
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from bench.common.files import file_name
from bench.common.interruption import note_stored
from bench.common.processes import ProcessDied
from bench.common.temporary import temporary_file
from bench.common.text import format_count
from bench.results.latency_rows import DIRECTIONS, LatencyRow
from bench.results.rows import FAILED
from bench.results.store import append_row
from bench.runners.evaluate.fork_server import ForkServer
from bench.runners.evaluate.forked_process import ForkedProcess, NoAnswer, ProcessEnded
from bench.runners.evaluate.unit_progress import LONELY_DEATHS
from bench.runners.forecast import LOAD_OF_SHORT, Forecast
from bench.runners.machine import configure_torch, describe_machine
from bench.runners.profile.configurations import CONFIGURATIONS
from bench.runners.profile.expected import ProfileTimes
from bench.runners.profile.plan import Picture, Settings, expect_group
from bench.runners.profile.run import Profiler, make_row
from bench.runners.profile.subjects import Subject
from bench.runners.progress import Progress

_INTERRUPT = signal.SIGUSR1  # to the process, which keeps what has enough samples
_KEEPING_S = 0.7
_NUMBERS = struct.Struct("iii")
_NONE = -1


class Part(NamedTuple):
    """Subjects that are timed in turns, and the pictures that they code."""

    group: tuple[Subject, ...]
    pictures: tuple[Picture, ...]


class Pair(NamedTuple):
    """A subject and a picture, by their numbers within a part."""

    subject: int
    picture: int


class InWork:
    """A file that says what is in work, so that it is known whatever becomes of the process; nobody else wakes up."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "r+b", buffering=0)
        self.part = _NONE
        self._subjects: dict[Subject, int] = {}
        self._pictures: dict[Picture, int] = {}

    def begin(self, number: int, part: Part) -> None:
        """Begin a part: what is noted next is of it."""
        self.part = number
        self._subjects = {subject: index for index, subject in enumerate(part.group)}
        self._pictures = {picture: index for index, picture in enumerate(part.pictures)}
        self.note()

    def note(self, subject: Subject | None = None, picture: Picture | None = None) -> None:
        """Say that a subject is built, or codes a picture; or that none is in work."""
        numbers = (_NONE if subject is None else self._subjects[subject],
                   _NONE if picture is None else self._pictures[picture])
        self._file.seek(0)
        self._file.write(_NUMBERS.pack(self.part, *numbers))

    def read(self) -> tuple[int, int, int]:
        """Return the numbers of the part, the subject and the picture that were noted last."""
        self._file.seek(0)
        part, subject, picture = _NUMBERS.unpack(self._file.read(_NUMBERS.size))
        return part, subject, picture


def split_part(part: Part, done: set[Pair]) -> Iterator[Part]:
    """Yield what is left of a part without the pairs that are ``done``, as few parts as that makes."""
    def list_left(picture: int) -> tuple[int, ...]:
        return tuple(number for number in range(len(part.group)) if Pair(number, picture) not in done)

    for left, pictures in groupby(range(len(part.pictures)), list_left):
        if left:
            yield Part(tuple(part.group[number] for number in left), tuple(part.pictures[one] for one in pictures))


def profile_apart(groups: Sequence[Sequence[Subject]], settings: Settings, folder: Path,
                  times: ProfileTimes) -> list[LatencyRow]:
    """Measure, showing progress, and store each row in ``folder``; returns the rows.

    Raises:
        BenchError: a row can't be stored.
    """
    run = ProfileRun(settings, folder)
    parts = [Part(tuple(group), settings.pictures) for group in groups]
    # Plugins are left to the process itself: what they do when they are imported may not be forked.
    own = () if os.environ.get("BENCH_PLUGINS") else (__name__,)
    with ForkServer(own) as server, temporary_file("profile") as file:
        in_work = InWork(file.name)
        while parts:
            in_work.note()
            process = ForkedProcess(server.find_address(), f"{__name__}:{serve.__name__}")
            process.send((parts, settings, times, file.name))
            try:
                run.receive_rows(process, parts)
            except KeyboardInterrupt:
                process.send_signal(_INTERRUPT)
                run.keep_measured(process, parts)
                raise
            except ProcessEnded as ended:
                parts = [] if ended.status == 0 else run.bury_process(str(ended), parts, *in_work.read())
            finally:
                process.end()
    return run.rows


class ProfileRun:
    """What was measured, and what is left when a process dies.

    Attributes:
        rows: all that are stored.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self.rows: list[LatencyRow] = []
        self._directions: dict[tuple[int, Pair], int] = {}  # that have a row, of a part of the process at hand
        self._lonely_deaths = 0

    def receive_rows(self, process: ForkedProcess, parts: Sequence[Part], timeout_s: float | None = None) -> None:
        """Store rows as they come.

        Raises:
            ProcessEnded, NoAnswer: as of :meth:`ForkedProcess.receive`.
        """
        self._directions.clear()
        while True:
            number, row = process.receive(timeout_s)
            self._store(row)
            self._lonely_deaths = 0
            pair = _find_pair(row, parts[number])
            self._directions[number, pair] = self._directions.get((number, pair), 0) + 1

    def keep_measured(self, process: ForkedProcess, parts: Sequence[Part]) -> None:
        """Store what an interrupted process still sends; it does not have long."""
        until = time.monotonic() + _KEEPING_S
        with suppress(ProcessEnded, NoAnswer):
            self.receive_rows(process, parts, max(0.0, until - time.monotonic()))

    def bury_process(self, how: str, parts: Sequence[Part], number: int, subject: int, picture: int) -> list[Part]:
        """Return what is left to do after a process died with something in work, which is tried alone, or fails."""
        if number == _NONE:
            number = 0
        part = parts[number]
        pictures = range(len(part.pictures)) if picture == _NONE else (picture,)
        blamed = {Pair(subject, one) for one in pictures} if subject != _NONE else set()
        self._lonely_deaths += not blamed
        text = f"the process that measures died ({how})"
        if self._lonely_deaths == LONELY_DEATHS:
            text += f"; it did so {LONELY_DEATHS} times in a row with nothing in work"
            for one in parts[number:]:
                self._fail(one.group, one.pictures, text)
            return []

        alone: list[Part] = []
        if blamed and len(part.group) > 1:
            alone = [Part((part.group[subject],), tuple(part.pictures[one] for one in pictures))]
        elif blamed:
            self._fail(part.group, [part.pictures[one] for one in pictures], text)
        done = {pair for (of_part, pair), directions in self._directions.items()
                if of_part == number and directions == len(DIRECTIONS)}
        return [*split_part(part, done | blamed), *parts[number + 1:], *alone]

    def _fail(self, subjects: Sequence[Subject], pictures: Sequence[Picture], text: str) -> None:
        provenance = describe_machine(self._settings.device, jobs=1, torch=self._settings.torch)
        session = uuid4().hex[:12]
        for subject in subjects:
            for picture in pictures:
                for direction in DIRECTIONS:
                    self._store(make_row(subject, picture, direction, self._settings, provenance, session,
                                         status=FAILED, reason=f"{ProcessDied.__name__}: {text}"))

    def _store(self, row: LatencyRow) -> None:
        append_row(self._folder / f"{file_name(row.name)}.jsonl", row)
        self.rows.append(row)
        note_stored(f"{format_count(len(self.rows), 'row')} of this run are stored in {self._folder}",
                    "the same command with --resume goes on")


def _find_pair(row: LatencyRow, part: Part) -> Pair:
    subject = next(number for number, one in enumerate(part.group) if one.name == row.name
                   and CONFIGURATIONS.get(one.configuration).label == row.configuration)
    picture = next(number for number, one in enumerate(part.pictures)
                   if (one.width, one.height) == (row.width, row.height))
    return Pair(subject, picture)


def serve(connection: Connection) -> None:
    """Measure the parts of the only message, and send each row with the number of its part."""
    signal.signal(_INTERRUPT, signal.default_int_handler)
    parts, settings, times, path = connection.recv()
    in_work = InWork(path)
    if settings.torch is not None:
        configure_torch(**settings.torch)
    forecast = Forecast(load=LOAD_OF_SHORT)
    for part in parts:
        expect_group(forecast, part.group, part.pictures, settings, times)
    try:
        with Progress(forecast) as progress:
            _measure_parts(parts, in_work, Profiler(
                settings, lambda row: connection.send((in_work.part, row)), times, progress, begin=in_work.note))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _measure_parts(parts: Sequence[Part], in_work: InWork, profiler: Profiler) -> None:
    for number, part in enumerate(parts):
        in_work.begin(number, part)
        profiler.measure(part.group, part.pictures)
