"""How many units run at a time by themselves: what is fastest, within cores, GPUs and memory."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import faulty_codecs
import latency_samples
import pretended_gpus
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replace_row

from bench.cli import main
from bench.codecs.base import CodecSpec
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE
from bench.datasets import resolve_dataset
from bench.results.latency_rows import LatencyRow
from bench.results.store import Store
from bench.runners.evaluate import jobs
from bench.runners.evaluate.jobs import Load, choose_jobs, count_cores, count_workers, expect_run
from bench.runners.evaluate.plan import EvaluationPlan, make_plan
from bench.runners.evaluate.unit import Unit

LOADS = st.lists(st.builds(Load, st.floats(0.01, 1000), st.floats(0, 5), st.integers(1, 4), st.floats(1, 100)),
                 min_size=1, max_size=7)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four free cores and 8 GB of free memory."""
    monkeypatch.setattr(jobs, "usable_cores", lambda: 4)
    monkeypatch.setattr(jobs, "find_cpu_quota", lambda: None)
    monkeypatch.setattr(jobs, "find_free_memory", lambda: 8e9)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")


def plan_of(tmp_path: Path, specs: list[CodecSpec], side: int = 1200, **template: object) -> EvaluationPlan:
    if not (tmp_path / "pictures").exists():
        faulty_codecs.write_images(tmp_path / "pictures", [(side, side)] * 2)
    unit = Unit(faulty_codecs.spec(), "", None, (), **template)
    return make_plan(resolve_dataset(tmp_path / "pictures"), specs, [], Store(tmp_path / "results"), unit)


@given(LOADS, st.integers(1, 8))
def test_a_run_is_never_faster_than_its_longest_unit_and_an_even_share(loads: list[Load], workers: int) -> None:
    seconds = [load.seconds for load in loads]
    run_s = expect_run(loads, workers, cores=99)
    assert run_s >= max(max(seconds), sum(seconds) / workers) * (1 - 1e-9)
    best_s = min(max(sum(one for one, place in zip(seconds, places) if place == worker) for worker in range(workers))
                 for places in product(range(min(workers, 3)), repeat=len(seconds))) if workers <= 3 else 0.0
    assert run_s <= max(4 / 3 * best_s, sum(seconds)) + 5  # Graham's bound, and a start


@given(LOADS, st.integers(1, 16), st.floats(1, 1000))
def test_cores_and_memory_are_enough_for_all_that_run_at_once(loads: list[Load], cores: int, free_bytes: float) -> None:
    workers = count_workers(loads, cores, free_bytes)
    assert 1 <= workers <= len(loads)
    if workers > 1:
        assert workers * max(load.cores for load in loads) <= cores
        assert sum(sorted(load.memory_bytes for load in loads)[-workers:]) <= free_bytes
        assert expect_run(loads, workers, cores) < expect_run(loads, 1, cores)


@pytest.mark.parametrize(("seconds", "workers"), [
    ([60.0] * 8, 8),  # one a core, though none is left for checks
    ([60.0] * 4, 4),
    ([0.1] * 8, 1),  # processes take longer to start than all of it
    ([100.0, 1.0, 1.0, 1.0], 1),  # the long one takes as long whatever is done beside it
    ([100.0, 50.0, 49.0], 2),
])
def test_as_many_as_are_worth_their_start(seconds: list[float], workers: int) -> None:
    assert count_workers([Load(one, 2.0, 1, 1.0) for one in seconds], cores=8, free_bytes=1e9) == workers


@pytest.mark.usefixtures("machine")
def test_codecs_of_one_core_share_the_cores_and_the_plan_says_so(tmp_path: Path) -> None:
    plan = choose_jobs(plan_of(tmp_path, [faulty_codecs.spec(step) for step in (2, 4, 8)]), tmp_path / "results")
    assert plan.jobs == 3 and {planned.unit.jobs for planned in plan.units} == {3}
    alone = plan_of(tmp_path, [faulty_codecs.spec(step) for step in (2, 4, 8)])
    assert alone.expected_s / 3 < plan.expected_s < alone.expected_s / 2


