"""Profiles variants: latency in turns, stages, memory and complexity, one stored row a direction and picture."""

from __future__ import annotations

import datetime
import gc
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import torch
from msgspec.structs import replace

from bench.common.hashing import digest_json
from bench.common.text import align_columns
from bench.metrics.statistics.timing import summarise_times
from bench.results.latency_figures import kmac_per_pixel
from bench.results.latency_rows import DECODE, DIRECTIONS, ENCODE, OUT_OF_MEMORY, Direction, LatencyRow
from bench.results.rows import FAILED, OK, Provenance
from bench.runners.machine import code_version, describe_machine, free_gpu_memory, keep_freed_memory
from bench.runners.profile.candidate import Candidate
from bench.runners.profile.configurations import CONFIGURATIONS
from bench.runners.profile.expected import ProfileTimes
from bench.runners.profile.machine_state import OthersLoad, find_disturbances, read_state
from bench.runners.profile.plan import (
    Picture,
    Settings,
    expect_build,
    expect_group,
    expect_pass,
    expect_passes,
    find_building_kind,
    find_kind,
    row_identity,
)
from bench.runners.profile.protocol import Turns
from bench.runners.profile.subjects import Subject
from bench.runners.progress import Progress


class Profiler:
    """Measures groups of subjects and hands on their rows.

    Args:
        store: takes each row as soon as it is complete.
        times: what parts of it are expected to take.
        progress: is told what is done; its forecast is of the groups to run.
        build: makes a candidate of a subject.
        begin: is told the subject in work from now on, and its picture unless it is built; or nothing where none is.
    """

    def __init__(self, settings: Settings, store: Callable[[LatencyRow], None], times: ProfileTimes,
                 progress: Progress, build: Callable[..., Candidate] = Candidate,
                 begin: Callable[..., None] = lambda *what: None) -> None:
        self._settings, self._store, self._build, self._begin = settings, store, build, begin
        self._times, self._progress = times, progress
        made = describe_machine(settings.device, jobs=1, torch=settings.torch)
        self._provenance = replace(made, freed_memory_kept=keep_freed_memory())  # as `evaluate` runs codecs

    def measure(self, group: Sequence[Subject], pictures: Sequence[Picture]) -> None:
        """Measure a group, whose subjects are timed in turns.

        A subject that runs out of memory beside others is measured once more alone.
        """
        for subject, picture in self._measure_group(group, pictures).items():
            left = pictures[pictures.index(picture):]
            expect_group(self._progress.forecast, [subject], left, self._settings, self._times)
            self._measure_group([subject], left)
        self._begin()

    def _measure_group(self, group: Sequence[Subject], pictures: Sequence[Picture]) -> dict[Subject, Picture]:
        """Returns the subjects to try again alone, and from which picture on."""
        self._session, self._alone = uuid.uuid4().hex[:12], len(group) == 1
        self._again: dict[Subject, Picture] = {}  # what had no room beside others, and from which picture on
        self._left_s = expect_passes(group, pictures, self._settings, self._times)
        candidates: dict[Subject, Candidate] = {}
        for subject in group:
            self._begin(subject)
            self._progress.start_step(f"{subject.title}: building", expect_build(subject, self._times),
                                      find_building_kind(subject, self._times))
            try:
                candidates[subject] = self._build(subject, self._settings)
            except Exception as error:
                self._store_failure(subject, pictures, error)

        for picture in pictures:
            running = {subject: one for subject, one in candidates.items() if subject not in self._again}
            self._measure_picture(running, picture)
            self._leave_out(group, [picture])
        candidates.clear()
        _release_memory()
        return self._again

    def _measure_picture(self, candidates: dict[Subject, Candidate], picture: Picture) -> None:
        ready: dict[Subject, Candidate] = {}
        interrupted = False
        before = read_state(self._settings.device)
        with OthersLoad() as load:
            for subject, candidate in candidates.items():
                try:
                    candidate.examine(picture, partial(self._start_passes, subject, picture))
                    ready[subject] = candidate
                except Exception as error:
                    self._store_failure(subject, [picture], error)
                    _release_memory()
            turns = self._make_turns(ready, picture)
            try:
                turns.measure(self._settings.protocol_for(picture))
            except KeyboardInterrupt:  # what has enough samples is worth keeping
                interrupted = True

        after = read_state(self._settings.device)
        state = {"before": before, "after": after, "other_busy_cores": load.cores,
                 "warnings": find_disturbances(before, after, load.cores), "in_turns": [one.title for one in ready]}
        for subject, candidate in ready.items():
            self._store_measured(subject, candidate, picture, turns, state)
        if interrupted:
            raise KeyboardInterrupt

    def _store_measured(self, subject: Subject, candidate: Candidate, picture: Picture,
                        turns: Turns[tuple[Subject, Direction]], state: dict[str, Any]) -> None:
        """Store a row for each direction with enough samples, or failures."""
        own = {direction: turns.samples[subject, direction] for direction in DIRECTIONS}
        failure = next((one.failure for one in own.values() if one.failure is not None), None)
        if failure is not None:
            self._store_failure(subject, [picture], failure)
            return

        for direction, samples in own.items():
            if len(samples.samples_s) >= self._settings.protocol.least:
                self._store(self._make_row(
                    subject, picture, direction, status=OK, warmup_s=tuple(samples.warmup_s),
                    warm_because=samples.warm_because, samples_s=tuple(samples.samples_s),
                    **candidate.row_fields(picture, direction, state)))

    def _make_turns(self, ready: dict[Subject, Candidate], picture: Picture) -> Turns[tuple[Subject, Direction]]:
        functions = {(subject, direction): candidate.pass_over(picture, direction)
                     for subject, candidate in ready.items() for direction in DIRECTIONS}
        return Turns(functions, report=lambda name: self._start_passes(name[0], picture, name[1]))

    def _start_passes(self, subject: Subject, picture: Picture, what: str, passes: float = 1.0) -> None:
        """Tell the progress of a step; there may be more of them than expected."""
        self._begin(subject, picture)
        seconds = passes * expect_pass(subject, picture, self._settings, self._times)
        kind = find_kind(subject, picture, self._times)
        left_s = self._left_s.get((subject, picture), 0.0)
        self._progress.forecast.expect(kind, max(0.0, seconds - left_s))
        self._left_s[subject, picture] = max(0.0, left_s - seconds)
        self._progress.start_step(f"{subject.title} {picture}: {what}", seconds, kind)

    def _leave_out(self, subjects: Sequence[Subject], pictures: Sequence[Picture]) -> None:
        """Nothing more is done of these, whatever was expected."""
        for subject, picture in product(subjects, pictures):
            left_s = self._left_s.pop((subject, picture), 0.0)
            self._progress.forecast.drop(find_kind(subject, picture, self._times), left_s)

    def _store_failure(self, subject: Subject, pictures: Sequence[Picture], error: Exception) -> None:
        """Store a failure for each picture and direction, unless the subject is worth another try alone."""
        self._leave_out([subject], pictures)
        full = is_out_of_memory(error)
        if full and not self._alone:
            self._again[subject] = pictures[0]
            return

        reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        for picture in pictures:
            for direction in DIRECTIONS:
                self._store(self._make_row(subject, picture, direction,
                                           status=OUT_OF_MEMORY if full else FAILED, reason=reason))

    def _make_row(self, subject: Subject, picture: Picture, direction: Direction, **values: Any) -> LatencyRow:
        return make_row(subject, picture, direction, self._settings, self._provenance, self._session, **values)


