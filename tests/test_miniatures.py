"""Miniatures: every recipe on every architecture, fair plans, and the command that makes them."""

import json
import pickle
from collections import Counter
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import picture
from training_samples import decoded, photographs  # noqa: F401

from bench.cli import main
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_INCOMPLETE, ConfigurationError
from bench.models import MODELS, create_model
from bench.models.checkpoints import read_weights
from bench.training.data import crop_centres, decode_folders
from bench.training.miniatures import MiniaturePlan, is_made, order_miniatures, plan_runs, read_record
from bench.training.optimise.guard import make_divergence
from bench.training.recipes import RECIPES, Job
from bench.training.trainer import Trainer
from bench.variants import find_checkpoints, load_variants

VARIANTS = load_variants()
MINIATURES = order_miniatures(VARIANTS)
ARCHITECTURES = {variant.model: variant for variant in reversed(MINIATURES)}
WITHOUT_SCALES = {"weconv_phase5"}
PLAINEST_AND_FULLEST = ("standard", "balanced_phase4")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for seed in range(2):
        Image.fromarray(picture(288, 272, seed)).save(folder / f"{seed}.png")
    return decode_folders([folder], 256, folder / "cache")


# Every recipe, and every architecture with the plainest recipe and with the one that asks most of it: tasks of the
# three scales, groups of parameters, parts that learn later.
TRAINED = [*(("hpcm_base", recipe) for recipe in RECIPES),
           *((model, recipe) for model in ARCHITECTURES if model != "hpcm_base" for recipe in PLAINEST_AND_FULLEST)]


@pytest.mark.parametrize("model, recipe", TRAINED)
def test_one_epoch_of_every_recipe_and_on_every_architecture(model, recipe, images, tmp_path):
    """Two crops: all parameters that the recipe lets learn get a finite gradient, and weights move.

    What the multi-reference line stores without gradients, as published, is all that may be left out.
    """
    variant = ARCHITECTURES[model]
    crop = 128 if 128 % create_model(model, **variant.options).padding_multiple == 0 else 256
    settings = RECIPES.get(recipe).with_(steps=2, epochs=0, batch=1, crop=crop, learning_rate=1e-3)
    job = Job(model, 0.013, settings, variant.options)
    if model in WITHOUT_SCALES and recipe == "balanced_phase4":
        with pytest.raises(ConfigurationError, match="three scales"):
            Trainer(job, tmp_path).run(images, torch.zeros(1, 3, 256, 256, dtype=torch.uint8))
        return
    trainer = Trainer(job, tmp_path)
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    last = trainer.run(images, crop_centres(images, crop, most=1))
    assert trainer.step == 2 and trainer.guard.skipped == 0
    assert all(np.isfinite([last["loss"], last["bpp"], last["psnr_db"]]))
    learning = {name: value for name, value in trainer.model.named_parameters() if value.requires_grad}
    assert all(name.startswith("memory_") for name, value in learning.items() if value.grad is None)
    assert all(value.grad is None or torch.isfinite(value.grad).all() for value in learning.values())
    assert all(torch.isfinite(value).all() for value in learning.values())
    moved = {name for name, value in learning.items() if not torch.equal(value, before[name])}
    stirred = {name for name, value in learning.items() if value.grad is not None and value.grad.abs().max() > 1e-6}
    assert len(moved & stirred) >= 0.99 * len(stirred) > 0.3 * len(before)


def test_every_architecture_and_recipe_of_the_family_has_a_miniature():
    family = [name for name in MODELS if name != "lalic"]  # the RWKV line's upstream, not of the family
    assert {variant.model for variant in MINIATURES} == set(family)
    assert {variant.recipe for variant in MINIATURES} == set(RECIPES)
    lines = [variant.line for variant in MINIATURES[:5]]
    assert MINIATURES[0].name == "hpcm_base_mini"
    assert lines == ["HPCM", "Multi-reference", "RWKV", "WeConv", "Balanced"]
    assert [variant.seed for variant in MINIATURES if variant.name.startswith("hpcm_base_")] == [0, 1, 2]


