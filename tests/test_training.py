"""Training: learning rates, the loss going down, exact resuming, guarded numbers, several processes."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import TINY
from training_samples import CROP, decoded, held_out, job, logged_lines, photographs, short  # noqa: F401

from bench.cli import main
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, CheckpointError, ConfigurationError
from bench.models import create_model
from bench.models.checkpoints import bare_weights, load_weights, read_note, read_weights, write_float16
from bench.training.losses import validate_model
from bench.training.optimise.guard import TrainingDiverged
from bench.training.trainer import Trainer, noise_seed

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ("standard", "balanced_phase1", "balanced_phase2", "balanced_phase3", "balanced_phase4")
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


def lines(folder, kind=None):
    """The log without its times."""
    found = [line for line in logged_lines(folder) if kind in (None, line["kind"])]
    return [{key: value for key, value in line.items() if key != "elapsed_s"} for line in found]


def same(first, second):
    """Whether two states are equal, tensors bit by bit."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second


def same_weights(first, second):
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))


def test_a_log_begins_once_even_if_the_first_start_was_killed_before_it_saved(decoded, tmp_path):
    first = Trainer(job(), tmp_path / "run")
    first._save = lambda: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        first.run(decoded, None, log_every=2, save_every=4)
    first.close()
    Trainer(job(), tmp_path / "run").run(decoded, None, log_every=2, save_every=4)
    assert [line["kind"] for line in lines(tmp_path / "run")] == ["recipe"] + ["step"] * 6


