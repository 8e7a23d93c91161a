"""The time left of a profile: after a tenth of it within a factor of 1.5 of the whole, whatever was planned."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import latency_samples
import pytest
import row_samples
from test_forecast import FACTOR, largest_error
from tiny_models import write_variants

from bench.results.latency_selection import select_latency
from bench.results.rows import Provenance
from bench.results.store import Store
from bench.runners.profile import ROUNDS
from bench.runners.profile import run as profiling
from bench.runners.profile.expected import FIRST_PASSES, MEMORY_PASSES, STAGE_PASSES, ProfileTimes, expect_profile_s
from bench.runners.profile.plan import Picture, Settings, make_forecast
from bench.runners.profile.protocol import Protocol, Turns
from bench.runners.profile.run import Profiler
from bench.runners.profile.subjects import Subject, choose_subjects
from bench.runners.progress import Progress
from bench.variants import get_variant

USUAL = Picture(768, 512)
SETTINGS = Settings("cpu", (USUAL,), protocol=Protocol(ROUNDS, least=ROUNDS),
                    torch={"threads": 2, "deterministic": True})


@dataclass
class Machine:
    """A machine with a clock of its own, on which everything takes a number of times longer than on a quiet one.

    Attributes:
        load: that number, at a time; what it does beside makes it uneven.
        build: how many times longer building takes beyond that.
        passes: seconds of a pass of a variant.
    """

    load: Callable[[float], float] = lambda now: 1.0
    build: float = 1.0
    passes: dict[str, float] = field(default_factory=dict)
    now: float = 0.0
    uneven: random.Random = field(default_factory=lambda: random.Random(3))

    def spend(self, seconds: float) -> None:
        self.now += seconds * self.load(self.now) * math.exp(self.uneven.gauss(0, 0.25))

    def time(self, function: Callable[[], object]) -> tuple[object, float]:
        before = self.now
        return function(), self.now - before


class Simulated:
    """Stands in for a candidate; takes what its steps took beside their passes when they were measured."""

    def __init__(self, machine: Machine, subject: Subject, settings: Settings) -> None:
        self._machine, self._usual_s = machine, machine.passes[subject.name]
        machine.spend(machine.build * (0.75 + (3.0 * self._usual_s / 1.4 if subject.checkpoint is None else 0.0)))

    def examine(self, picture: Picture, step: Callable[[str, float], None]) -> None:
        pass_s = self._usual_s * picture.megapixels / USUAL.megapixels
        for direction in ("encode", "decode"):
            step(f"first {direction}", FIRST_PASSES)
            self._machine.spend(1.15 * pass_s)
        for direction in ("encode", "decode"):
            step(f"stages of {direction}", STAGE_PASSES)
            self._machine.spend(4.05 * pass_s)
            step(f"memory of {direction}", MEMORY_PASSES)
            self._machine.spend(1.2 * pass_s)

    def pass_over(self, picture: Picture, direction: str) -> Callable[[], None]:
        return partial(self._machine.spend, self._usual_s * picture.megapixels / USUAL.megapixels)

    def row_fields(self, picture: Picture, direction: str, state: dict) -> dict:
        return {}


class Told(Progress):
    """Keeps seconds passed and left at the start of every step."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.told: list[tuple[float, float]] = []

    def show(self, what: str) -> None:
        self.told.append((self._clock(), self.left_s()))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[float, float]]]:
    """Profile variants on a machine; returns seconds passed and left, the end included."""
    path = write_variants(tmp_path)
    path.write_text("".join([path.read_text(), *(f"  {name}:\n    model: hpcm_base\n    lambdas: [0.01]\n"
                                                 for name in ("hpcm_base", "mine", "other"))]))
    monkeypatch.setenv("BENCH_VARIANTS", str(path))
    monkeypatch.setattr("bench.runners.profile.expected.usable_cores", lambda: 2)

    def run(machine: Machine, times: ProfileTimes, settings: Settings = SETTINGS) -> list[tuple[float, float]]:
        monkeypatch.setattr(profiling, "Turns", lambda functions, report: Turns(
            functions, machine.time, lambda: machine.now, report))
        group = choose_subjects(list(machine.passes), ["default"], "cpu")
        with Told(make_forecast([group], settings, times), None, io.StringIO(), lambda: machine.now) as progress:
            Profiler(settings, lambda row: None, times, progress, partial(Simulated, machine)).measure(
                group, settings.pictures)
        return [*progress.told, (machine.now, progress.left_s())]
    return run


