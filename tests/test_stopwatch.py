"""What the time of a run is spent on."""

from __future__ import annotations

import re
import time
from pathlib import Path

import faulty_codecs
import pytest

from bench.cli import main
from bench.datasets import resolve_dataset
from bench.runners.evaluate import checks, measure, pictures
from bench.runners.evaluate.engine import Units, run_units
from bench.runners.evaluate.stopwatch import (
    CODING,
    FILES,
    PARTS,
    SCORING,
    STARTING,
    Stopwatch,
    describe_seconds,
)
from bench.runners.evaluate.unit import Unit, UnitImage


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BENCH_PLUGINS", "PYTHONPATH"):
        monkeypatch.setenv(name, faulty_codecs.environment()[name])


def make_unit(folder: Path) -> Unit:
    faulty_codecs.write_images(folder, [(60, 40), (40, 60)])
    dataset = resolve_dataset(folder)
    images = tuple(UnitImage(image.name, str(image.path), image.sha256) for image in dataset.images)
    return Unit(faulty_codecs.spec(), dataset.name, None, images)


def test_all_time_is_counted_once() -> None:
    now = [100.0]
    stopwatch = Stopwatch(lambda: now[0])
    for part, seconds in ((STARTING, 4), (CODING, 1), (SCORING, 16), (CODING, 8), (SCORING, 2), (CODING, 32)):
        stopwatch.begin(part)
        now[0] += seconds
    assert stopwatch.take() == {STARTING: 20, CODING: 41, SCORING: 2, FILES: 0}  # the first metrics load libraries
    now[0] += 3
    assert stopwatch.take()[CODING] == 3
    assert sum(stopwatch.take().values()) == 0


def test_shares_are_of_the_whole() -> None:
    text = describe_seconds({STARTING: 1.0, CODING: 6.0, SCORING: 3.0})
    assert text == "coding 60 %, metrics 30 %, hashing and files 0 %, start-up 10 %"
    assert "coding 0 %" in describe_seconds({})


def test_each_part_is_charged_with_its_own_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(function, seconds):
        return lambda *arguments: (time.sleep(seconds), function(*arguments))[1]

    for module, name, seconds in ((measure, "measure_quality", 0.2), (checks, "sha256_of_pixels", 0.05),
                                  (pictures, "decode_rgb8", 0.2), (measure, "build_codec", 0.3)):
        monkeypatch.setattr(module, name, slow(getattr(module, name), seconds))
    stopwatch, taken = Stopwatch(), []
    for _ in measure.run_unit(make_unit(tmp_path / "pictures"), stopwatch):
        taken.append(stopwatch.take())
    first, second = taken
    assert first[SCORING] == 0 and 0.2 <= second[SCORING] < 0.35
    assert 0.2 <= second[FILES] < 0.35  # reading; digests are made while it is scored
    assert first[STARTING] >= 0.5 and second[STARTING] < 0.1 and second[CODING] > 0


def test_what_a_worker_takes_is_the_time_until_its_rows_come(tmp_path: Path) -> None:
    start = time.monotonic()
    measured = list(run_units(Units([make_unit(tmp_path / "pictures")]), jobs=1))
    passed = time.monotonic() - start
    assert len(measured) == 2 and set(measured[0].seconds) <= set(PARTS)
    assert 0.7 * passed < sum(sum(one.seconds.values()) for one in measured) <= passed
    assert measured[0].seconds[STARTING] > 0.5 * passed  # processes have to start, for two small pictures


def test_run_says_at_its_end_what_took_the_time(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = faulty_codecs.write_images(tmp_path / "pictures", [(60, 40)])
    assert main(["evaluate", "--dataset", str(folder), "--codecs", "deflate", "--points", "s4",
                 "--results", str(tmp_path / "results")]) == 0
    line = capsys.readouterr().err.splitlines()[-1]
    shares = [int(share) for share in re.findall(r"(\d+) %", line)]
    assert line.startswith("took ") and len(shares) == 4 and 97 <= sum(shares) <= 103