def test_tensorboard_shows_what_the_log_holds(decoded, held_out, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    Trainer(job("balanced_phase1"), tmp_path / "run").run(decoded, held_out, log_every=4, save_every=12)
    board = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    board.Reload()
    logged = {line["step"]: line for line in lines(tmp_path / "run", "step")}
    for tag, read in (("step/loss", lambda line: line["loss"]),
                      ("step/weights/rate", lambda line: line["weights"]["rate"]),
                      ("step/gammas/distortion", lambda line: line["gammas"]["distortion"])):
        shown = {event.step: event.value for event in board.Scalars(tag)}
        assert shown == pytest.approx({step: read(line) for step, line in logged.items()}, rel=1e-5)
    assert [event.step for event in board.Scalars("validation/psnr_db")] == [12]


def test_official_learning_rates_are_those_of_the_published_script():
    published = replace(short(), steps=3001, learning_rate=1e-4, schedule="official", warmup=0)
    rate = replace(job(), recipe=published).learning_rate
    expected = {0: 1e-4, 2749: 1e-4, 2750: 3e-5, 2849: 3e-5, 2850: 1e-5, 2949: 1e-5, 2950: 1e-6, 3000: 1e-6}
    assert {epoch: rate(epoch) for epoch in expected} == pytest.approx(expected)


def test_cosine_rises_then_falls_to_a_hundredth():
    rate = job(steps=1000, warmup=100).learning_rate
    rates = [rate(step) for step in range(1000)]
    assert rates[0] == pytest.approx(1e-5) and max(rates) == rates[99]
    assert all(a > b for a, b in zip(rates[99:], rates[100:]))
    assert rates[500] == pytest.approx(1e-3 * 0.505) and rates[-1] == pytest.approx(1e-5, rel=0.01)


def test_training_lowers_the_loss_and_logs_it(decoded, held_out, tmp_path):
    trainer = Trainer(job(steps=40), tmp_path / "run")
    before = validate_model(trainer.model, held_out, trainer.job, torch.device("cpu"))["loss"]
    last = trainer.run(decoded, held_out, log_every=10, save_every=20)
    assert last["loss"] < 0.7 * before
    assert [line["step"] for line in lines(tmp_path / "run", "step")] == [10, 20, 30, 40]
    assert [line["step"] for line in lines(tmp_path / "run", "validation")] == [20, 40]
    for line in lines(tmp_path / "run", "step"):
        assert line["loss"] == pytest.approx(0.01 * 255**2 * line["mse"] + line["bpp"], rel=1e-4)
    assert lines(tmp_path / "run", "recipe")[0]["job"]["lambda_"] == 0.01


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_interrupted_training_goes_on_exactly(recipe, decoded, held_out, tmp_path, monkeypatch):
    wanted = job(recipe, gamma_schedule="adaptive" if recipe in RECIPES[2:4] else None, patience=2,
                 scale_patience=2 if recipe == RECIPES[4] else None)
    whole = Trainer(wanted, tmp_path / "whole")
    whole.run(decoded, held_out, log_every=2, save_every=4)

    broken = Trainer(wanted, tmp_path / "broken")
    step = broken._step

    def interrupted(x):
        if broken.step == 7:
            raise KeyboardInterrupt
        return step(x)

    monkeypatch.setattr(broken, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        broken.run(decoded, held_out, log_every=2, save_every=4)
    broken.close()
    torch.rand(5)  # whatever happens in between must not matter
    resumed = Trainer(wanted, tmp_path / "broken")
    assert resumed.step == 4
    resumed.run(decoded, held_out, log_every=2, save_every=4)
    assert same_weights(whole.model, resumed.model)
    assert lines(tmp_path / "whole") == lines(tmp_path / "broken")
    states = [torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("whole", "broken")]
    for part in ("optimiser", "objective", "stopping", "guard", "best_loss", "latest"):
        assert same(states[0][part], states[1][part]), part


def test_a_balanced_training_logs_weights_losses_and_gammas(decoded, held_out, tmp_path):
    Trainer(job("balanced_phase3"), tmp_path / "run").run(decoded, held_out, log_every=4, save_every=12)
    for line in lines(tmp_path / "run", "step"):
        assert list(line["weights"]) == list(line["gammas"]) == ["distortion", "s1", "s2", "s3", "z"]
        assert sum(line["weights"].values()) == pytest.approx(1, abs=1e-5)
        assert line["tasks"]["s1"] > 0
    first, last = lines(tmp_path / "run", "step")[0], lines(tmp_path / "run", "step")[-1]
    assert len(set(first["weights"].values())) > 1 and first["weights"] != last["weights"]
    assert first["gammas"]["s1"] != last["gammas"]["s1"] and first["gammas"]["z"] == last["gammas"]["z"]


def test_state_of_another_job_is_refused_by_what_differs(decoded, tmp_path):
    trainer = Trainer(job(), tmp_path / "run")
    trainer.run(decoded, None, save_every=12)
    trainer.close()
    with pytest.raises(ConfigurationError, match=r"lambda_ 0.01, not 0.02"):
        Trainer(job(lambda_=0.02), tmp_path / "run")
    (tmp_path / "run" / "state.pt").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="damaged"):
        Trainer(job(), tmp_path / "run")


def test_two_trainings_in_one_folder_are_refused(tmp_path):
    first = Trainer(job(), tmp_path / "run")
    with pytest.raises(ConfigurationError, match="another process"):
        Trainer(job(), tmp_path / "run")
    first.close()
    Trainer(job(), tmp_path / "run").close()


def test_a_step_without_a_finite_gradient_changes_nothing(tmp_path):
    for name in ("standard", "balanced_phase1"):
        trainer = Trainer(job(name), tmp_path / name)
        before = [parameter.clone() for parameter in trainer.model.parameters()]
        trainer._step(torch.full((1, 3, CROP, CROP), float("nan")))
        assert trainer.guard.skipped == 1
        assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters()))
        trainer._step(torch.rand(1, 3, CROP, CROP))
        assert not all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters()))


def test_gradients_that_are_never_finite_end_the_training_and_keep_the_state(decoded, tmp_path, monkeypatch):
    trainer = Trainer(job(steps=60), tmp_path / "run")
    trainer.run(decoded, None, save_every=10, until=10)
    kept = (tmp_path / "run" / "state.pt").read_bytes()
    monkeypatch.setattr("bench.training.trainer.as_input", lambda batch, device: batch.float() * float("nan"))
    with pytest.raises(TrainingDiverged, match="20 steps in a row") as error:
        trainer.run(decoded, None, save_every=50)
    assert "state.pt" in str(error.value) and error.value.exit_code == 1
    assert (tmp_path / "run" / "state.pt").read_bytes() == kept