def know(**passes: float) -> ProfileTimes:
    """What is expected where these variants were timed, in seconds a pass at the usual size."""
    rows = [row for name, pass_s in passes.items() for row in latency_samples.both(name, pass_s, pass_s)]
    return ProfileTimes(select_latency(rows).cases, "cpu", 2)


KNOWN = {"nothing": know(), "the baseline": know(hpcm_base=1.4), "both": know(hpcm_base=1.4, mine=2.0)}


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("load", [4.0, 2.7, 1.0, 1 / 2.7])
def test_machine_of_another_pace_or_with_other_work_beside(run, known: str, load: float) -> None:
    told = run(Machine(lambda now: load, passes={"hpcm_base": 1.4, "mine": 2.0}), KNOWN[known])
    assert largest_error(told, 0.1) < FACTOR


@pytest.mark.parametrize("known", [name for name in KNOWN if name != "nothing"])
@pytest.mark.parametrize("load", [2.7, 1.0])
@pytest.mark.parametrize("build", [0.5, 2.0])
def test_building_takes_longer_than_planned_or_hardly_any_time(run, known: str, load: float, build: float) -> None:
    machine = Machine(lambda now: load, build, {"hpcm_base": 1.4, "mine": 2.0})
    assert largest_error(run(machine, KNOWN[known]), 0.1) < FACTOR


def test_other_work_comes_and_goes(run) -> None:
    machine = Machine(lambda now: 1.0 + 2.0 * (now % 10 < 5), passes={"hpcm_base": 1.4, "mine": 2.0})
    assert largest_error(run(machine, KNOWN["both"]), 0.1) < FACTOR


@pytest.mark.parametrize("pass_s", [0.02, 0.3, 5.0])
def test_short_and_long_passes(run, pass_s: float) -> None:
    """Their warm-up is of more calls or fewer."""
    told = run(Machine(lambda now: 2.0, passes={"hpcm_base": pass_s, "mine": pass_s}), know(hpcm_base=pass_s))
    assert largest_error(told, 0.1) < FACTOR


def test_many_variants_and_sizes(run) -> None:
    settings = Settings("cpu", (USUAL, Picture(256, 256)), protocol=Protocol(10, 600.0, ROUNDS), torch=SETTINGS.torch)
    machine = Machine(lambda now: 2.0, passes={"hpcm_base": 1.4, "mine": 3.0, "other": 0.7})
    assert largest_error(run(machine, KNOWN["the baseline"], settings), 0.1) < FACTOR


def test_plan_and_run_expect_the_same(run) -> None:
    group = [get_variant(name) for name in ("hpcm_base", "mine")]
    for times in KNOWN.values():
        told = run(Machine(passes={"hpcm_base": 1.4, "mine": 2.0}), times)
        assert told[0] == (0.0, pytest.approx(expect_profile_s(group, times, ROUNDS)))


def test_a_variant_that_fails_leaves_nothing_to_do(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise ValueError("no")

    machine = Machine(passes={"hpcm_base": 1.4, "mine": 2.0})
    monkeypatch.setattr(Simulated, "examine", fail)
    told = run(machine, KNOWN["both"])
    assert told[0][1] > 80 and told[-1][1] < 5


@pytest.mark.parametrize("provenance", [Provenance(), Provenance(device="cpu: another")])
def test_a_variant_that_was_just_evaluated_is_expected_to_take_as_long(run, tmp_path: Path,
                                                                      provenance: Provenance) -> None:
    """Here it takes six times as long as the baseline."""
    for image in ("a.png", "b.png"):
        Store(tmp_path).append(row_samples.row(image, "0.01", 1.0, 30.0, name="mine", encode_s=16.0, decode_s=24.0,
                                               width=1000, height=1000, provenance=provenance))
    base = [*latency_samples.both("hpcm_base", 1.4, 1.4)]
    times = ProfileTimes(select_latency(base).cases, "cpu", 2, tmp_path)
    assert times.expect_pass("mine", 0.4) == pytest.approx(8)
    assert times.expect_pass("other", 0.4) == times.expect_pass("hpcm_base", 0.4) < 2
    told = run(Machine(lambda now: 2.0, passes={"hpcm_base": 1.4, "mine": 8.4}), times)
    assert largest_error(told, 0.1) < FACTOR


@pytest.mark.parametrize("load", [3.0, 1.0, 0.4])
def test_one_variant_whose_building_takes_a_third(run, load: float) -> None:
    small = Settings("cpu", (Picture(256, 256),), protocol=Protocol(ROUNDS, least=ROUNDS), torch=SETTINGS.torch)
    told = run(Machine(lambda now: load, passes={"hpcm_base": 3.0}), KNOWN["nothing"], small)
    assert largest_error(told, 0.1) < FACTOR
