"""How many units run at a time on this machine: as many as make the run fastest, by times, cores, GPUs and memory."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.codecs.base import CODECS
from bench.common.files import file_name, match_files
from bench.results.latency_rows import LatencyRow
from bench.results.rows import OK
from bench.results.store import read_rows
from bench.results.stored import LATENCY
from bench.runners.evaluate.expected import FIRST_START_S, LATER_START_S
from bench.runners.evaluate.plan import EvaluationPlan, PlannedUnit, measure_megapixels
from bench.runners.evaluate.slots import count_gpus, wants_gpu
from bench.runners.evaluate.unit import Unit
from bench.runners.machine_share import find_cpu_quota, find_free_memory, usable_cores

WORTH_IT = 0.95  # of a run's time with fewer workers, at which one more is started
LEAST_GAIN_S = 1.0  # beside that: processes that start take cores from those that measure
WITHOUT_SPARE_CORE = 1.2  # times what a unit takes where no core is left for its checks beside scoring
SHARE_OF_MEMORY = 0.8
# Of both processes of a unit, in bytes, with what all share: rehearsed, see docs/own_cost.md.
PROCESSES_BYTES, TORCH_PROCESSES_BYTES = 5e8, 1e9
SCORING_BYTES_PER_PIXEL = 350
CODING_BYTES_PER_PIXEL = 12_000  # of a model without a profile: the largest of all variants, rounded up


@dataclass(frozen=True)
class Load:
    """What a unit takes of the machine while it runs.

    Attributes:
        seconds: with what its worker's start takes left out.
        start_s: of its worker.
        cores: that it keeps busy.
        memory_bytes: of its processes at their peak.
    """

    seconds: float
    start_s: float
    cores: int
    memory_bytes: float


def choose_jobs(plan: EvaluationPlan, results: Path) -> EvaluationPlan:
    """Return ``plan``, made for one unit at a time, with as many at a time as make it fastest.

    No unit gets fewer cores than it keeps busy, so that what it is timed at is hardly longer than alone.

    Args:
        plan: of this machine.
        results: where profiles tell how much memory models take.
    """
    on_cores = [planned for planned in plan.pending if not wants_gpu(planned.unit)]
    gpus = count_gpus(planned.unit for planned in plan.pending)
    cores = max(1, int(min(usable_cores(), find_cpu_quota() or usable_cores())) - gpus)

    workers = min(1, len(on_cores))
    most = cores // max((count_cores(planned.unit) for planned in on_cores), default=1)
    if min(most, len(on_cores)) > 1:
        loads = [_estimate_load(planned, results) for planned in on_cores]
        workers = count_workers(loads, cores, SHARE_OF_MEMORY * find_free_memory())
    return set_jobs(plan, max(1, gpus + workers))


def count_workers(loads: Sequence[Load], cores: int, free_bytes: float) -> int:
    """Return how many workers make all ``loads`` fastest; of numbers that are about as fast the least.

    Args:
        cores: that there are for all of them.
        free_bytes: memory that there is for all of them.
    """
    most = min(len(loads), max(1, cores // max(load.cores for load in loads)))
    by_memory = sorted((load.memory_bytes for load in loads), reverse=True)
    chosen, chosen_s = 1, expect_run(loads, 1, cores)
    for workers in range(2, most + 1):
        if sum(by_memory[:workers]) > free_bytes:
            break
        run_s = expect_run(loads, workers, cores)
        if run_s < WORTH_IT * chosen_s - LEAST_GAIN_S:
            chosen, chosen_s = workers, run_s
    return chosen


def expect_run(loads: Iterable[Load], workers: int, cores: int) -> float:
    """Return the seconds that ``loads`` take, the longest first, each by the worker that is free first."""
    slowdown = 1.0 if workers < cores or workers == 1 else WITHOUT_SPARE_CORE
    free_at = [0.0] * workers
    for load in sorted(loads, key=lambda load: load.seconds, reverse=True):
        start = heapq.heappop(free_at)
        heapq.heappush(free_at, (start or load.start_s) + slowdown * load.seconds)
    return max(free_at)


def set_jobs(plan: EvaluationPlan, jobs: int) -> EvaluationPlan:
    """Return ``plan``, made for one unit at a time, with ``jobs`` at a time: each worker's start takes its time."""
    units, started = [], 0
    for planned in plan.units:
        if planned.unit.images:
            started += 1
            if 1 < started <= jobs:
                planned = replace(planned, expected=planned.expected.delay_start(_find_start_s(planned.unit)))
        units.append(replace(planned, unit=replace(planned.unit, jobs=jobs)))
    return replace(plan, units=tuple(units), jobs=jobs)


def count_cores(unit: Unit) -> int:
    """Return how many cores a unit keeps busy: torch takes all that it may, other codecs one each."""
    if not CODECS.get(unit.spec.codec).uses_torch:
        return 1
    named = os.environ.get("OMP_NUM_THREADS", "")
    return unit.threads or (int(named) if named.isdecimal() and int(named) else usable_cores())


def _find_start_s(unit: Unit) -> float:
    through_torch = CODECS.get(unit.spec.codec).uses_torch
    return FIRST_START_S[through_torch] - LATER_START_S[through_torch]


def _estimate_load(planned: PlannedUnit, results: Path) -> Load:
    unit = planned.unit
    pixels = 1e6 * max(measure_megapixels(image) for image in unit.images)
    return Load(planned.expected.seconds, _find_start_s(unit), count_cores(unit),
                _estimate_memory(unit, pixels, results) + SCORING_BYTES_PER_PIXEL * pixels)


def _estimate_memory(unit: Unit, pixels: float, results: Path) -> float:
    """Return the bytes that an encoder and a decoder take, by the model's profile where there is one."""
    if not CODECS.get(unit.spec.codec).uses_torch:
        return PROCESSES_BYTES

    rows = [row for path in match_files(results, f"{LATENCY}/*/{file_name(unit.spec.name)}.jsonl")
            for row in read_rows(path, LatencyRow)
            if row.status == OK and row.device.startswith("cpu") and row.peak_alloc_bytes and row.weights_bytes]
    if not rows:
        return TORCH_PROCESSES_BYTES + 2 * CODING_BYTES_PER_PIXEL * pixels
    own = [float(row.peak_alloc_bytes or 0) - float(row.weights_bytes or 0) for row in rows]
    by_pixel = max(own_bytes / (row.width * row.height) for own_bytes, row in zip(own, rows))
    return TORCH_PROCESSES_BYTES + 2 * (max(row.weights_bytes or 0 for row in rows) + by_pixel * pixels)