def test_a_loss_that_grows_tenfold_or_spoilt_weights_end_the_training(decoded, tmp_path, monkeypatch):
    trainer = Trainer(job(steps=60), tmp_path / "run")
    trainer.run(decoded, None, log_every=5, save_every=20, until=20)
    kept = (tmp_path / "run" / "state.pt").read_bytes()
    with torch.no_grad():
        trainer.model.g_s.branch[-1].bias.add_(30)
    with pytest.raises(TrainingDiverged, match="has grown"):
        trainer.run(decoded, None, log_every=5, save_every=20)
    with torch.no_grad():
        trainer.model.g_s.branch[-1].bias[0] = float("nan")
    with pytest.raises(TrainingDiverged, match=r"g_s\.branch"):
        trainer._save()
    assert (tmp_path / "run" / "state.pt").read_bytes() == kept


def test_best_weights_are_those_of_the_best_validation(decoded, held_out, tmp_path, monkeypatch):
    losses = iter([3.0, 1.0, 2.0])
    trainer = Trainer(job(), tmp_path / "run")
    monkeypatch.setattr("bench.training.trainer.validate_model",
                        lambda *rest: {"loss": next(losses), "bpp": 1.0, "psnr_db": 30.0})
    seen = []
    save = trainer._save
    monkeypatch.setattr(trainer, "_save", lambda: (save(), seen.append(
        {name: value.clone() for name, value in bare_weights(trainer.model).items()})))
    trainer.run(decoded, held_out, save_every=4)
    best = torch.load(tmp_path / "run" / "best.pt", weights_only=True)
    assert all(torch.equal(best[name], value) for name, value in seen[1].items())
    assert not all(torch.equal(best[name], value) for name, value in seen[2].items())


def test_training_ends_early_when_the_loss_stays(decoded, held_out, tmp_path, monkeypatch):
    losses = iter([3.0, 2.0, 2.5, 2.0, 2.2])
    monkeypatch.setattr("bench.training.trainer.validate_model",
                        lambda *rest: {"loss": next(losses), "bpp": 1.0, "psnr_db": 30.0})
    trainer = Trainer(job(steps=100, patience=3), tmp_path / "run")
    trainer.run(decoded, held_out, save_every=2)
    assert trainer.step == 10
    trainer.close()
    again = Trainer(trainer.job, tmp_path / "run")
    assert again.run(decoded, held_out, save_every=2) == trainer.latest and again.step == 10


def test_half_precision_computes_transforms_only_and_nearly_the_same(decoded, tmp_path):
    losses = {}
    for half in (False, True):
        trainer = Trainer(job(half=half), tmp_path / str(half))
        seen = {}
        for name, module in (("transform", trainer.model.g_a.branch[0]), ("context", trainer.model.y_spatial_prior_s3)):
            module.register_forward_hook(lambda m, i, out, name=name, into=seen: into.update({name: out.dtype}))
        losses[half] = float(trainer._step(torch.rand(2, 3, CROP, CROP, generator=torch.Generator().manual_seed(0)))[0])
        assert seen == {"transform": torch.bfloat16 if half else torch.float32, "context": torch.float32}
        assert all(parameter.dtype == torch.float32 for parameter in trainer.model.parameters())
    assert losses[True] != losses[False] and losses[True] == pytest.approx(losses[False], rel=0.05)


def test_unfrozen_parts_learn_when_it_is_their_turn(decoded, tmp_path):
    trainer = Trainer(job("balanced_phase4", steps=10, warmup=0), tmp_path / "run")
    names = {"h_a": 2, "h_s": 2, "means_hyper": 2, "y_spatial_prior_s3": 4}
    weights = {name: [value for key, value in trainer.model.named_parameters() if key.startswith(name)][-1]
               for name in names}
    start = {name: value.clone() for name, value in weights.items()}
    moved = {}
    for step in range(10):
        trainer._step(torch.rand(2, 3, CROP, CROP))
        for name, value in weights.items():
            if not torch.equal(value, start[name]):
                moved.setdefault(name, step)
    assert moved == names
    rates = {group["name"]: group["lr"] / trainer.job.learning_rate(9) for group in trainer.optimiser.param_groups}
    assert rates == pytest.approx({"g_a": 1, "g_s": 1, "h_a": 0.5, "h_s": 0.5, "context": 0.1, "entropy": 0.5})