def test_miniatures_have_one_width_and_a_million_parameters_at_most():
    shared = ("M", "N", "hyper_blocks", "expansion")
    base = VARIANTS["hpcm_base_mini"].options
    for variant in MINIATURES:
        assert sum(value.numel() for value in create_model(variant.model, **variant.options).parameters()) < 1e6
        if variant.model != "hpcm_1b":  # which needs another number of stages
            assert {name: variant.options[name] for name in shared} == {name: base[name] for name in shared}
            assert [width for width, _ in variant.options["stages"]] == [width for width, _ in base["stages"]]


def test_all_are_trained_alike():
    """Steps, crops and learning rates are equal at the first λ and at each other, also where λ are others; a
    fine-tuning's steps include those before it."""
    plan = MiniaturePlan()
    by_place = {}
    for variant in MINIATURES:
        runs = plan_runs(variant, plan)
        assert [run.lambda_ for run in runs] == sorted(variant.lambdas, reverse=True)
        assert [run.warm for run in runs] == [None, *[run.lambda_ for run in runs[:-1]]]
        for place, run in enumerate(runs):
            jobs = run.jobs
            by_place.setdefault(place, Counter())[(
                run.steps, jobs[0].recipe.learning_rate, jobs[0].recipe.schedule,
                *{(job.recipe.batch, job.recipe.crop) for job in jobs})] += 1
    assert len(by_place) == 4 and all(len(kinds) == 1 for kinds in by_place.values()), by_place
    assert len({run.digest for variant in MINIATURES for run in plan_runs(variant, plan)}) == 4 * len(MINIATURES)


def test_shipped_miniatures_say_how_they_were_made_and_fit_in_40_megabytes():
    files = [found.path for variant in MINIATURES for found in find_checkpoints(variant) if found.path]
    assert len(files) == sum(len(variant.lambdas) for variant in MINIATURES)
    folder = files[0].parents[1]
    assert {path for path in folder.rglob("*.safetensors")} == set(files)  # nothing else is shipped
    assert sum(file.stat().st_size for file in files) < 40e6
    for variant in MINIATURES:
        for run in plan_runs(variant, MiniaturePlan()):
            assert is_made(run), f"{run.checkpoint} was made by another training: make miniatures"
            record = read_record(run.checkpoint)
            assert record["variant"] == variant.name and record["lambda"] == run.lambda_
            assert record["steps"] == run.steps and record["seed"] == variant.seed and record["images"] == 408
            weights = read_weights(run.checkpoint).values()
            assert {value.dtype for value in weights if value.numel() > 1} == {torch.float16}


@pytest.fixture()
def command(tmp_path, photographs, monkeypatch):  # noqa: F811
    options = "{M: 8, N: 4, stages: [[8, 1]], hyper_blocks: [1, 1, 1, 1], prior_s1_s2: [1, 1], prior_s3: [1, 1]," \
              " head_width: 8}"
    entries = [f"  {name}:\n    model: hpcm_base\n    miniature: true\n    recipe: {recipe}\n"
               f"    lambdas: [0.01, 0.02]\n    checkpoints: made/{name}\n    options: {options}\n"
               for name, recipe in (("hpcm_base_mini", "standard"), ("fine_mini", "balanced_phase4"))]
    (tmp_path / "variants.yaml").write_text("variants:\n" + "".join(entries))
    for name, value in (("VARIANTS", "variants.yaml"), ("RUNS", "runs"), ("RESULTS", "results")):
        monkeypatch.setenv(f"BENCH_{name}", str(tmp_path / value))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for seed in range(2):
        Image.fromarray(picture(260, 256, seed)).save(photographs / f"large{seed}.png")
    return ["miniatures", "--data", str(photographs), "--validation", str(photographs), "--steps", "8", "4",
            "--processes", "1", "--device", "cpu"]


def call_here(function, calls, processes):
    """Call in this process, where a process of its own is not the point: its start takes seconds."""
    for name, arguments in calls.items():
        outcome = Future()
        outcome.set_result(function(*arguments))
        yield name, outcome


