"""Searches: the whole grid, going on after a kill, several processes, failures, trials given up, refused plans."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from optuna.trial import Trial
from training_samples import decoded, held_out, job, logged_lines, photographs  # noqa: F401

from bench.cli import main
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_INCOMPLETE, ConfigurationError
from bench.training.balance.balancing import LossBelowMinimum
from bench.training.data import Images
from bench.training.recipes import RECIPES, Job
from bench.training.search.plan import SearchPlan
from bench.training.search.record import COMPLETE, FAILED, PRUNED, read_trials
from bench.training.search.search import Search
from bench.training.trainer import Trainer

ROOT = Path(__file__).resolve().parent.parent
GRID = {"gamma": (0.001, 0.01), "weight_rate": (0.01, 0.05)}
VARIANTS = """
variants:
  tiny:
    model: hpcm_base
    recipe: balanced_phase1
    lambdas: [0.01]
    options: {M: 8, N: 4, stages: [[8, 1]], hyper_blocks: [1, 1, 1, 1], prior_s1_s2: [1, 1], prior_s3: [1, 1],
              head_width: 8}
"""


def plan(values=GRID, steps=4, **changes) -> SearchPlan:
    return SearchPlan("tiny", job("balanced_phase1", steps=steps, warmup=0), values, **{"validate_every": 2, **changes})


@pytest.fixture()
def images(decoded, held_out):  # noqa: F811
    return Images(decoded, held_out[:1])


def test_a_grid_is_trained_point_by_point_and_its_records_are_those_of_the_logs(images, tmp_path):
    made = list(Search(plan(), tmp_path, images).run())
    assert sorted(one.setting for one in made) == [
        (("gamma", gamma), ("weight_rate", rate)) for gamma in (0.001, 0.01) for rate in (0.01, 0.05)]
    assert {one.state for one in made} == {COMPLETE} and {one.own["gamma"] for one in made} == {0.003}
    for one in read_trials(tmp_path):
        lines = logged_lines(Path(one.place))
        recipe = lines[0]["job"]["recipe"]
        gamma = recipe["gammas"]
        assert {"gamma": gamma, "weight_rate": recipe["weight_rate"]} == dict(one.parameters)
        validated = [line for line in lines if line["kind"] == "validation"]
        assert [line["step"] for line in validated] == [2, 4]
        assert one.loss == min(line["loss"] for line in validated)
    assert list(Search(plan(), tmp_path, images).run()) == []


def test_pieces_of_a_trial_train_like_one_run(images, tmp_path):
    values = {"gamma": 0.001, "weight_rate": 0.05}
    (made,) = Search(plan({name: (value,) for name, value in values.items()}), tmp_path / "search", images).run()
    whole = Trainer(plan().job_with(values), tmp_path / "whole")
    whole.run(images.training, images.held_out, save_every=2)
    assert made.loss == pytest.approx(whole.best_loss, rel=1e-5)
    state = torch.load(Path(made.place) / "state.pt", weights_only=True)["model"]
    assert all(torch.equal(state[name], value) for name, value in whole.model.named_parameters())


def test_a_search_goes_on_inside_the_trial_that_was_interrupted(images, tmp_path, monkeypatch):
    expected = {one.setting: one.loss for one in Search(plan(), tmp_path / "whole", images).run()}
    step, seen = Trainer._step, []

    def interrupted(self, x):
        seen.append(self.step)
        if len(seen) == 8:  # the last step of the second trial
            raise KeyboardInterrupt
        return step(self, x)

    monkeypatch.setattr(Trainer, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(Search(plan(), tmp_path / "broken", images).run())
    assert len(read_trials(tmp_path / "broken")) == 1
    resumed = list(Search(plan(), tmp_path / "broken", images).run())
    assert len(resumed) == 3 and seen[8:10] == [2, 3]  # from the state of step 2, not from 0
    assert {one.setting: one.loss for one in read_trials(tmp_path / "broken")} == expected


def test_a_recorded_trial_that_the_journal_does_not_know_is_not_trained_again(images, tmp_path, monkeypatch):
    search = Search(plan({"gamma": (0.001,)}), tmp_path, images)
    monkeypatch.setattr(search.study, "tell", lambda *rest: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        list(search.run())
    monkeypatch.setattr(Trainer, "run", None)
    (told,) = Search(plan({"gamma": (0.001,)}), tmp_path, images).run()
    assert told.state == COMPLETE


def test_two_searches_at_once_share_the_trials(images, tmp_path):
    first, second = (Search(plan(), tmp_path, images) for _ in range(2))
    taken = [one._take_trial(4) for one in (first, second, first, second)]
    assert sorted(trial.number for trial, _ in taken) == [0, 1, 2, 3] and second._take_trial(4) is None
    assert len({tuple(first._suggest_values(trial).items()) for trial, _ in taken}) == 4
    taken[2][1].release()  # its process died
    again, claim = second._take_trial(4)
    assert again.number == taken[2][0].number
    claim.release()


@pytest.mark.parametrize("kind", ["below", "diverged"])
def test_a_failed_trial_is_recorded_with_its_reason_and_the_search_goes_on(kind, images, tmp_path, monkeypatch):
    run = Trainer.run

    def failing(self, *rest, **options):
        if self.recipe.gammas == 0.001:
            if kind == "below":
                raise LossBelowMinimum("losses must stay above their minimum", "hint")
            with torch.no_grad():
                self.model.g_s.branch[-1].bias[0] = float("nan")
        return run(self, *rest, **options)

    monkeypatch.setattr(Trainer, "run", failing)
    made = {one.parameters["gamma"]: one for one in Search(plan({"gamma": (0.001, 0.01)}), tmp_path, images).run()}
    failed = made[0.001]
    assert failed.state == FAILED and made[0.01].state == COMPLETE
    assert {"below": "above their minimum", "diverged": "no longer finite"}[kind] in failed.reason
    assert "\n" not in failed.reason and failed.loss is None
    assert list(Search(plan({"gamma": (0.001, 0.01)}), tmp_path, images).run()) == []


def test_trials_worse_than_the_median_are_given_up_but_not_before_their_share(images, tmp_path, monkeypatch):
    """Losses are made up: the k-th trial's is k, so that each after the first four is worse than their median."""
    order = {}

    def made_up(model, held_out, job, *rest):  # noqa: F811
        return {"loss": 1.0 + order.setdefault(job.recipe.gammas, len(order)), "bpp": 1.0, "psnr_db": 30.0}

    monkeypatch.setattr("bench.training.trainer.validate_model", made_up)
    values = {"gamma": (0.001, 0.002, 0.004, 0.006, 0.008)}
    made = list(Search(plan(values, steps=3, validate_every=1, prune_after=0.6), tmp_path, images).run())
    assert [one.state for one in made] == [COMPLETE] * 4 + [PRUNED]
    assert made[4].steps == 2 and "median" in made[4].reason
    order.clear()
    never = Search(plan(values, steps=2, validate_every=1, prune_after=1), tmp_path / "never", images).run()
    assert {one.state for one in never} == {COMPLETE}


