"""Trains one model at one λ: float32, Adam, clipped gradients, a log, and a state to go on from."""

from __future__ import annotations

import csv
import math
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import ConfigurationError
from bench.models import create
from bench.models.checkpoints import load_weights
from bench.training.data import centre_batch, load_folders, random_batch
from bench.training.start import principal_components

LOG_FIELDS = ("step", "learning_rate", "loss", "bpp", "mse", "psnr_db", "val_loss", "val_bpp", "val_psnr_db",
              "elapsed_s")


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        model, options: what :func:`bench.models.create` builds.
        lambda_: weight of distortion: loss = λ 255² MSE + bpp.
        steps, batch, crop: optimiser steps, crops in a step, side of a crop in pixels.
        learning_rate: first learning rate; falls to a hundredth along a half cosine, after ``warmup`` steps.
        clip: largest norm of the gradient.
        seed: seed of weights, crops and noise.
        principal_start: start the transforms from principal components, unless weights are given.
    """

    model: str
    lambda_: float
    options: dict[str, Any] = field(default_factory=dict)
    steps: int = 10_000
    batch: int = 4
    crop: int = 256
    learning_rate: float = 1e-3
    warmup: int = 200
    clip: float = 1.0
    seed: int = 0
    principal_start: bool = True

    def rate_at(self, step: int) -> float:
        """Learning rate of a step."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        return self.learning_rate * rise * (0.01 + 0.99 * (1 + math.cos(math.pi * step / self.steps)) / 2)


def rate_distortion(model: nn.Module, x: Tensor, lambda_: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return (loss, bpp, MSE) of a batch: loss = λ 255² MSE + bpp, bpp from the likelihoods."""
    output = model(x)
    mse = torch.mean((output["x_hat"] - x) ** 2)
    pixels = x.shape[0] * x.shape[2] * x.shape[3]
    bpp = sum(-torch.log2(likelihood).sum() for likelihood in output["likelihoods"].values()) / pixels
    return lambda_ * 255**2 * mse + bpp, bpp, mse


class Trainer:
    """Trains by :class:`Recipe` in ``folder``: ``state.pt`` (to go on from), ``log.csv``.

    Args:
        recipe: how to train. A state in ``folder`` that was made by another recipe is refused.
        folder: where state and log are kept.
        start: weights to start from when there is no state yet.
    """

    def __init__(self, recipe: Recipe, folder: Path, start: dict[str, Tensor] | None = None) -> None:
        self.recipe, self.folder = recipe, folder
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        self.crops = np.random.default_rng(recipe.seed)
        self.model = create(recipe.model, **recipe.options)
        if recipe.crop % self.model.padding_multiple:
            raise ConfigurationError(f"crops of {recipe.crop} pixels don't fit the model",
                                     f"their side must be a multiple of {self.model.padding_multiple}")
        self._is_fresh = start is None and recipe.principal_start
        if start is not None:
            load_weights(self.model, start, "the start")
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=recipe.learning_rate)
        self.step, self.elapsed_s = 0, 0.0
        if self.state_path.exists():
            self._restore()

    @property
    def state_path(self) -> Path:
        return self.folder / "state.pt"

    @property
    def log_path(self) -> Path:
        return self.folder / "log.csv"

    def run(self, data: list[Path], validation: Path | None, log_every: int = 100,
            save_every: int = 500) -> None:
        """Train to the last step; logs every ``log_every`` steps, saves state every ``save_every``.

        A step whose gradient is not finite is skipped.
        """
        images = load_folders(data, self.recipe.crop)
        held_out = None
        if validation:
            held_out = centre_batch(load_folders([validation], self.recipe.crop)[:24], self.recipe.crop)
        if self.step == 0 and self._is_fresh:
            principal_components(self.model, centre_batch(images[:64], self.recipe.crop), self.recipe.lambda_)
        started, sums = time.monotonic() - self.elapsed_s, []
        while self.step < self.recipe.steps:
            sums.append(self._step(random_batch(images, self.recipe.batch, self.recipe.crop, self.crops)))
            self.elapsed_s = time.monotonic() - started
            last = self.step == self.recipe.steps
            if self.step % log_every == 0 or last:
                due = held_out is not None and (self.step % save_every == 0 or last)
                self._log(np.mean(sums, axis=0), self.validate(held_out) if due else {})
                sums = []
            if self.step % save_every == 0 or last:
                self._save()

    def _step(self, x: Tensor) -> tuple[float, float, float]:
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate_at(self.step)
        self.model.train()
        loss, bpp, mse = rate_distortion(self.model, x, self.recipe.lambda_)
        self.optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        if torch.isfinite(norm):
            self.optimiser.step()
        self.step += 1
        return loss.item(), bpp.item(), mse.item()

    @torch.no_grad()
    def validate(self, images: Tensor) -> dict[str, float]:
        """Loss, bpp and PSNR of the forward pass on held-out crops, rounded symbols, no noise."""
        self.model.eval()
        results = [[float(value) for value in rate_distortion(self.model, x[None], self.recipe.lambda_)]
                   for x in images]
        loss, bpp, _ = np.mean(results, axis=0)
        psnr = np.mean([-10 * math.log10(mse) for _, _, mse in results])
        return {"val_loss": float(loss), "val_bpp": float(bpp), "val_psnr_db": float(psnr)}

    def _log(self, means: np.ndarray, validated: dict[str, float]) -> None:
        loss, bpp, mse = (float(value) for value in means)
        row = {"step": self.step, "learning_rate": self.recipe.rate_at(self.step - 1), "loss": loss,
               "bpp": bpp, "mse": mse, "psnr_db": -10 * math.log10(mse),
               "elapsed_s": round(self.elapsed_s, 1), **validated}
        new = not self.log_path.exists()
        with self.log_path.open("a", newline="") as file:
            writer = csv.DictWriter(file, LOG_FIELDS)
            if new:
                writer.writeheader()
            writer.writerow(row)
        left = (self.recipe.steps - self.step) * self.elapsed_s / self.step
        shown = " ".join(f"{name} {value:.5g}" for name, value in row.items() if name != "elapsed_s")
        print(f"{shown}  left {left / 60:.0f} min", flush=True)

    def _save(self) -> None:
        """Write the state so that a kill at any moment leaves a whole one."""
        state = {
            "recipe": asdict(self.recipe), "step": self.step, "elapsed_s": self.elapsed_s,
            "model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(),
            "noise": torch.get_rng_state(), "crops": self.crops.bit_generator.state,
        }
        temporary = self.state_path.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.state_path)

    def _restore(self) -> None:
        state = torch.load(self.state_path, map_location="cpu", weights_only=True)
        if _plain(state["recipe"]) != _plain(asdict(self.recipe)):
            raise ConfigurationError(
                f"{self.state_path} was made by another recipe: {state['recipe']}", "choose another --out"
            )
        load_weights(self.model, state["model"], str(self.state_path))
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["noise"])
        self.crops.bit_generator.state = state["crops"]
        self.step, self.elapsed_s = state["step"], state["elapsed_s"]
        self._forget_log_after(self.step)

    def _forget_log_after(self, step: int) -> None:
        """Drop lines of steps that were logged, but not saved, before an interruption: they come again."""
        if not self.log_path.exists():
            return
        with self.log_path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
        temporary = self.log_path.with_suffix(".tmp")
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, LOG_FIELDS)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(temporary, self.log_path)


def _plain(value: Any) -> Any:
    """Tuples as lists, so that recipes compare equal whatever file they came from."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value
