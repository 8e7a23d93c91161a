"""Kills at random times, over and over: the runs after them give what an undisturbed one gives, and nothing is left.

``python -m pytest -m slow tests/test_kills.py`` makes 210 of them (``BENCH_KILLS``: of each verb), every fourth of a
run that is started as users do; a few are made each time.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import kill_runs
import pytest
from kill_runs import ForkedRun, StartedRun
from kill_scenarios import SCENARIOS, Scenario, collect_results, environment, find_leftovers, write_inputs

from bench.common.errors import EXIT_DONE
from bench.runners.evaluate.fork_server import ForkServer

KILLS = int(os.environ.get("BENCH_KILLS", "30"))  # of each verb, in the slow campaign
PATIENCE_S = 15.0  # after a signal that a process may heed, on a busy machine; else 2 s at most
UNDISTURBED_S = 120.0
SHORT = ("evaluate", "train", "search", "claims")  # 15 s of a core: the others take as long as these
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes adopt orphans under Linux alone")


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with kill_runs.adopting_orphans(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        with ForkServer(kill_runs.MODULES, {"OMP_NUM_THREADS": "1"}) as server:
            yield server


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short name, as addresses of sockets want."""
    with tempfile.TemporaryDirectory(prefix="k") as name:
        yield Path(name)


class Campaign:
    """Kills of one verb, each at a time drawn from how long an undisturbed run takes."""

    def __init__(self, scenario: Scenario, place: Path, server: ForkServer, seed: int, starts: int) -> None:
        self._scenario, self._place, self._server = scenario, place, server
        self._random, self._starts = random.Random(seed), starts
        self._known = kill_runs.list_descendants()
        self.kills, self.endings_s = 0, []

        started = time.monotonic()
        whole = self._make_folder("whole")
        assert self._run(whole).wait(UNDISTURBED_S) == EXIT_DONE, self._output.read_text()
        self._takes_s = time.monotonic() - started
        self._expected, self._usual = collect_results(whole), find_leftovers(whole)
        assert self._expected

    def kill_runs(self, number: int) -> None:
        """Kill ``number`` runs in all; those that come to their end are compared, and so is one more run."""
        folder = self._make_folder("killed")
        while self.kills < number:
            if self._kill_run(folder):
                self.kills += 1
            else:
                self._compare(folder)
                shutil.rmtree(folder)
                folder = self._make_folder("killed")

        run = self._run(folder)
        assert run.wait(UNDISTURBED_S) == EXIT_DONE, self._output.read_text()
        self._compare(folder)

    def _kill_run(self, folder: Path) -> bool:
        """Start a run and kill it; whether it had not ended by itself."""
        as_users_do = self._starts > 0 and self.kills % self._starts == self._starts - 1
        run = self._run(folder, as_users_do)
        delay_s = self._random.uniform(0, self._takes_s) + self._random.uniform(0, 3) * as_users_do
        number, whole_group = self._random.choice(SIGNALS), self._random.random() < 0.5
        status = run.wait(delay_s)
        if status is None:
            since = time.monotonic()
            (os.killpg if whole_group else os.kill)(run.pid, number)
            status = run.wait(PATIENCE_S)
            self.endings_s += [time.monotonic() - since] * (number != signal.SIGKILL)

        told = f"{self._scenario.verb} after {delay_s:.2f} s, {number.name}: {status}\n{self._output.read_text()}"
        assert status in (EXIT_DONE, 128 + number, -number), told  # the last before anything is imported
        assert "Traceback" not in told and "Exception" not in told, told
        assert not kill_runs.find_orphans(self._known, PATIENCE_S), told
        if status == 128 + number:
            assert told.count("interrupted") == 1, told
        return status != EXIT_DONE

    def _compare(self, folder: Path) -> None:
        found = collect_results(folder)
        assert found.keys() == self._expected.keys()
        for name, content in self._expected.items():
            assert found[name] == content, name
        assert find_leftovers(folder) <= self._usual

    def _make_folder(self, name: str) -> Path:
        folder = self._place / name
        write_inputs(folder)
        self._scenario.prepare(folder)
        return folder

    def _run(self, folder: Path, as_users_do: bool = False) -> ForkedRun | StartedRun:
        self._output = self._place / "output"
        self._output.unlink(missing_ok=True)
        command = self._scenario.command(folder), environment(folder)
        if as_users_do:
            return StartedRun(*command, self._output)
        return ForkedRun(self._server, *command, self._output)


@pytest.mark.parametrize("scenario", [one for one in SCENARIOS if one.verb in SHORT], ids=lambda one: one.verb)
def test_a_run_after_a_kill_gives_what_an_undisturbed_one_gives(scenario: Scenario, place: Path,
                                                                      server: ForkServer) -> None:
    Campaign(scenario, place, server, seed=1, starts=0).kill_runs(1)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.verb)
def test_a_run_after_many_kills_gives_what_an_undisturbed_one_gives(scenario: Scenario, place: Path,
                                                                    server: ForkServer) -> None:
    campaign = Campaign(scenario, place, server, seed=2, starts=4)
    campaign.kill_runs(KILLS)
    endings = sorted(campaign.endings_s)
    print(f"\n{scenario.verb}: {campaign.kills} kills; {len(endings)} ended by themselves, half within "
          f"{endings[len(endings) // 2]:.2f} s, all within {endings[-1]:.2f} s")
