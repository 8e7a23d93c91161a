"""Who times has the machine alone: others finish what they do, begin nothing more, and go on afterwards."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.runners.machine_lock import MeasuringClaim, measuring, timing_alone

ROOT = Path(__file__).parents[1]
TIMER = """
import sys
from bench.runners.machine_lock import timing_alone
with timing_alone(lambda text: print(text, flush=True)):
    print("times", flush=True)
    sys.stdin.readline()
print("done", flush=True)
"""


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_MACHINE_LOCKS", str(tmp_path))


@pytest.fixture
def timer() -> Iterator[subprocess.Popen]:
    with subprocess.Popen([sys.executable, "-c", TIMER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        yield process
        process.kill()


def test_many_measure_beside_each_other() -> None:
    claims = [MeasuringClaim() for _ in range(3)]
    assert all(claim.take() for claim in claims)
    for claim in claims:
        claim.release()


def test_who_times_waits_for_what_is_measured_and_holds_up_what_is_not(
        timer_started: tuple[MeasuringClaim, subprocess.Popen]) -> None:
    running, timer = timer_started
    assert timer.stdout.readline() == "another run is measuring on this machine: waiting until it is done\n"
    other = MeasuringClaim()
    assert not other.take()
    assert not running.take()  # nor does the running one begin anything more
    running.release()
    assert timer.stdout.readline() == "times\n"
    assert not running.take()

    print(file=timer.stdin, flush=True)
    assert timer.stdout.readline() == "done\n"
    assert running.take() and other.take()


@pytest.fixture
def timer_started(request: pytest.FixtureRequest) -> tuple[MeasuringClaim, subprocess.Popen]:
    claim = MeasuringClaim()
    assert claim.take()
    return claim, request.getfixturevalue("timer")


def test_a_killed_timer_holds_up_nobody(timer: subprocess.Popen) -> None:
    assert timer.stdout.readline() == "times\n"
    claim = MeasuringClaim()
    assert not claim.take()
    timer.kill()
    timer.wait()
    assert claim.take()


def test_who_measures_waits_until_nobody_times(timer: subprocess.Popen) -> None:
    assert timer.stdout.readline() == "times\n"
    told: list[str] = []

    def let_go(text: str) -> None:
        told.append(text)
        print(file=timer.stdin, flush=True)

    with measuring(let_go):
        assert timer.wait(60) == 0
    assert told == ["another run is timing on this machine: nothing begins until it is done"]
    with timing_alone(lambda text: pytest.fail(text)):
        pass


def test_two_that_time_take_turns(timer: subprocess.Popen) -> None:
    assert timer.stdout.readline() == "times\n"
    told = []
    print(file=timer.stdin, flush=True)
    with timing_alone(told.append):
        pass
    assert told in ([], ["another run is timing on this machine: waiting until it is done"])


def test_where_no_lock_can_be_nobody_is_kept_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_MACHINE_LOCKS", str(tmp_path / "nowhere"))
    claim = MeasuringClaim()
    with timing_alone(print):
        assert claim.take()
    claim.release()