@pytest.mark.usefixtures("machine")
def test_memory_bounds_how_many_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "find_free_memory", lambda: 3e9)  # a gigabyte each with pictures of 1.44 megapixels
    specs = [faulty_codecs.spec(step) for step in (2, 4, 8)]
    assert choose_jobs(plan_of(tmp_path, specs), tmp_path / "results").jobs == 2


@pytest.mark.usefixtures("machine")
def test_a_quota_counts_as_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "find_cpu_quota", lambda: 2.5)
    specs = [faulty_codecs.spec(step) for step in (2, 4, 8)]
    assert choose_jobs(plan_of(tmp_path, specs), tmp_path / "results").jobs == 2


@pytest.mark.usefixtures("machine")
def test_torch_keeps_the_cores_that_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer threads its sums, and so its streams, may come out otherwise: only a user may say so."""
    specs = [pretended_gpus.spec(step) for step in (2, 4, 8, 16)]
    monkeypatch.setattr(jobs, "find_free_memory", lambda: 1e12)
    assert choose_jobs(plan_of(tmp_path, specs), tmp_path / "results").jobs == 2
    assert choose_jobs(plan_of(tmp_path, specs, threads=1), tmp_path / "results").jobs == 4
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert choose_jobs(plan_of(tmp_path, specs), tmp_path / "results").jobs == 1
    assert count_cores(plan_of(tmp_path, specs).units[0].unit) == 4


@pytest.mark.usefixtures("machine")
def test_a_profile_says_how_much_memory_a_model_takes(tmp_path: Path) -> None:
    specs = [pretended_gpus.spec(step) for step in (2, 4, 8, 16)]
    plan = plan_of(tmp_path, specs, threads=1)
    assert choose_jobs(plan, tmp_path / "results").jobs == 1  # 12,000 bytes a pixel are too many for two
    rows = [replace_bytes(row) for row in latency_samples.both("seeing")]
    latency_samples.store(tmp_path / "results", rows, "cpu")
    assert choose_jobs(plan, tmp_path / "results").jobs == 4


def replace_bytes(row: LatencyRow) -> LatencyRow:
    own_bytes = 10 * row.width * row.height
    return replace_row(row, device="cpu: any", weights_bytes=10**6, peak_alloc_bytes=10**6 + own_bytes)


@pytest.mark.usefixtures("machine")
def test_there_is_one_worker_for_each_visible_gpu_and_others_beside(tmp_path: Path,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    wanting = [pretended_gpus.spec(step) for step in (2, 4, 8, 16)]
    assert choose_jobs(plan_of(tmp_path, wanting, device="cuda"), tmp_path / "results").jobs == 2
    assert choose_jobs(plan_of(tmp_path, wanting[:1], device="cuda"), tmp_path / "results").jobs == 1
    mixed = [*wanting, *(faulty_codecs.spec(step) for step in (2, 4, 8))]
    assert choose_jobs(plan_of(tmp_path, mixed, device="cuda"), tmp_path / "results").jobs == 2 + 2


def test_nothing_to_run_is_a_plan_too(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, [faulty_codecs.spec()])
    done = replace(plan, units=tuple(replace(one, unit=replace(one.unit, images=())) for one in plan.units))
    assert choose_jobs(done, tmp_path / "results").jobs == 1


@pytest.mark.usefixtures("machine")
def test_the_command_chooses_unless_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BENCH_PLUGINS", "PYTHONPATH"):
        monkeypatch.setenv(name, faulty_codecs.environment()[name])
    folder = faulty_codecs.write_images(tmp_path / "pictures", [(1200, 1200)] * 2)
    command = ["evaluate", "--dataset", str(folder), "--codecs", "deflate", "--results", str(tmp_path / "results"),
               "--plan"]
    for options, said in (([], "2 units at a time"), (["--jobs", "auto"], "2 units at a time"), (["--jobs", "1"], ""),
                        (["--jobs", "3"], "3 units at a time")):
        assert main([*command, *options]) == EXIT_DONE
        assert capsys.readouterr().out.rstrip().endswith(said)
    with pytest.raises(SystemExit) as refused:
        main([*command, "--jobs", "0"])
    assert refused.value.code == EXIT_BAD_INPUT
