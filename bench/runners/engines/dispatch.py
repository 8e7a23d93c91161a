"""Runs units as jobs of a cluster: puts them into batches, submits these, reads what they write, tries lost ones again.

The same for every cluster. Nothing here schedules: which job runs where and when is the cluster's to say.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from bench.common.errors import CodecError
from bench.results.rows import Provenance, Row
from bench.runners.engines.batches import Batch, TimedUnit, group_units, keep_images, write_batch
from bench.runners.engines.engine import Cluster, TimedUnits
from bench.runners.engines.run_folder import RunFolder, SubmittedJob
from bench.runners.engines.shards import LAST, Begun, Line, MeasuredLine, Refused, ShardReader
from bench.runners.evaluate.engine import Measured
from bench.runners.evaluate.measure import failed_row
from bench.runners.evaluate.unit import Unit, identify
from bench.runners.nodes.files import find_shared_folders, lay_out_files, list_needed_files
from bench.runners.nodes.worker import Expectation, WorkerDiffers

LOOK_S = 0.5  # between looks at the shards
WAITING_S = 60.0  # without a row, until the user is told why
Name = tuple[str, str]  # of a unit: codec and rate point


class JobLost(CodecError):
    """A job ended before its batch was done, as often as it was tried."""


@dataclass
class _Running:
    """A batch whose job was submitted."""

    batch: Batch
    job: str
    reader: ShardReader
    left: set[tuple[str, str, str]]  # codec, rate point and name of pictures without a row
    begun: Begun | None = None
    last: Line | None = None
    ended_at: float | None = None
    how: str = ""

    def name_node(self) -> str:
        """What rows and messages call the node that it ran on."""
        return f"node {self.begun.node_id}" if self.begun else "a node that never began"


class ClusterEngine:
    """Runs units as jobs.

    Args:
        cluster: that runs them.
        folder: of the run.
        expected: of every worker.
        detach: submit the jobs and leave them alone; what they measure is merged by a later run.
    """

    def __init__(self, cluster: Cluster, folder: RunFolder, expected: Expectation | None = None,
                 detach: bool = False) -> None:
        self.cluster, self.folder, self.expected = cluster, folder, expected
        self.detach = detach

    def run_units(self, units: TimedUnits) -> Generator[list[Measured], None, None]:
        """See :class:`bench.runners.engines.engine.Engine`.

        Raises:
            BenchError: jobs can't be submitted, or workers are not what was planned for.
        """
        dispatch = _Dispatch(self, units)
        try:
            yield from dispatch.run()
        finally:
            dispatch.leave()
        if not self.detach:  # else, and where an error ended it, rows may be left to merge
            self.folder.remove()


class _Dispatch:
    """One run of units."""

    def __init__(self, engine: ClusterEngine, units: TimedUnits) -> None:
        self._cluster, self._folder, self._engine, self._units = engine.cluster, engine.folder, engine, units
        self._setup = engine.folder.run.setup
        self._waiting: list[Batch] = []
        self._avoid: dict[str, set[str]] = {}  # first part of a batch's name to nodes that lost it
        self._running: dict[str, _Running] = {}
        self._taken: dict[Name, Unit] = {}
        self._images_left: Counter[Name] = Counter()
        self._batches = 0
        self._refusals: list[str] = []
        self._last_look, self._last_row = -1e9, time.monotonic()

    def run(self) -> Generator[list[Measured], None, None]:
        """Yield the rows as they come, until all units are done."""
        while self._running or self._waiting or not self._units.exhausted:
            self._plan_batches()
            self._submit()
            all_is_held = not self._running and not self._waiting and not self._units.waits_for_others
            if self._engine.detach or all_is_held:
                return

            measured = self._read_shards()
            if measured:
                yield measured
            if lost := self._settle_ended():
                yield lost
            if not measured:
                self._tell_waiting()
                time.sleep(LOOK_S)
        if self._refusals:
            raise WorkerDiffers("\n".join(dict.fromkeys(self._refusals)))

    def leave(self) -> None:
        """End the jobs that still run, unless they are to go on, and give units back."""
        if not self._engine.detach:
            self._cluster.cancel([job for job, running in self._running.items() if running.ended_at is None])
        for unit in self._taken.values():
            self._units.release(unit)

    def _plan_batches(self) -> None:
        """Take all units that can be had, and put them into batches."""
        timed = []
        while not self._units.exhausted and (unit := self._units.take()) is not None:
            self._taken[_name(unit)] = unit
            self._images_left[_name(unit)] = len(unit.images)
            timed.append(TimedUnit(unit, self._units.expect(unit)))
        if not timed:
            return

        for group in group_units(timed, self._choose_batch_s(timed)):
            self._batches += 1
            self._waiting.append(self._make_batch(f"{self._batches:05d}", group, 1))
        jobs = len(self._waiting) + len(self._running)
        self._units.share_among(min(jobs, self._setup.slots or jobs))

    def _choose_batch_s(self, timed: list[TimedUnit]) -> float:
        """How long a batch may take: less than usual where slots would else have nothing to do."""
        longest_s = self._setup.long_batch_s
        if self._setup.slots is None:
            return longest_s
        share_s = sum(one.expected.seconds for one in timed) / self._setup.slots
        return min(longest_s, max(share_s, longest_s / 10))

    def _make_batch(self, number: str, units: tuple[Unit, ...], attempt: int) -> Batch:
        name, shared = f"{number}-{attempt}", find_shared_folders()
        files = {needed.path: needed for unit in units for needed in list_needed_files(unit, shared)}
        lay_out_files(files.values(), self._folder.files)
        return Batch(name, units, str(self._folder.shard_path(name)), self._setup.engine, attempt,
                     self._engine.expected, tuple(files.values()))

    def _submit(self) -> None:
        """Submit what waits, those together that avoid the same nodes, as many as the cluster takes at a time."""
        window = self._cluster.window
        room = len(self._waiting) if window is None else max(0, window - len(self._running))
        groups: dict[frozenset[str], list[Batch]] = {}
        for batch in self._waiting[:room]:
            groups.setdefault(frozenset(self._avoid.get(_number(batch), ())), []).append(batch)
        del self._waiting[:room]

        for avoid, batches in groups.items():
            paths = [write_batch(batch, self._folder.batch_path(batch.name)) for batch in batches]
            jobs = self._cluster.submit(paths, avoid)
            self._folder.note_jobs(SubmittedJob(job, batch.name) for job, batch in zip(jobs, batches))
            for job, batch in zip(jobs, batches):
                left = {(*_name(unit), image.name) for unit in batch.units for image in unit.images}
                self._running[job] = _Running(batch, job, ShardReader(self._folder.shard_path(batch.name)), left)

    def _read_shards(self) -> list[Measured]:
        """Return the rows that came, over all jobs."""
        measured: list[Measured] = []
        for running in self._running.values():
            for line in running.reader.read_new():
                if isinstance(line, Begun):
                    running.begun = line
                elif isinstance(line, LAST):
                    running.last = line
                elif isinstance(line, MeasuredLine):
                    measured += self._accept_row(running, line.parse_row(), line.seconds)
        if measured:
            self._last_row = time.monotonic()
        return measured

    def _accept_row(self, running: _Running, row: Row, seconds: dict[str, float]) -> Iterator[Measured]:
        """Yield a row that is waited for; give its unit back with the last one."""
        name = row.name, row.point
        if (*name, row.image) not in running.left:
            return
        running.left.remove((*name, row.image))
        unit = self._taken[name]
        yield Measured(unit, row, seconds)
        self._images_left[name] -= 1
        if not self._images_left[name]:
            self._units.release(self._taken.pop(name))

    def _settle_ended(self) -> list[Measured]:
        """Put away what is done, whose rows are stored, and try again what is lost; return what was lost for good."""
        self._look_for_ends()
        failed: list[Measured] = []
        for job, running in list(self._running.items()):
            is_late = running.ended_at is not None and time.monotonic() - running.ended_at > self._cluster.grace_s
            if running.last is None and not is_late:
                continue
            del self._running[job]
            if running.left:
                failed += self._retry(running)
            self._folder.remove_batch(running.batch.name)
        return failed

    def _look_for_ends(self) -> None:
        """Ask the cluster now and then which jobs have ended."""
        now = time.monotonic()
        if now - self._last_look < self._cluster.poll_s:
            return
        self._last_look = now
        silent = [job for job, running in self._running.items() if running.last is None and running.ended_at is None]
        for job, how in self._cluster.list_ended(silent).items():
            self._running[job].ended_at, self._running[job].how = now, how

    def _retry(self, running: _Running) -> list[Measured]:
        """Have a lost or refused batch done elsewhere; after the last attempt its pictures fail."""
        reason = getattr(running.last, "reason", "") or running.how
        batch, where = running.batch, running.name_node()
        left = tuple(keep_images(unit, [image for *name, image in running.left if tuple(name) == _name(unit)])
                     for unit in batch.units)
        left = tuple(unit for unit in left if unit.images)
        lost = f"{where} {'refused' if isinstance(running.last, Refused) else 'lost'} batch {batch.name} ({reason})"
        if batch.attempt > self._setup.retries:
            self._units.tell(f"{lost}, the last of {batch.attempt} attempts")
            if isinstance(running.last, Refused):  # nothing is wrong with its pictures
                self._refusals.append(reason)
                return []
            return [measured for unit in left for measured in self._fail(unit, running, reason)]

        self._units.tell(f"{lost}; its {sum(len(unit.images) for unit in left)} pictures are tried again elsewhere")
        if running.begun is not None:
            self._avoid.setdefault(_number(batch), set()).add(running.begun.node)
        self._waiting.append(self._make_batch(_number(batch), left, batch.attempt + 1))
        return []

    def _fail(self, unit: Unit, running: _Running, reason: str) -> Iterator[Measured]:
        error = JobLost(f"{running.name_node()}: {reason}; tried {running.batch.attempt} times")
        node = running.begun.node_id if running.begun else None
        provenance = Provenance(engine=running.batch.engine, node=node, attempt=running.batch.attempt)
        series = unit.series or identify(unit.spec)
        for image in unit.images:
            yield from self._accept_row(running, failed_row(unit, image, series, error, provenance), {})

    def _tell_waiting(self) -> None:
        """Say now and then that no job runs yet."""
        now = time.monotonic()
        if now - self._last_row > WAITING_S and not any(one.begun for one in self._running.values()):
            self._last_row = now
            self._units.tell(f"{len(self._running)} jobs called {self._folder.run.name} wait for the cluster to start "
                             "them")


def _name(unit: Unit) -> Name:
    return unit.spec.name, unit.spec.point


def _number(batch: Batch) -> str:
    return batch.name.rpartition("-")[0]
