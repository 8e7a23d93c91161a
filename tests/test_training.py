"""Training: the loss, the schedule, crops, the start from principal components, and exact resuming."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.cli import main
from bench.errors import EXIT_BAD_INPUT, EXIT_DONE, ConfigurationError, DatasetError
from bench.models import create
from bench.models.checkpoints import load_weights, read_weights, write_float16
from bench.training.data import centre_batch, load_folders, random_batch
from bench.training.start import principal_components
from bench.training.trainer import Recipe, Trainer, rate_distortion
from tests.tiny_models import TINY, picture, write_variants

ROOT = Path(__file__).resolve().parent.parent
RECIPE = Recipe("hpcm_base", 0.01, TINY, steps=12, batch=2, crop=64, warmup=3)


@pytest.fixture()
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for seed in range(4):
        Image.fromarray(picture(96, 80, seed)).save(folder / f"{seed}.png")
    Image.fromarray(picture(32, 80)).save(folder / "too-narrow.png")
    return folder


def log_of(folder):
    with (folder / "log.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "elapsed_s"} for row in csv.DictReader(file)]


def same_weights(first, second):
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))


def test_loss_is_weighted_distortion_plus_rate():
    model = create("hpcm_base", **TINY).eval()
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        loss, bpp, mse = (float(value) for value in rate_distortion(model, x, 0.02))
        output = model(x)
    expected_mse = np.mean((output["x_hat"].numpy() - x.numpy()) ** 2)
    bits = sum(-np.log2(value.numpy().astype(float)).sum() for value in output["likelihoods"].values())
    assert mse == pytest.approx(expected_mse, rel=1e-5)
    assert bpp == pytest.approx(bits / (2 * 64 * 64), rel=1e-5)
    assert loss == pytest.approx(0.02 * 65025 * expected_mse + bits / 8192, rel=1e-5)


def test_learning_rate_rises_then_falls_to_a_hundredth():
    recipe = Recipe("hpcm_base", 0.01, steps=1000, learning_rate=1e-3, warmup=100)
    rates = [recipe.rate_at(step) for step in range(1000)]
    assert rates[0] == pytest.approx(1e-5) and max(rates) == rates[99]
    assert all(a > b for a, b in zip(rates[99:], rates[100:]))
    assert rates[500] == pytest.approx(1e-3 * 0.505) and rates[-1] == pytest.approx(1e-5, rel=0.01)


def test_crops_are_parts_of_images_flipped_both_ways():
    image = np.arange(9 * 8 * 3, dtype=np.uint8).reshape(9, 8, 3)
    crops = random_batch([image], 200, 5, np.random.default_rng(0))
    assert crops.shape == (200, 3, 5, 5) and crops.dtype == torch.float32
    possible = {}
    for top in range(5):
        for left in range(4):
            part = image[top : top + 5, left : left + 5]
            for rows in (1, -1):
                for columns in (1, -1):
                    possible[part[::rows, ::columns].tobytes()] = (top, left, rows, columns)
    seen = {possible[np.ascontiguousarray((crop * 255).round().byte().permute(1, 2, 0).numpy()).tobytes()]
            for crop in crops}
    assert {place[0] for place in seen} == set(range(5)) and {place[1] for place in seen} == set(range(4))
    assert {place[2:] for place in seen} == {(1, 1), (1, -1), (-1, 1), (-1, -1)}


def test_small_images_are_left_out_and_none_is_an_error(photographs, tmp_path):
    assert len(load_folders([photographs], 64)) == 4
    assert centre_batch(load_folders([photographs], 64), 64).shape == (4, 3, 64, 64)
    with pytest.raises(DatasetError, match="5 images seen"):
        load_folders([photographs], 256)


def test_start_is_the_best_linear_code_of_its_patches():
    """One strided stage of 2x2 patches and as many channels as kept components: the error is what was dropped."""
    torch.manual_seed(0)
    images = torch.from_numpy(np.stack([picture(64, 64, seed) for seed in range(8)])).permute(0, 3, 1, 2).float() / 255
    options = {**TINY, "M": 8, "stages": [[6, 0]]}
    model = create("hpcm_base", **options)
    principal_components(model, images, 0.01)
    with torch.no_grad():
        first = model.g_a.branch[0](images)
        back = model.g_s.branch[-1](first)
    patches = images.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12).double().numpy()
    spectrum = np.linalg.eigvalsh(np.cov(patches.T))
    dropped = spectrum[:-6].sum() / 12
    mean_of_phases = patches.mean(0).reshape(3, 4)
    mean_error = mean_of_phases.var(axis=1).mean()  # one bias a channel can't restore means that differ by phase
    assert float(((back - images) ** 2).mean()) == pytest.approx(dropped + mean_error, rel=0.02)


def test_start_scales_latents_with_lambda_and_keeps_the_image():
    images = torch.from_numpy(np.stack([picture(64, 64, seed) for seed in range(4)])).permute(0, 3, 1, 2).float() / 255
    models = []
    for lambda_ in (0.01, 0.04):
        model = create("hpcm_base", **TINY)
        principal_components(model, images, lambda_)
        models.append(model)
    with torch.no_grad():
        coarse, fine = (model.g_a(images) for model in models)
        torch.testing.assert_close(2 * coarse.std(), fine.std(), rtol=1e-4, atol=0)  # steps go as 1 / sqrt(λ)
        torch.testing.assert_close(models[0].g_s(coarse), models[1].g_s(fine), rtol=1e-3, atol=1e-4)
        assert float(((models[0].g_s(coarse) - images) ** 2).mean()) < 0.2 * float(images.var())


def test_start_refuses_transforms_of_another_kind():
    options = {**TINY, "stages": [[8, 1]] * 3, "adaptor_depths": [1, 1, 1]}
    with pytest.raises(TypeError, match="HPCM1B"):
        principal_components(create("hpcm_1b", **options), torch.rand(1, 3, 64, 64), 0.01)


def test_training_lowers_the_loss(photographs, tmp_path):
    trainer = Trainer(Recipe("hpcm_base", 0.01, TINY, steps=40, batch=2, crop=64, warmup=3), tmp_path / "run")
    batch = centre_batch(load_folders([photographs], 64), 64)
    before = trainer.validate(batch)["val_loss"]
    trainer.run([photographs], photographs, log_every=10, save_every=20)
    assert trainer.validate(batch)["val_loss"] < 0.7 * before
    assert [row["step"] for row in log_of(tmp_path / "run")] == ["10", "20", "30", "40"]


def test_an_interrupted_training_goes_on_exactly(photographs, tmp_path, monkeypatch):
    whole = Trainer(RECIPE, tmp_path / "whole")
    whole.run([photographs], photographs, log_every=2, save_every=4)

    broken = Trainer(RECIPE, tmp_path / "broken")
    step = broken._step

    def interrupted(x):
        if broken.step == 7:
            raise KeyboardInterrupt
        return step(x)

    monkeypatch.setattr(broken, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        broken.run([photographs], photographs, log_every=2, save_every=4)
    torch.rand(5)  # whatever happens in between must not matter
    resumed = Trainer(RECIPE, tmp_path / "broken")
    assert resumed.step == 4
    resumed.run([photographs], photographs, log_every=2, save_every=4)
    assert same_weights(whole.model, resumed.model)
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "broken")


def test_state_of_another_recipe_is_refused(photographs, tmp_path):
    Trainer(RECIPE, tmp_path / "run").run([photographs], None, save_every=12)
    with pytest.raises(ConfigurationError, match="another recipe"):
        Trainer(Recipe("hpcm_base", 0.02, TINY, steps=12, batch=2, crop=64, warmup=3), tmp_path / "run")


def test_a_step_without_a_finite_gradient_changes_nothing(tmp_path):
    trainer = Trainer(RECIPE, tmp_path / "run")
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    trainer._step(torch.full((1, 3, 64, 64), float("nan")))
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters()))
    trainer._step(torch.rand(1, 3, 64, 64))
    assert not all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters()))


def test_exported_weights_code_and_keep_their_constants(tmp_path):
    model = create("hpcm_base", **TINY).eval()
    write_float16(model, tmp_path / "0.01.safetensors", {"lambda": "0.01"})
    loaded = create("hpcm_base", **TINY).eval()
    load_weights(loaded, read_weights(tmp_path / "0.01.safetensors"))
    for name, value in model.state_dict().items():
        if value.numel() == 1:
            assert torch.equal(loaded.state_dict()[name], value)  # 1e-9 is zero in float16
        elif value.numel():
            torch.testing.assert_close(loaded.state_dict()[name], value, rtol=1e-3, atol=1e-6)
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.decompress(**loaded.compress(x))["x_hat"], loaded(x)["x_hat"].clamp(0, 1))


def command(photographs, tmp_path, *more):
    return ["train", "--variant", "tiny", "--lambda", "0.01", "--data", str(photographs), "--batch", "2",
            "--crop", "64", "--steps", "60", "--save-every", "5", "--threads", "1", *more]


def test_a_killed_command_goes_on_where_it_was(photographs, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_VARIANTS", str(write_variants(tmp_path)))
    threads = torch.get_num_threads()
    run, export = tmp_path / "run", tmp_path / "out" / "0.01.safetensors"
    arguments = command(photographs, tmp_path, "--out", str(run), "--export", str(export))
    process = subprocess.Popen([sys.executable, "-m", "bench", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (run / "state.pt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not export.exists()
    try:
        assert main(arguments) == EXIT_DONE
        whole = ["--out", str(tmp_path / "whole"), "--export", str(tmp_path / "whole.safetensors")]
        assert main(command(photographs, tmp_path, *whole)) == EXIT_DONE
    finally:
        torch.set_num_threads(threads)
    first, second = read_weights(export), read_weights(tmp_path / "whole.safetensors")
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("change, told", [
    (["--lambda", "-1"], "must be positive"), (["--steps", "0"], "must be positive"),
    (["--variant", "nobody"], "nobody"), (["--data", "nowhere"], "no training images"),
    (["--start", "nothing.pt"], "nothing.pt"), (["--crop", "80"], "multiple of 64"),
])
def test_wrong_options_are_refused(change, told, photographs, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BENCH_VARIANTS", str(write_variants(tmp_path)))
    arguments = command(photographs, tmp_path, "--out", str(tmp_path / "run"), *change)
    threads = torch.get_num_threads()
    try:
        assert main(arguments) == EXIT_BAD_INPUT
    finally:
        torch.set_num_threads(threads)
    assert told in capsys.readouterr().err
