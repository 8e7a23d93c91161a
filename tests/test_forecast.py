"""The time left: after a tenth of a run within a factor of 1.5 of what the whole took, whatever was planned."""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import pytest
import row_samples

from bench.runners.evaluate.expected import ExpectedUnit, RunForecast, Work
from bench.runners.evaluate.stopwatch import CODING, SCORING, STARTING
from bench.runners.forecast import ELSEWHERE, GUESSED, HERE, Forecast, Kind
from bench.runners.progress import Progress

FACTOR = 1.5
IMAGES = 24


@dataclass(frozen=True)
class Codec:
    """Seconds as planned, and what really is how many times that."""

    name: str
    family: str = "learned"
    source: str = ELSEWHERE
    points: int = 4
    images: int = IMAGES
    coding_s: float = 0.5
    metrics_s: float = 0.24
    start_s: float = 0.5
    first_start_s: float | None = None
    coding: float = 1.0
    metrics: float = 1.0
    start: float = 1.0
    rise: float = 1.0  # how many times longer each rate point takes than the one before it, which no plan knows

    def units(self) -> Iterator[tuple[ExpectedUnit, float]]:
        """Each unit, and how many times longer its coding takes than the codec's average."""
        starting = Kind(f"start {self.family}", "start", ELSEWHERE)
        coding = Kind(f"coding {self.name}", self.family, self.source)
        scoring = Kind("metrics", "metrics", ELSEWHERE)
        works = (Work(coding, CODING, self.coding_s), Work(scoring, SCORING, self.metrics_s))
        for point in range(self.points):
            start_s = self.first_start_s if point == 0 and self.first_start_s else self.start_s
            yield (ExpectedUnit(Work(starting, STARTING, start_s), {str(image): works for image in range(self.images)}),
                   self.rise ** (point - (self.points - 1) / 2))


def run(codecs: list[Codec]) -> list[tuple[float, float]]:
    """Seconds passed and left whenever an image is done, by a clock of its own."""
    units = [(codec, *unit) for codec in codecs for unit in codec.units()]
    forecast = Forecast()
    for _, unit, _ in units:
        unit.enter(forecast)
    now, told, uneven = 0.0, [], random.Random(1)
    with Progress(forecast, sum(len(unit.images) for _, unit, _ in units), io.StringIO(), lambda: now) as progress:
        for codec, unit, rise in units:
            for image in unit.images:
                taken = {STARTING: unit.start.planned_s * codec.start if image == "0" else 0.0,
                         CODING: codec.coding_s * codec.coding * rise * math.exp(uneven.gauss(0, 0.25)),
                         SCORING: codec.metrics_s * codec.metrics}
                now += sum(taken.values())
                unit.finish_image(forecast, image, taken, is_first=image == "0")
                progress.count_image(codec.name)
                if len(told) < 100 or int(image) % 6 == 5:
                    told.append((now, progress.left_s()))
    return told


def largest_error(told: list[tuple[float, float]], after: float) -> float:
    """The largest factor between passed plus left and what the whole took, from a part of the run on."""
    whole = told[-1][0]
    errors = [(passed + left) / whole for passed, left in told if passed >= after * whole]
    return max(max(error, 1 / error) for error in errors)


def spread(number: int, **values: object) -> list[Codec]:
    return [Codec(f"codec {index}", coding_s=0.2 * (1 + index % 4), **values) for index in range(number)]


@pytest.mark.parametrize("source", [HERE, ELSEWHERE, GUESSED])
@pytest.mark.parametrize("pace", [2.7, 1.0, 1 / 2.7])
def test_machine_of_another_pace(source: str, pace: float) -> None:
    told = run(spread(10, source=source, coding=pace, metrics=pace, start=pace))
    assert largest_error(told, 0.1) < 1.25


@pytest.mark.parametrize("source", [HERE, ELSEWHERE, GUESSED])
def test_one_codec_of_few_units_whose_first_start_is_dear(source: str) -> None:
    told = run([Codec("mini", source=source, coding_s=0.2, first_start_s=5, coding=2.7, metrics=2.7, start=2.7)])
    assert largest_error(told, 0.1) < FACTOR


@pytest.mark.parametrize("source", [HERE, ELSEWHERE, GUESSED])
@pytest.mark.parametrize("pace", [3.0, 1 / 3])
def test_first_codec_of_another_pace_than_the_rest(source: str, pace: float) -> None:
    first, *rest = spread(6, source=source)
    told = run([Codec("first", source=source, coding=pace), *rest])
    assert largest_error(told, 0.1) < FACTOR


@pytest.mark.parametrize("source", [HERE, ELSEWHERE, GUESSED])
@pytest.mark.parametrize(("coding", "start"), [(1, 3), (3, 1), (2, 2), (0.5, 1)])
def test_starts_take_most(source: str, coding: float, start: float) -> None:
    codecs = [Codec(f"codec {index}", source=source, images=3, coding_s=0.1, start_s=3, coding=coding, start=start)
              for index in range(10)]
    assert largest_error(run(codecs), 0.1) < FACTOR


@pytest.mark.parametrize("source", [HERE, ELSEWHERE, GUESSED])
@pytest.mark.parametrize(("classical", "learned"), [(2.7, 2.7), (1.0, 2.0), (2.0, 1.0)])
def test_a_few_classical_codecs_first(source: str, classical: float, learned: float) -> None:
    codecs = [Codec(f"classical {index}", "classical", source, points=6, coding_s=0.05, coding=classical,
                    metrics=min(classical, learned)) for index in range(3)]
    codecs += [Codec(f"learned {index}", source=source, coding_s=1.5, first_start_s=5, coding=learned,
                     metrics=min(classical, learned)) for index in range(6)]
    assert largest_error(run(codecs), 0.1) < FACTOR