def test_the_command_makes_what_is_missing_and_leaves_the_rest(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("bench.commands.miniatures.call_apart", call_here)
    assert main(command) == EXIT_DONE
    assert "fine_mini: 2 checkpoints" in capsys.readouterr().out
    made = sorted((path.parent.name, path.name) for path in (tmp_path / "made").rglob("*.safetensors"))
    assert made == [(name, f"{point}.safetensors") for name in ("fine_mini", "hpcm_base_mini")
                    for point in ("0.01", "0.02")]
    record = read_record(tmp_path / "made" / "fine_mini" / "0.01.safetensors")
    assert record["recipes"] == ["balanced_phase3", "balanced_phase4"] and record["steps"] == 4
    assert record["start"] == "λ 0.02" and record["held_out"]["loss"] > 0
    logs = sorted(path.name for path in (tmp_path / "results" / "training" / "fine_mini").iterdir())
    assert logs == ["0.01.before.jsonl", "0.01.jsonl", "0.02.before.jsonl", "0.02.jsonl"]
    first = json.loads((tmp_path / "results/training/hpcm_base_mini/0.02.jsonl").read_text().splitlines()[0])
    assert first["origin"]["start"].startswith("principal components")

    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "made").rglob("*.safetensors")}
    lost = tmp_path / "made" / "fine_mini" / "0.01.safetensors"
    old = read_weights(lost)
    lost.unlink()
    assert main(command) == EXIT_DONE
    assert all(torch.equal(value, old[name]) for name, value in read_weights(lost).items())  # its state was kept
    assert all(path.stat().st_mtime_ns == time for path, time in times.items() if path != lost)
    assert main([*command, "--steps", "4", "4"]) == EXIT_DONE  # another plan: made anew
    assert read_record(Path(lost))["steps"] == 4


def test_a_training_that_diverges_fails_alone(command, tmp_path, monkeypatch, capsys):
    """Its error comes back from the other process whole, and the others are made."""
    error = make_divergence("the loss has grown", tmp_path / "state.pt")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) and again.exit_code == error.exit_code == EXIT_INCOMPLETE
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "fine_mini").write_text("a file where a folder should be")
    assert main(command) == EXIT_INCOMPLETE
    told = capsys.readouterr()
    assert "fine_mini failed: " in told.err and "hpcm_base_mini: 2 checkpoints" in told.out


def test_missing_folders_are_refused_before_anything_starts(command, capsys):
    command[command.index("--data") + 1] = "nowhere"
    assert main(command) == EXIT_BAD_INPUT
    assert "nowhere" in capsys.readouterr().err


def test_an_unknown_miniature_is_refused(command, capsys):
    assert main([*command, "--only", "hpcm_base"]) == EXIT_BAD_INPUT
    assert "hpcm_base_mini" in capsys.readouterr().err


def test_another_folder_takes_all_that_is_made(command, tmp_path, monkeypatch, capsys):
    """Weights, states and logs; what the variants name is neither read nor written."""
    monkeypatch.setattr("bench.commands.miniatures.call_apart", call_here)
    assert main([*command, "--only", "hpcm_base_mini"]) == EXIT_DONE

    def read_shipped():
        return {path: path.read_bytes() for name in ("made", "results") for path in (tmp_path / name).rglob("*.*")}

    shipped = read_shipped()
    assert len(shipped) == 4
    elsewhere = [*command, "--only", "hpcm_base_mini", "--steps", "4", "2", "--out", str(tmp_path / "out")]
    assert main(elsewhere) == EXIT_DONE
    assert read_shipped() == shipped
    for folder, suffix in (("checkpoints", "safetensors"), ("training", "jsonl")):
        made = {path.name for path in (tmp_path / "out" / folder / "hpcm_base_mini").iterdir()}
        assert made == {f"0.01.{suffix}", f"0.02.{suffix}"}
    capsys.readouterr()
    assert main(elsewhere) == EXIT_DONE
    assert "1 made already" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "gpu"])
def test_a_device_that_is_not_there_is_refused_by_all_that_train(device, command, tmp_path, photographs, capsys):
    one = ["--variant", "hpcm_base_mini", "--data", str(photographs), "--validation", str(photographs)]
    for verb in (command, ["train", *one, "--lambda", "0.01"], ["search", *one, "--recipe", "balanced_phase1"]):
        assert main([*verb, "--device", device]) == EXIT_BAD_INPUT
        assert ("no device called 'gpu'" if device == "gpu" else "no usable GPU") in capsys.readouterr().err
    assert not (tmp_path / "made").exists() and not (tmp_path / "runs").exists()
