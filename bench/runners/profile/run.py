"""Profiles variants: latency in turns, stages, memory and complexity, one stored row a direction and shape."""

from __future__ import annotations

import datetime
import gc
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from msgspec.structs import replace

from bench.results.latency_rows import OUT_OF_MEMORY, LatencyRow
from bench.results.rows import FAILED, OK
from bench.results.schema import digest
from bench.runners.allocator import keep_freed_memory
from bench.runners.machine import code_version, describe_machine, free_gpu_memory
from bench.runners.profile.candidate import Candidate
from bench.runners.profile.configurations import CONFIGURATIONS
from bench.runners.profile.machine_state import OthersLoad, read_state, state_warnings
from bench.runners.profile.plan import DIRECTIONS, Frame, Settings, build_s, pass_s, round_s, row_identity, sampling_s
from bench.runners.profile.protocol import Turns
from bench.runners.profile.subjects import Subject


class Profiler:
    """Measures groups of subjects and hands on their rows.

    Args:
        store: takes each row as soon as it is complete.
        step: is told what is done next, and how many seconds that is expected to take.
        build: makes a candidate of a subject.
    """

    def __init__(self, settings: Settings, store: Callable[[LatencyRow], None],
                 step: Callable[[str, float], None] = lambda what, expected_s: None,
                 build: Callable[..., Candidate] = Candidate) -> None:
        self._settings, self._store, self._step, self._build = settings, store, step, build
        made = describe_machine(settings.device, jobs=1, torch=settings.torch)
        self._provenance = replace(made, freed_memory_kept=keep_freed_memory())  # as `evaluate` runs codecs

    def run(self, groups: Sequence[Sequence[Subject]]) -> None:
        """Measure all groups; subjects of a group are timed in turns.

        A subject that runs out of memory beside others is measured once more alone.
        """
        for group in groups:
            for subject, frame in self._measure_group(group, self._settings.frames).items():
                frames = self._settings.frames
                self._measure_group([subject], frames[frames.index(frame):])

    def _measure_group(self, group: Sequence[Subject], frames: Sequence[Frame]) -> dict[Subject, Frame]:
        """Returns the subjects to try again alone, and from which frame on."""
        again: dict[Subject, Frame] = {}
        candidates: dict[Subject, Candidate] = {}
        session = uuid.uuid4().hex[:12]
        for subject in group:
            self._step(f"{subject.title}: building", build_s())
            try:
                candidates[subject] = self._build(subject, self._settings)
            except Exception as error:
                self._fail(subject, frames, error, session, again, alone=len(group) == 1)
        for frame in frames:
            running = {subject: one for subject, one in candidates.items() if subject not in again}
            self._measure_frame(running, frame, session, again, alone=len(group) == 1)
        candidates.clear()
        _release()
        return again

    def _measure_frame(self, candidates: dict[Subject, Candidate], frame: Frame, session: str,
                       again: dict[Subject, Frame], alone: bool) -> None:
        ready: dict[Subject, Candidate] = {}
        interrupted = False
        before = read_state(self._settings.device)
        with OthersLoad() as load:
            for subject, candidate in candidates.items():
                try:
                    candidate.examine(frame, partial(self._passes, subject, frame))
                    ready[subject] = candidate
                except Exception as error:
                    self._fail(subject, [frame], error, session, again, alone)
                    _release()
            turns = self._turns(ready, frame)
            try:
                turns.measure(self._settings.protocol_at(frame))
            except KeyboardInterrupt:  # what has enough samples is worth keeping
                interrupted = True
        after = read_state(self._settings.device)
        state = {"before": before, "after": after, "other_busy_cores": load.cores,
                 "warnings": state_warnings(before, after, load.cores), "in_turns": [one.title for one in ready]}
        for subject, candidate in ready.items():
            own = {direction: turns.samples[subject, direction] for direction in DIRECTIONS}
            failure = next((one.failure for one in own.values() if one.failure is not None), None)
            if failure is not None:
                self._fail(subject, [frame], failure, session, again, alone)
                continue
            for direction, samples in own.items():
                if len(samples.samples_s) >= self._settings.protocol.least:
                    self._store(self._row(
                        subject, frame, direction, session, status=OK, warmup_s=samples.warmup_s,
                        warm_because=samples.warm_because, samples_s=samples.samples_s,
                        **candidate.fields(frame, direction, state)))
        if interrupted:
            raise KeyboardInterrupt

    def _turns(self, ready: dict[Subject, Candidate], frame: Frame) -> Turns[tuple[Subject, str]]:
        functions = {(subject, direction): candidate.function(frame, direction)
                     for subject, candidate in ready.items() for direction in DIRECTIONS}
        warm_up_s = round_s(len(ready), frame, self._settings)
        planned_s = warm_up_s + sampling_s(len(ready), frame, self._settings)

        def report(name: tuple[Subject, str]) -> None:
            nonlocal planned_s  # a budget may be spent in more rounds than planned
            expected_s = min(planned_s, pass_s(frame, self._settings))
            planned_s -= expected_s
            self._step(f"{name[0].title} {frame}: {name[1]}", expected_s)

        return Turns(functions, report=report)

    def _passes(self, subject: Subject, frame: Frame, what: str) -> None:
        self._step(f"{subject.title} {frame}: {what}", pass_s(frame, self._settings))

    def _fail(self, subject: Subject, frames: Sequence[Frame], error: Exception, session: str,
              again: dict[Subject, Frame], alone: bool) -> None:
        """Store a failure for each frame and direction, unless the subject is worth another try alone."""
        full = is_out_of_memory(error)
        if full and not alone:
            again[subject] = frames[0]
            return
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        for frame in frames:
            for direction in DIRECTIONS:
                self._store(self._row(subject, frame, direction, session,
                                      status=OUT_OF_MEMORY if full else FAILED, reason=reason))

    def _row(self, subject: Subject, frame: Frame, direction: str, session: str, **values: Any) -> LatencyRow:
        identity = row_identity(subject, frame, direction, self._settings, self._provenance.device)
        return LatencyRow(
            key=digest(identity), session=session, name=subject.name, label=subject.variant.label,
            direction=direction, device=self._provenance.device, width=frame.width, height=frame.height,
            batch=self._settings.batch, configuration=CONFIGURATIONS.get(subject.configuration).label,
            line=subject.variant.line, miniature=subject.variant.miniature, weights=subject.weights,
            identity=identity, code_version=code_version(), provenance=self._provenance,
            measured_at=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), **values,
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of the host or a GPU, didn't suffice."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)  # torch's allocator of the host


def _release() -> None:
    gc.collect()
    free_gpu_memory()
