"""`python -m bench train`: where weights go, starts, restarts, refusals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from training_samples import photographs  # noqa: F401 (fixtures)
from training_states import lines

from bench.cli import main
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE
from bench.models.checkpoints import read_note, read_weights
from bench.training.trainer import Trainer

ROOT = Path(__file__).parents[1]
VARIANTS = """
variants:
  tiny: &tiny
    model: hpcm_base
    miniature: true
    lambdas: [0.01, 0.02]
    checkpoints: made
    options: {M: 8, N: 4, stages: [[8, 1]], hyper_blocks: [1, 1, 1, 1], prior_s1_s2: [1, 1], prior_s3: [1, 1],
              head_width: 8}
  tiny_balanced:
    model: hpcm_base
    recipe: balanced_phase1
    lambdas: [0.01]
    options: {M: 8, N: 4, stages: [[8, 1]], hyper_blocks: [1, 1, 1, 1], prior_s1_s2: [1, 1], prior_s3: [1, 1],
              head_width: 8}
  tiny_multiref:
    model: multiref_phase1
    lambdas: [0.01]
    options: {M: 8, N: 4, stages: [[8, 1]], hyper_blocks: [1, 1, 1, 1], prior_s1_s2: [1, 1], prior_s3: [1, 1],
              head_width: 8}
"""


@pytest.fixture()
def train(photographs, tmp_path, monkeypatch):
    """The command on a tiny variant, with a runs folder of its own; what more is given overrides."""
    (tmp_path / "variants.yaml").write_text(VARIANTS)
    monkeypatch.setenv("BENCH_VARIANTS", str(tmp_path / "variants.yaml"))
    monkeypatch.setenv("BENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path / "results"))
    settings = {"--variant": "tiny", "--lambda": "0.01", "--data": str(photographs), "--validation": str(photographs),
                "--batch": "2", "--crop": "64", "--steps": "4", "--save-every": "2", "--learning-rate": "1e-3"}

    def arguments(*more):
        given = dict(settings)
        flags = []
        for name, value in zip(more, [*more[1:], ""]):
            if name.startswith("--"):
                if value == "" or value.startswith("--"):
                    flags.append(name)
                else:
                    given[name] = value
        return ["train", *[part for name, value in given.items() for part in (name, *value.split(" "))], *flags]

    arguments.run = lambda *more: main(arguments(*more))
    return arguments


def test_a_trained_variant_is_found_by_the_suite(train, tmp_path, capsys):
    assert train.run() == EXIT_DONE
    file = tmp_path / "made" / "0.01.safetensors"
    assert str(file) in capsys.readouterr().out
    best = torch.load(tmp_path / "runs" / "tiny" / "0.01" / "best.pt", weights_only=True)
    written = read_weights(file)
    assert all(torch.equal(value, best[name]) for name, value in written.items())
    assert read_note(file)["recipe"] == "standard"
    log = tmp_path / "results" / "training" / "tiny" / "0.01.jsonl"
    assert log.read_bytes() == (tmp_path / "runs" / "tiny" / "0.01" / "log.jsonl").read_bytes()
    file.write_bytes(b"of somebody else")
    log.write_text("of somebody else")
    assert train.run() == EXIT_DONE
    assert file.read_bytes() == b"of somebody else" and "left alone" in capsys.readouterr().out
    assert log.read_text() == "of somebody else"


def test_starts_from_another_lambda_and_from_another_variant(train, tmp_path, capsys):
    assert train.run("--lambda", "0.02") == EXIT_DONE
    assert train.run("--from-lambda", "0.02") == EXIT_DONE
    [first] = lines(tmp_path / "runs" / "tiny" / "0.01", "recipe")
    assert first["origin"] == {"start": "tiny at λ 0.02", "frozen": False}
    assert train.run("--variant", "tiny_multiref", "--from-variant", "tiny", "--freeze") == EXIT_DONE
    assert "memory_bank_s3" in capsys.readouterr().out
    base, after = (torch.load(tmp_path / "runs" / name / "0.01" / "best.pt", weights_only=True)
                   for name in ("tiny", "tiny_multiref"))
    assert all(torch.equal(after[name], base[name]) for name in base if name.startswith(("g_a", "h_s", "attn_s3")))


def test_another_start_or_other_images_in_the_same_folder_are_refused(train, photographs, capsys):
    assert train.run() == EXIT_DONE
    assert train.run("--principal-components") == EXIT_BAD_INPUT
    assert "start 'random weights', not 'principal-components True'" in capsys.readouterr().err
    (photographs / "0.png").unlink()
    assert train.run() == EXIT_BAD_INPUT
    assert "images" in capsys.readouterr().err


def test_what_decides_by_held_out_images_needs_them(train, capsys):
    arguments = [part for part in train("--patience", "2") if part != "--validation"]
    arguments.remove(train("--patience", "2")[train().index("--validation") + 1])
    assert main(arguments) == EXIT_BAD_INPUT
    assert "--validation" in capsys.readouterr().err


def test_one_gamma_serves_all_scales(train, tmp_path):
    assert train.run("--recipe", "balanced_phase3", "--gamma", "0.005") == EXIT_DONE
    gammas = lines(tmp_path / "runs" / "tiny" / "0.01", "step")[0]["gammas"]
    assert gammas["distortion"] == gammas["z"] == 0.005


def test_freezing_lasts_over_a_restart(train, tmp_path, monkeypatch):
    assert train.run() == EXIT_DONE
    more = ("--variant", "tiny_multiref", "--from-variant", "tiny", "--freeze", "--steps", "8")
    step = Trainer._step

    def interrupted(trainer, x):
        if trainer.step == 5:
            raise KeyboardInterrupt
        return step(trainer, x)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", interrupted)
        assert train.run(*more) == 130  # interrupted
    run = tmp_path / "runs" / "tiny_multiref" / "0.01"
    state = torch.load(run / "state.pt", weights_only=True)
    assert state["step"] == 4 and "g_a.branch.0.weight" in state["frozen"]
    assert train.run(*more) == EXIT_DONE
    assert lines(run)[-1]["step"] == 8
    base, after = (torch.load(tmp_path / "runs" / name / "0.01" / "best.pt", weights_only=True)
                   for name in ("tiny", "tiny_multiref"))
    assert torch.equal(after["g_a.branch.0.weight"], base["g_a.branch.0.weight"])


HELD_UP = """
import sys, time
from bench.cli import main
from bench.training.trainer import Trainer
step = Trainer._step
def hold_up(self, x):
    if self.step == 5:
        time.sleep(200)
    return step(self, x)
