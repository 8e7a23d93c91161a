"""Profiles in a process of its own: what kills it fails alone, after a try alone, and nothing is tried without end."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from deadly_model import DEADLY_WIDTH
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import TINY, write_variants

from bench.results.latency_rows import DIRECTIONS, LatencyRow
from bench.results.rows import FAILED, OK
from bench.results.store import read_rows
from bench.runners.evaluate.unit_progress import LONELY_DEATHS
from bench.runners.profile.apart import Pair, Part, ProfileRun, profile_apart, split_part
from bench.runners.profile.expected import ProfileTimes
from bench.runners.profile.plan import Picture, Settings
from bench.runners.profile.protocol import Protocol
from bench.runners.profile.subjects import Subject, choose_subjects

SMALL, LARGE = Picture(64, 64), Picture(DEADLY_WIDTH, 64)
SETTINGS = Settings("cpu", (SMALL, LARGE), 1, Protocol(repeats=2, least=2, warmup_s=0),
                    {"threads": 1, "deterministic": False})


@pytest.fixture
def subjects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Subject]:
    """A tiny model, and one that kills its process."""
    path = write_variants(tmp_path)
    path.write_text(path.read_text() + "  deadly:\n    model: deadly_model:Deadly\n    miniature: true\n"
                                       f"    lambdas: [0.01]\n    options: {TINY}\n")
    monkeypatch.setenv("BENCH_VARIANTS", str(path))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    return choose_subjects(["tiny", "deadly"], ["default"], "cpu")


def test_a_candidate_that_kills_its_process_fails_alone(subjects: list[Subject], tmp_path: Path) -> None:
    rows = profile_apart([subjects], SETTINGS, tmp_path / "rows", ProfileTimes((), "cpu", 1))
    stored = [row for path in (tmp_path / "rows").glob("*.jsonl") for row in read_rows(path, LatencyRow)]
    assert sorted(row.to_json() for row in stored) == sorted(row.to_json() for row in rows)

    outcomes = {(row.name, row.width, row.direction): row.status for row in rows}
    assert len(outcomes) == len(rows) == 2 * 2 * len(DIRECTIONS)
    assert {key for key, status in outcomes.items() if status != OK} == {
        ("deadly", DEADLY_WIDTH, direction) for direction in DIRECTIONS}
    reasons = {row.reason for row in rows if row.status == FAILED}
    assert reasons == {"ProcessDied: the process that measures died (SIGKILL)"}


def make_part(subjects: int, pictures: int) -> Part:
    return Part(tuple(Subject(None, 0.01) for _ in range(subjects)),  # type: ignore[arg-type]
                tuple(Picture(64 * (number + 1), 64) for number in range(pictures)))


@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_what_is_left_of_a_part_is_all_that_is_not_done(subjects: int, pictures: int, data: st.DataObject) -> None:
    part = make_part(subjects, pictures)
    everything = [Pair(*numbers) for numbers in product(range(subjects), range(pictures))]
    done = data.draw(st.sets(st.sampled_from(everything)))
    left = Counter(pair for rest in split_part(part, done) for pair in product(rest.group, rest.pictures))
    assert left == Counter((part.group[subject], part.pictures[picture]) for subject, picture in everything
                           if (subject, picture) not in done)
    assert list(split_part(part, set())) == [part]


def test_what_dies_beside_others_is_tried_alone_then_fails(subjects: list[Subject], tmp_path: Path) -> None:
    run = ProfileRun(SETTINGS, tmp_path)
    both, after = Part(tuple(subjects), SETTINGS.pictures), Part((subjects[0],), (SMALL,))
    left = run.bury_process("SIGSEGV", [both, after], 0, 1, -1)  # while it was built
    alone = Part((subjects[1],), SETTINGS.pictures)
    assert left == [Part((subjects[0],), SETTINGS.pictures), after, alone] and run.rows == []

    assert run.bury_process("SIGSEGV", [alone, after], 0, 0, 1) == [Part((subjects[1],), (SMALL,)), after]
    assert [(row.name, row.width, row.status) for row in run.rows] == [("deadly", DEADLY_WIDTH, FAILED)] * 2


def test_deaths_with_nothing_in_work_are_bounded(subjects: list[Subject], tmp_path: Path) -> None:
    run, parts = ProfileRun(SETTINGS, tmp_path), [Part(tuple(subjects), (SMALL,))]
    for _ in range(LONELY_DEATHS - 1):
        assert run.bury_process("SIGKILL", parts, -1, -1, -1) == parts
    assert run.bury_process("SIGKILL", parts, -1, -1, -1) == []
    assert len(run.rows) == 2 * len(DIRECTIONS) and all("times in a row" in row.reason for row in run.rows)