def make_row(subject: Subject, picture: Picture, direction: Direction, settings: Settings, provenance: Provenance,
             session: str, **values: Any) -> LatencyRow:
    """Return a row of what was measured, or that it could not be, in ``values``."""
    identity = row_identity(subject, picture, direction, settings, provenance.device)
    return LatencyRow(
        key=digest_json(identity), session=session, name=subject.name, label=subject.variant.label,
        direction=direction, device=provenance.device, width=picture.width, height=picture.height,
        batch=settings.batch, configuration=CONFIGURATIONS.get(subject.configuration).label,
        line=subject.variant.line, miniature=subject.variant.miniature, weights=subject.weights,
        identity=identity, code_version=code_version(), provenance=provenance,
        measured_at=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), **values,
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or that which led to it, says that memory, of the host or a GPU, didn't suffice."""
    error = error.__cause__ or error
    host_allocator_failed = isinstance(error, RuntimeError) and "allocate memory" in str(error)
    return host_allocator_failed or isinstance(error, (MemoryError, torch.OutOfMemoryError))


def _release_memory() -> None:
    gc.collect()
    free_gpu_memory()


def summarise_rows(rows: Sequence[LatencyRow]) -> str:
    """Return what a profile gave, for the terminal: a line a variant, configuration and shape, then what went wrong."""
    pairs: dict[tuple[str, ...], dict[str, LatencyRow]] = {}
    for row in rows:
        if row.status == OK:
            pairs.setdefault((row.name, row.configuration, f"{row.width}x{row.height}"), {})[row.direction] = row
    headings = ("variant", "configuration", "shape", "encode ms (p10 to p90)", "decode ms (p10 to p90)", "n", "bpp",
                "exact", "decode peak MB", "kMAC/px enc", "dec")
    lines = align_columns([headings, *((*key, *_summary_cells(pair)) for key, pair in pairs.items())], left=3)

    failures = [f"failed: {row.name} ({row.configuration}) {row.width}x{row.height} {row.status}: {row.reason}"
                for row in rows if row.status != OK]
    warnings = [f"warning: {text}" for row in rows for text in row.state.get("warnings", ())]
    notes = [f"note: {row.name} ({row.configuration}) writes other bytes than the default configuration"
             for row in rows if row.changes_stream]
    return "\n".join([*lines, *dict.fromkeys(failures + warnings + notes)])


def _summary_cells(pair: dict[str, LatencyRow]) -> tuple[str, ...]:
    row = pair.get(DECODE) or pair[ENCODE]
    kmacs = [kmac_per_pixel(pair.get(direction)) for direction in DIRECTIONS]
    return (
        *(_milliseconds(pair.get(direction)) for direction in DIRECTIONS), str(len(row.samples_s)),
        "" if row.bpp is None else f"{row.bpp:.2f}", "yes" if row.decode_matches else "NO",
        "" if row.peak_alloc_bytes is None else f"{row.peak_alloc_bytes / 1e6:.0f}",
        *("" if kmac is None else f"{kmac:.1f}" for kmac in kmacs),
    )


def _milliseconds(row: LatencyRow | None) -> str:
    if row is None:
        return ""
    found = summarise_times(row.samples_s)
    return f"{1000 * found.median:.4g} ({1000 * found.p10:.4g} to {1000 * found.p90:.4g})"