def test_tpe_begins_with_the_recipes_own_values_and_draws_inside_the_range(images, tmp_path):
    wanted = plan({"gamma": (0.0005, 0.02), "learning_rate": (1e-4, 2e-3)}, steps=1, sampler="tpe")
    first = list(Search(wanted, tmp_path, images).run(2))
    made = first + list(Search(wanted, tmp_path, images).run(4))
    assert made[0].parameters == {"gamma": 0.003, "learning_rate": 1e-3}
    assert len({one.setting for one in made}) == len(made) == 4  # a process begun anew draws others
    for one in made:
        assert 0.0005 <= one.parameters["gamma"] <= 0.02 and 1e-4 <= one.parameters["learning_rate"] <= 2e-3
    with pytest.raises(ConfigurationError, match="never ends"):
        list(Search(wanted, tmp_path, images).run())


def test_a_kill_between_two_draws_changes_neither(images, tmp_path, monkeypatch):
    wanted = plan({"gamma": (0.0005, 0.02), "learning_rate": (1e-4, 2e-3)}, steps=1, sampler="tpe")
    whole = list(Search(wanted, tmp_path / "whole", images).run(2))
    suggest = Trial.suggest_float

    def killed(trial, name, *rest, **options):
        if trial.number == 1 and name == "learning_rate":
            raise KeyboardInterrupt
        return suggest(trial, name, *rest, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trial, "suggest_float", killed)
        list(Search(wanted, tmp_path / "killed", images).run(2))
    made = list(Search(wanted, tmp_path / "killed", images).run(2))
    assert [one.parameters for one in made] == [whole[1].parameters]


def test_gamma_of_a_recipe_with_one_a_task_keeps_their_ratios():
    recipe = RECIPES.get("balanced_phase3").with_(steps=4)
    searched = SearchPlan("tiny", replace(job(), recipe=recipe), GRID)
    changed = searched.job_with({"gamma": 0.006, "learning_rate": 1e-4}).recipe
    assert changed.gammas == pytest.approx([2 * one for one in recipe.gammas]) and changed.learning_rate == 1e-4
    assert searched.own_values == {"gamma": 0.003, "weight_rate": 0.025}