@pytest.mark.parametrize("source", [HERE, ELSEWHERE, GUESSED])
def test_rate_points_rise(source: str) -> None:
    codecs = [Codec(f"codec {index}", source=source, rise=2.0) for index in range(6)]
    assert largest_error(run(codecs), 0.1) < FACTOR


@pytest.mark.parametrize("reverse", [False, True])
def test_stored_times_in_their_order(reverse: bool) -> None:
    """Times of all codecs on Kodak, on a machine 2.7 times slower than where they were taken, at some more than others.

    They are of an idle machine; rows that are stored later may be of a busy one.
    """
    timed = json.loads(Path(__file__).with_name("kodak_times.json").read_text())
    points = {(one["miniature"], one["name"], one["point"]): one["coding_s"] for one in timed}

    uneven = random.Random(2)
    pace = {name: 2.7 * math.exp(uneven.gauss(0, 0.3)) for _, name, _ in sorted(points)}
    forecast, now, told = Forecast(), 0.0, []
    units = []
    for (miniature, name, _), seconds in sorted(points.items(), reverse=reverse):
        coding = Work(Kind(name, "learned" if miniature else "classical", ELSEWHERE), CODING, fmean(seconds))
        start = Work(Kind(f"start {miniature}", "start", ELSEWHERE), STARTING, 1.0)
        unit = ExpectedUnit(start, {str(image): (coding,) for image in range(len(seconds))})
        unit.enter(forecast)
        units.append((unit, name, seconds))
    for unit, name, seconds in units:
        for image, coding_s in enumerate(seconds):
            taken = {STARTING: 0.0 if image else 2.7, CODING: pace[name] * coding_s}
            now += sum(taken.values())
            unit.finish_image(forecast, str(image), taken, is_first=image == 0)
        told.append((now, forecast.left_s()))
    assert largest_error(told, 0.1) < FACTOR


def test_before_anything_is_done_the_plan_stands() -> None:
    forecast = Forecast(workers=2)
    forecast.expect(Kind("a"), 30)
    forecast.expect(Kind("b"), 10)
    assert forecast.left_s() == 20
    forecast.drop(Kind("b"), 10)
    assert forecast.left_s() == 15


def test_a_pace_is_believed_the_more_the_oftener_it_was_seen() -> None:
    def pace_after(times: int, kind: Kind) -> float:
        forecast = Forecast()
        forecast.expect(kind, 1000)
        for _ in range(times):
            forecast.finish(kind, 2.0, 8.0)
        return forecast.paces()[kind]

    for source in (HERE, ELSEWHERE, GUESSED):
        once, often = (pace_after(times, Kind("a", source=source)) for times in (1, 50))
        assert 1.5 < once < often < 4.0 and often == pytest.approx(4.0, rel=0.1)


def test_what_other_work_learns_from_a_pace_depends_on_how_akin_it_is() -> None:
    seen = Kind("seen", "learned", ELSEWHERE)
    others = [Kind("same family", "learned", ELSEWHERE), Kind("other family", "classical", ELSEWHERE),
              Kind("known here", "learned", HERE)]
    forecast = Forecast()
    for kind in (seen, *others):
        forecast.expect(kind, 1000)
    for _ in range(20):
        forecast.finish(seen, 2.0, 8.0)
    paces = [forecast.paces()[kind] for kind in (seen, *others)]
    assert paces == sorted(paces, reverse=True) and 1 < paces[-1] < paces[0] < 4


def test_images_that_another_run_measured_are_left_out() -> None:
    (unit, _), = Codec("a", points=1, images=2).units()
    forecast = Forecast()
    unit.enter(forecast)
    unit.leave_out(forecast, {"0"})
    assert forecast.left_s() == pytest.approx(0.5 + 0.74)
    unit.leave_out(forecast, {"1", "0"})  # all of them: no start either
    assert forecast.left_s() == 0


def test_images_that_failed_teach_nothing() -> None:
    (unit, _), = Codec("a", points=1, images=3).units()
    forecast = Forecast()
    unit.enter(forecast)
    unit.finish_image(forecast, "0", {}, is_first=True)
    assert forecast.left_s() == pytest.approx(2 * 0.74)


def test_the_last_unit_keeps_one_worker_busy() -> None:
    units = {("jpeg", point): unit for point, (unit, _) in
             zip(("q1", "q2", "q3"), Codec("jpeg", points=3, images=2, start_s=0.26).units())}
    forecast = Forecast(workers=2)
    for unit in units.values():
        unit.enter(forecast)
    run_forecast = RunForecast(forecast, units)
    left = [forecast.left_s()]
    for point, image in (("q1", "0"), ("q2", "0"), ("q1", "1"), ("q2", "1"), ("q3", "0")):
        row = row_samples.row(image, point, 1.0, 30.0)
        taken = {STARTING: 0.26 if image == "0" else 0.0, CODING: 0.5, SCORING: 0.24}
        run_forecast.finish_image(row, taken)
        left.append(forecast.left_s())
    each_s = 0.74
    assert left[:5] == pytest.approx([3 * (0.26 + 2 * each_s) / 2, (2 * 0.26 + 5 * each_s) / 2,
                                      (0.26 + 4 * each_s) / 2, (0.26 + 3 * each_s) / 2, 0.26 + 2 * each_s])
    assert left[5] == pytest.approx(each_s)