Trainer._step = hold_up
sys.exit(main(sys.argv[1:]))
"""


def test_a_killed_command_goes_on_where_it_was(train, tmp_path):
    arguments = train("--variant", "tiny_balanced", "--steps", "12", "--threads", "1", "--keep-best", "2")
    run = tmp_path / "runs" / "tiny_balanced" / "0.01"
    threads = torch.get_num_threads()
    process = subprocess.Popen([sys.executable, "-c", HELD_UP, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)
    wait_for(run / "state.pt", process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert torch.load(run / "state.pt", weights_only=True)["step"] < 6
    try:
        assert main(arguments) == EXIT_DONE
        assert main([*arguments, "--out", str(tmp_path / "whole")]) == EXIT_DONE
    finally:
        torch.set_num_threads(threads)
    states = [torch.load(folder / "state.pt", weights_only=True) for folder in (run, tmp_path / "whole")]
    assert all(torch.equal(value, states[1]["model"][name]) for name, value in states[0]["model"].items())
    assert lines(run) == lines(tmp_path / "whole")
    kept = {int(path.stem.removeprefix("step-")) for path in (run / "states").glob("step-*.pt")}
    losses = {line["step"]: line["loss"] for line in lines(run, "validation")}
    best = sorted(losses, key=lambda step: losses[step])[:2]
    assert kept == {12, *best}


def wait_for(path, process):
    deadline = time.monotonic() + 120
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.mark.parametrize("change, told", [
    (["--lambda", "-1"], "is no λ"), (["--steps", "-2"], "must be positive"),
    (["--variant", "nobody"], "nobody"), (["--data", "nowhere"], "nowhere"), (["--recipe", "magic"], "magic"),
    (["--start", "nothing.pt"], "nothing.pt"), (["--crop", "80"], "multiple of"),
    (["--batch", "0"], "must be positive"),
    (["--recipe", "balanced_phase4"], "fine-tunes trained weights"), (["--seed", "-1"], "negative"),
    (["--device", "gpu"], "gpu"), (["--workers", "-1"], "negative"), (["--save-every", "-1"], "negative"),
    (["--recipe", "balanced_phase2", "--gamma", "0.003 0.004"], "of one gamma"),
    (["--recipe", "balanced_phase3", "--gamma", "0.003 0.004"], "must be 5"), (["--metric", "ms-ssim"], "MS-SSIM"),
    (["--freeze"], "--from-variant"), (["--from-lambda", "0.5"], "train it first"),
    (["--schedule", "odd"], "schedule"),
])
def test_wrong_options_are_refused(change, told, train, tmp_path, capsys):
    assert train.run(*change) == EXIT_BAD_INPUT
    assert told in capsys.readouterr().err