def test_unfreezing_leaves_what_the_start_froze_as_it_is(tmp_path):
    def freeze(model):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not name.startswith(("g_a", "h_a.")))
        return {}

    trainer = Trainer(job("balanced_phase4", steps=8, warmup=0), tmp_path / "run", freeze)
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    for _ in range(8):
        trainer._step(torch.rand(2, 3, CROP, CROP))
    moved = {name for name, value in trainer.model.named_parameters() if not torch.equal(value, before[name])}
    assert moved and not [name for name in moved if name.startswith(("g_a", "h_a."))]
    assert any(name.startswith("h_s") for name in moved)


def test_parts_of_a_converged_scale_stop_learning(tmp_path):
    trainer = Trainer(job("balanced_phase4", freeze_converged=True, scale_patience=1, unfreeze=(), steps=8),
                      tmp_path / "run")
    attention = {name: value for name, value in trainer.model.named_parameters() if name.startswith("attn_s")}
    for rates in ({"s1": 1.0, "s2": 1.0, "s3": 1.0}, {"s1": 1.0, "s2": 0.5, "s3": 0.5}):
        trainer.stopping.record({"loss": 1.0, "rates": rates})
    before = {name: value.clone() for name, value in attention.items()}
    trainer._step(torch.rand(2, 3, CROP, CROP))
    moved = {name[:7] for name, value in attention.items() if not torch.equal(value, before[name])}
    assert moved == {"attn_s2", "attn_s3"}


def test_noise_differs_by_step_process_and_seed():
    seeds = {noise_seed(seed, step, process) for seed in range(3) for step in range(50) for process in range(3)}
    assert len(seeds) == 450


SCRIPT = """
import sys, torch
from pathlib import Path
from bench.training.data import crop_centres, decode_folders
from bench.training.processes import join_processes, leave_processes
from bench.training.trainer import Trainer
sys.path.insert(0, "tests")
from training_samples import CROP, job
folder = Path(sys.argv[1])
torch.set_num_threads(1)
processes = join_processes("cpu")
images = decode_folders([folder / "photographs"], CROP, folder / "cache")
for recipe in sys.argv[2:]:
    trainer = Trainer(job(recipe, steps=6, patience=2), folder / recipe, None, processes)
    trainer.run(images, crop_centres(images, CROP), save_every=3)
    torch.save({"weights": dict(trainer.model.named_parameters()), "objective": trainer.objective.state_dict()},
               folder / f"{recipe}-{processes.rank}.pt")
leave_processes()
"""


def test_processes_train_one_model_together(decoded, tmp_path):
    """Weights and task weights agree over processes, whatever crops and noise each has."""
    recipes = ("standard", "balanced_phase1", "balanced_phase4")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([*torchrun, str(script), str(tmp_path), *recipes], cwd=ROOT, env=environment, check=True,
                   capture_output=True, timeout=200)
    for recipe in recipes:
        first, second = (torch.load(tmp_path / f"{recipe}-{rank}.pt", weights_only=False) for rank in (0, 1))
        assert all(torch.equal(value, second["weights"][name]) for name, value in first["weights"].items())
        assert repr(first["objective"]) == repr(second["objective"])
        assert len(lines(tmp_path / recipe, "validation")) == 2
        assert [line["step"] for line in lines(tmp_path / recipe, "step")] == [3, 6]


def test_exported_weights_code_and_keep_their_constants(tmp_path):
    model = create_model("hpcm_base", **TINY).eval()
    write_float16(model, tmp_path / "0.01.safetensors", {"lambda": "0.01"})
    loaded = create_model("hpcm_base", **TINY).eval()
    load_weights(loaded, read_weights(tmp_path / "0.01.safetensors"))
    for name, value in model.state_dict().items():
        if value.numel() == 1:
            assert torch.equal(loaded.state_dict()[name], value)  # 1e-9 is zero in float16
        elif value.numel():
            torch.testing.assert_close(loaded.state_dict()[name], value, rtol=1e-3, atol=1e-6)
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.decompress(**loaded.compress(x))["x_hat"], loaded(x)["x_hat"].clamp(0, 1))


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
    (["--lambda", "-1"], "must be positive"), (["--steps", "-2"], "must be positive"),
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
