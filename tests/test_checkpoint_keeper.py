"""Which states are kept, against the rule and the recorded faults of the published manager; restarts; torn files."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
import torch

from bench.common.errors import CheckpointError, ConfigurationError
from bench.training.checkpoint_keeper import INDEX, CheckpointKeeper

CASES = json.loads((Path(__file__).parent / "reference" / "balanced.json").read_text())["checkpoint_manager"]
NAN, INFINITY = float("nan"), float("inf")


def content(step):
    return {"model": {"weight": torch.full((3,), float(step))}, "step": step, "note": ["a", 1.5, None]}


def steps_on_disk(folder):
    return sorted(int(match[1]) for path in folder.iterdir() if (match := re.fullmatch(r"step-(\d+)\.pt", path.name)))


def filled(folder, values, **options):
    keeper = CheckpointKeeper(folder, **options)
    for step, value in enumerate(values):
        keeper.save(step, content(step), value)
    return keeper


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"last {case['keep_last_n']}, best {case['keep_best']}")
def test_the_last_and_the_really_best_are_kept(case, tmp_path):
    """The recorded ``files`` are the published fault where they differ: epochs 0, 5, 6 without 1 and 2 in the second
    case, 0, 1, 5 without 3 in the third; there a state is a "best" one only if it beats all before it."""
    values = case["values"]
    keeper = filled(tmp_path, values, keep_last=case["keep_last_n"], keep_best=case["keep_best"], mode=case["mode"])
    assert steps_on_disk(tmp_path) == case["epochs_kept_by_a_correct_policy"]
    assert [state.step for state in keeper.kept] == case["epochs_kept_by_a_correct_policy"]
    assert (keeper.best.step, keeper.best.metric) == (case["epoch_in_checkpoint_best"], case["best_metric"])
    assert keeper.last.step == len(values) - 1


def test_recorded_faults_are_faults():
    kept = [sorted(int(match[1]) for file in case["files"] if (match := re.search(r"epoch_(\d+)", file)))
            for case in CASES]
    assert [steps == case["epochs_kept_by_a_correct_policy"] for steps, case in zip(kept, CASES)] == \
        [True, False, False]


def expected(values, last, best, mode):
    """What to keep of all values ever seen: not recursive, unlike the keeper."""
    usable = [(value if mode == "min" else -value, step) for step, value in enumerate(values)
              if value is not None and abs(value) < INFINITY]
    return sorted({*range(len(values))[-last:], *(step for _, step in sorted(usable)[:best])})


@pytest.mark.parametrize("seed", range(8))
def test_any_sequence_with_restarts_anywhere(seed, tmp_path):
    generator = random.Random(seed)
    last, best, mode = generator.randint(1, 3), generator.randint(0, 4), generator.choice(["min", "max"])
    values = [generator.choice([generator.random(), 0.5, None, NAN, INFINITY, -INFINITY]) for _ in range(14)]
    for step, value in enumerate(values):
        if step % 4 == 0:
            keeper = CheckpointKeeper(tmp_path, last, best, mode)
        if step % 5 == 0:
            (tmp_path / INDEX).unlink(missing_ok=True)
        keeper.save(step, content(step), value)
        assert steps_on_disk(tmp_path) == expected(values[: step + 1], last, best, mode)
        assert CheckpointKeeper(tmp_path, last, best, mode).kept == keeper.kept


@pytest.mark.parametrize("index", [None, b"", b'{"states": [{"st', b"[1, 2]", b'{"states": [{"step": null}]}'])
def test_a_better_old_state_stays_best_after_a_restart_without_index(index, tmp_path):
    filled(tmp_path, [0.5, 0.9, 0.8, 0.7], keep_last=1, keep_best=1)
    path = tmp_path / INDEX
    path.unlink() if index is None else path.write_bytes(index)
    keeper = CheckpointKeeper(tmp_path, keep_last=1, keep_best=1)
    keeper.save(4, content(4), 0.6)
    assert keeper.best.step == 0 and steps_on_disk(tmp_path) == [0, 4]


def test_states_come_back_as_given(tmp_path):
    keeper = filled(tmp_path, [0.3, 0.2, 0.4])
    state = CheckpointKeeper(tmp_path).load(keeper.best)
    assert torch.equal(state.pop("model")["weight"], torch.full((3,), 1.0))
    assert state == {"step": 1, "note": ["a", 1.5, None]}


def test_a_state_may_be_made_when_it_is_written(tmp_path):
    keeper = CheckpointKeeper(tmp_path / "deep" / "folder")
    path = keeper.save(7, lambda: content(7), 1.0)
    assert path.name == "step-7.pt" and torch.load(path, weights_only=True)["step"] == 7


def test_metrics_that_are_not_finite_are_never_best_and_never_in_the_index(tmp_path):
    keeper = filled(tmp_path, [NAN, INFINITY, -INFINITY, None], keep_last=4)
    assert keeper.best is None and keeper.last.step == 3
    text = (tmp_path / INDEX).read_text()
    assert "NaN" not in text and "Infinity" not in text
    assert [entry["metric"] for entry in json.loads(text)["states"]] == [None] * 4
    keeper.save(4, content(4), 2.0)
    assert keeper.best.step == 4


def test_a_kill_while_a_state_is_written_leaves_the_one_before(tmp_path, monkeypatch):
    keeper = filled(tmp_path, [0.5])

    def killed(state, path):
        Path(path).write_bytes(b"half a file")
        raise KeyboardInterrupt

    for step in (0, 1):  # in place of the same step, and a new one
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(torch, "save", killed)
            keeper.save(step, content(9), 0.1)
        keeper = CheckpointKeeper(tmp_path)
        assert [(state.step, state.metric) for state in keeper.kept] == [(0, 0.5)]
        assert keeper.load(keeper.last)["step"] == 0


def test_a_kill_before_the_index_is_written_loses_nothing(tmp_path, monkeypatch):
    keeper = filled(tmp_path, [0.5, 0.4])
    for step, metric in ((1, 0.9), (2, 0.3)):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(keeper, "_remove_surplus", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
            keeper.save(step, content(step), metric)
        keeper = CheckpointKeeper(tmp_path)
        assert {state.step: state.metric for state in keeper.kept}[step] == metric


def test_damaged_and_foreign_files_are_passed_over_and_left_alone(tmp_path):
    filled(tmp_path, [0.5])
    (tmp_path / "step-9.pt").write_bytes(b"no checkpoint")
    torch.save({"model": {}}, tmp_path / "step-8.pt")
    (tmp_path / "step-best.pt").write_bytes(b"someone's")
    with pytest.warns(UserWarning, match="is passed over"):
        keeper = CheckpointKeeper(tmp_path, keep_last=1, keep_best=0)
    assert keeper.last.step == 0
    keeper.save(1, content(1))
    assert steps_on_disk(tmp_path) == [1, 8, 9]
    (tmp_path / "step-1.pt").write_bytes(b"damaged later")
    with pytest.raises(CheckpointError, match="step-1.pt"):
        keeper.load(keeper.last)


def test_reading_removes_nothing(tmp_path):
    filled(tmp_path, [0.5, 0.6, 0.7], keep_last=3)
    assert CheckpointKeeper(tmp_path, keep_last=1, keep_best=0).best.step == 0
    assert steps_on_disk(tmp_path) == [0, 1, 2]
    assert CheckpointKeeper(tmp_path / "nowhere").kept == () and not (tmp_path / "nowhere").exists()


def test_impossible_values_are_refused(tmp_path):
    for options in ({"keep_last": 0}, {"keep_best": -1}, {"mode": "least"}):
        with pytest.raises(ConfigurationError):
            CheckpointKeeper(tmp_path, **options)
    with pytest.raises(ConfigurationError, match="kept"):
        CheckpointKeeper(tmp_path).save(0, {"kept": 1})
