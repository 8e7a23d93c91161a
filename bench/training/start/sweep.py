"""A variant at all its λ, and where each training starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.models import create
from bench.models.checkpoints import load_weights, read_note, read_weights, write_weights
from bench.results.schema import digest
from bench.training.data import Decoded, as_input, centres
from bench.training.start.principal_components import principal_components
from bench.training.start.transfer import FREEZE_EXCEPT, transfer
from bench.training.trainer import BEST, STATE, Trainer
from bench.variants import Variant, find_checkpoints

START_IMAGES = 64
Prepare = Callable[[nn.Module], Mapping[str, Any]]


@dataclass(frozen=True)
class Images:
    """Decoded images of a training.

    Attributes:
        training: random crops are made of them.
        held_out: crops for validation, uint8 (n, 3, crop, crop), or None.
    """

    training: Decoded
    held_out: Tensor | None = None


def from_principal_components(images: Images, crop: int, lambda_: float) -> Prepare:
    """Start the transforms from principal components of the training images."""

    def prepare(model: nn.Module) -> dict[str, Any]:
        principal_components(model, as_input(centres(images.training, crop, START_IMAGES)), lambda_)
        return {"start": "principal components of the training images"}

    return prepare


def from_weights(path: Path, told: str) -> Prepare:
    """Start from the weights of a file that fits the model; ``told`` is how the record calls it."""

    def prepare(model: nn.Module) -> dict[str, Any]:
        load_weights(model, read_weights(path), str(path))
        return {"start": told}

    return prepare


def from_other(path: Path, model_name: str, freeze: bool, told: str) -> Prepare:
    """Start from what fits of a file's weights; the rest is as initialised.

    Args:
        freeze: let what was taken over learn no longer, but for the parts that the model's entry of ``FREEZE_EXCEPT``
            names.
        told: how the record calls the file.
    """

    def prepare(model: nn.Module) -> dict[str, Any]:
        report = transfer(model, read_weights(path), freeze, FREEZE_EXCEPT.get(model_name, ()))
        print(f"start from {told}: {path}\n{report}", flush=True)
        return {"start": told, "frozen": freeze}

    return prepare


def from_scratch(model: nn.Module) -> dict[str, Any]:
    """Start from random weights."""
    return {"start": "random weights"}


def by_lambda(lambdas: tuple[float, ...]) -> list[tuple[float, float | None]]:
    """The λ in the order of training, from the largest, each with the one whose weights it starts from.

    Downwards, because a model for a high rate holds all that one for a lower rate needs.
    """
    ordered = sorted(lambdas, reverse=True)
    return list(zip(ordered, [None, *ordered[:-1]]))


def threads(number: int) -> None:
    """Let torch use ``number`` threads; 0: as it likes."""
    if number:
        torch.set_num_threads(number)


def trained(variant: Variant, lambda_: float, runs: Path) -> Path | None:
    """Weights of a variant at one λ: of its training under ``runs``, else its checkpoint."""
    folder = runs / variant.name / f"{lambda_:g}"
    here = [folder / name for name in (BEST, STATE)]
    here += [found.path for found in find_checkpoints(variant) if found.lambda_ == lambda_ and found.path]
    return next((path for path in here if path.is_file()), None)


def install(trainer: Trainer, variant: Variant) -> str:
    """Write a training's best weights to where the variant's checkpoints are; says what it did.

    A checkpoint that another training made, or nobody knows who, is left alone.
    """
    point, place = f"{trainer.job.lambda_:g}", variant.checkpoints
    target = place / f"{point}.safetensors" if isinstance(place, Path) else place.get(trainer.job.lambda_)
    best = trainer.folder / (BEST if (trainer.folder / BEST).is_file() else STATE)
    if target is None or target.suffix != ".safetensors":
        return f"the weights are in {best}; {variant.name} names no safetensors file for λ {point}"
    made_by = digest(trainer.job.as_plain())
    if target.exists() and read_note(target).get("training") != made_by:
        return f"the weights are in {best}; {target} is another training's and was left alone"
    model = create(trainer.job.model, **trainer.job.options)
    load_weights(model, read_weights(best), str(best))
    write_weights(model, target, {"training": made_by, "variant": variant.name, "lambda": point,
                                  "recipe": trainer.recipe.name, "steps": str(trainer.step)})
    return f"wrote {target}"