@pytest.mark.parametrize(("change", "message"), [
    ({"values": {}}, "nothing to search"), ({"values": {"gamma": (0.0,)}}, "above 0"),
    ({"prune_after": 2.0}, "share from 0 to 1"), ({"job": job()}, "balances no tasks"),
])
def test_impossible_plans_are_refused(change, message):
    with pytest.raises(ConfigurationError, match=message):
        replace(plan(), **change)


def test_another_plan_in_the_same_folder_is_refused(images, tmp_path):
    Search(plan(), tmp_path, images)
    for other, how in ((plan(steps=8), "training"), (plan({"gamma": (0.5,)}), "values")):
        with pytest.raises(ConfigurationError, match=how):
            Search(other, tmp_path, images)
    with pytest.raises(ConfigurationError, match="training"):
        Search(plan(), tmp_path, Images(images.training, images.held_out + 1))
    with pytest.raises(ConfigurationError, match="held-out"):
        Search(plan(), tmp_path, Images(images.training))


def test_what_is_searched_makes_no_other_training(images):
    """Trials may differ in what is searched and in the seed; nothing else."""
    first = plan().identify_training(images.held_out)
    assert plan({**GRID, "gamma": (0.5,)}).identify_training(images.held_out) == first
    base = plan().job
    other: Job = replace(base, recipe=base.recipe.with_(gammas=0.5, weight_rate=0.5), seed=5)
    assert replace(plan(), job=other).identify_training(images.held_out) == first
    for changed in (replace(base, lambda_=0.02), replace(base, recipe=base.recipe.with_(learning_rate=0.5)),
                    replace(base, recipe=base.recipe.with_(batch=1))):
        assert replace(plan(), job=changed).identify_training(images.held_out) != first


def arguments(photographs, tmp_path, *more):  # noqa: F811
    return ["search", "--variant", "tiny", "--data", str(photographs), "--validation", str(photographs), "--cache",
            str(tmp_path / "cache"), "--out", str(tmp_path / "out"), "--steps", "4", "--batch", "1", "--crop", "64",
            "--weight-rate", "0.025", "--device", "cpu", "--threads", "1", *more]


def test_the_verb_goes_on_after_a_kill_and_tells_the_best(photographs, tmp_path, monkeypatch, capsys):  # noqa: F811
    (tmp_path / "variants.yaml").write_text(VARIANTS)
    monkeypatch.setenv("BENCH_VARIANTS", str(tmp_path / "variants.yaml"))
    command = arguments(photographs, tmp_path, "--gamma", "0.001", "0.01", "--validate-every", "2")
    slow = ("import sys, time\nfrom bench.training.trainer import Trainer\nstep = Trainer._step\n"
            "def slowly(self, x):\n    if self.step == 3:\n        time.sleep(120)\n    return step(self, x)\n"
            "Trainer._step = slowly\nfrom bench.cli import main\nmain(sys.argv[1:])\n")
    process = subprocess.Popen([sys.executable, "-c", slow, *command], cwd=ROOT)
    state, ends = tmp_path / "out" / "0.01" / "trial-0" / "state.pt", time.monotonic() + 100
    while not state.exists() and process.poll() is None and time.monotonic() < ends:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert state.exists() and not (state.parent / "trial.json").exists()
    assert main(command) == EXIT_DONE
    told = capsys.readouterr().out
    records = read_trials(tmp_path / "out")
    assert [one.state for one in records] == [COMPLETE, COMPLETE] and {one.steps for one in records} == {4}
    assert f"loss {min(one.loss for one in records):.4f}" in told.splitlines()[-1]
    validated = [line["step"] for line in logged_lines(state.parent) if line["kind"] == "validation"]
    assert validated == [2, 4]


def test_the_verb_says_when_nothing_came_of_it(photographs, tmp_path, monkeypatch, capsys):  # noqa: F811
    (tmp_path / "variants.yaml").write_text(VARIANTS)
    monkeypatch.setenv("BENCH_VARIANTS", str(tmp_path / "variants.yaml"))

    def below(self, *rest, **options):
        raise LossBelowMinimum("too low")

    monkeypatch.setattr(Trainer, "run", below)
    assert main(arguments(photographs, tmp_path, "--gamma", "0.001")) == EXIT_INCOMPLETE
    assert "too low" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "0.01" / "trial-0" / "trial.json").read_text())["reason"] == "too low"
    assert main(["search", "--variant", "tiny"]) == EXIT_BAD_INPUT
    assert "--data, --validation" in capsys.readouterr().err
