"""How long the parts of a profile take; imports neither torch nor models."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from statistics import mean, median

from bench.common.files import file_name, match_files
from bench.results.latency_rows import DIRECTIONS
from bench.results.latency_selection import BASE, DEFAULT, USUAL_SHAPE, Case
from bench.results.rows import Row
from bench.results.store import read_rows
from bench.runners.evaluate.known_times import ANY_POINT, KnownTimes, average_times, is_timed
from bench.runners.forecast import ELSEWHERE, GUESSED, HERE, Kind
from bench.runners.machine_share import usable_cores
from bench.runners.profile.protocol import Protocol
from bench.variants import Variant, find_usual_weights

CORE_SECONDS_PER_MEGAPIXEL = 18.0  # of a pass in one direction
GPU_SECONDS_PER_MEGAPIXEL = 0.08
BUILD_CORE_SECONDS = 1.5
SYNTHETIC_MEGAPIXELS = 0.85  # of passes that making synthetic weights is worth: some on a small picture
# How many usual passes the steps before the warm-up are worth, each in one direction.
FIRST_PASSES, STAGE_PASSES, MEMORY_PASSES = 1.1, 4.1, 1.2  # the second: three with stages, one to see the process
USUAL_MEGAPIXELS = USUAL_SHAPE[0] * USUAL_SHAPE[1] / 1e6
USUAL_WARM_UP_CALLS = 15  # between the six of even times and the 30 of uneven ones
BUILDING, PASSES = "building", "passes"  # families of work


class ProfileTimes:
    """Seconds that the parts of a profile are expected to take, by earlier times of the device where there are any.

    A variant without a profile is expected to take as long as when it was evaluated, else as long as the baseline.

    Args:
        cases: stored ones of the device.
        device: "cpu" or "cuda".
        threads: torch's.
        results: folder of stored rows; None knows of no evaluation.
    """

    def __init__(self, cases: Iterable[Case], device: str, threads: int, results: Path | None = None) -> None:
        self._device = device.partition(":")[0]
        self._cores = min(8, threads, usable_cores())  # more hardly help one image
        self._results = results
        self._evaluated: dict[str, KnownTimes | None] = {}
        self._s_per_megapixel = {
            case.name: mean(median(row.samples_s) for row in case.measured_rows) / USUAL_MEGAPIXELS for case in cases
            if case.conditions.is_usual and case.configuration == DEFAULT and case.measured_rows}

    def expect_build(self, name: str, is_synthetic: bool) -> float:
        """Of a variant's model with its weights, which are made anew or read."""
        build_s = BUILD_CORE_SECONDS / self._cores
        return build_s + self.expect_pass(name, SYNTHETIC_MEGAPIXELS) if is_synthetic else build_s

    def expect_pass(self, name: str, megapixels: float) -> float:
        """Of one pass in one direction of a variant."""
        if name not in self._s_per_megapixel and (evaluated := self._find_evaluated(name)):
            return evaluated.expect_s(ANY_POINT, megapixels) / len(DIRECTIONS)
        known = self._s_per_megapixel.get(name) or self._s_per_megapixel.get(BASE)
        return (known or self._guess()) * megapixels

    def expect_passes(self, name: str, megapixels: float, rounds: float, protocol: Protocol) -> float:
        """Of all passes of a variant over a picture, in both directions."""
        pass_s = self.expect_pass(name, megapixels)
        before = FIRST_PASSES + STAGE_PASSES + MEMORY_PASSES + _count_warm_up(pass_s, protocol)
        return len(DIRECTIONS) * (before + rounds) * pass_s

    def find_kind(self, name: str, what: str, family: str) -> Kind:
        """The kind that work on a variant is, called ``what``."""
        if name in self._s_per_megapixel:
            return Kind(what, family, HERE)
        if evaluated := self._find_evaluated(name):
            return Kind(what, family, evaluated.source)
        if BASE in self._s_per_megapixel:
            return Kind(what, family, ELSEWHERE)
        return Kind(what, PASSES, GUESSED)  # building is mostly passes: one guess is as wrong for both

    def _find_evaluated(self, name: str) -> KnownTimes | None:
        """What rows of evaluations tell of a variant's encoding and decoding together, if there are any."""
        if self._results is None:
            return None
        if name not in self._evaluated:
            rows = [row for path in match_files(self._results, f"*/{file_name(name)}.jsonl")
                    for row in read_rows(path, Row) if is_timed(row, self._device)]
            self._evaluated[name] = average_times(rows, decodings=1.0) if rows else None
        return self._evaluated[name]

    def _guess(self) -> float:
        if self._device != "cpu":
            return GPU_SECONDS_PER_MEGAPIXEL
        return CORE_SECONDS_PER_MEGAPIXEL / self._cores


def expect_profile_s(variants: Iterable[Variant], times: ProfileTimes, rounds: int) -> float:
    """Seconds that a profile of variants at the usual size is expected to take."""
    return sum(times.expect_build(one.name, find_usual_weights(one)[1] is None)
               + times.expect_passes(one.name, USUAL_MEGAPIXELS, rounds, Protocol()) for one in variants)


def _count_warm_up(pass_s: float, protocol: Protocol) -> int:
    """Calls until a function counts as warm."""
    calls = math.ceil(protocol.warmup_s / pass_s)
    return max(1, min(calls, USUAL_WARM_UP_CALLS, protocol.warmup_calls))
