"""Training: learning rates, the loss going down, exact resuming, guarded numbers, several processes."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import TINY
from training_samples import CROP, decoded, held_out, job, photographs, short  # noqa: F401 (fixtures)
from training_states import lines, same, same_weights

from bench.common.errors import CheckpointError, ConfigurationError
from bench.models import create_model
from bench.models.checkpoints import bare_weights, load_weights, read_weights, write_float16
from bench.training.losses import validate_model
from bench.training.optimise.guard import TrainingDiverged
from bench.training.trainer import Trainer, noise_seed

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ("standard", "balanced_phase1", "balanced_phase2", "balanced_phase3", "balanced_phase4")


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
