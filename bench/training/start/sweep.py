"""A variant at all its λ, and where each training starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.models.checkpoints import load_weights, read_weights
from bench.training.data import Decoded, as_input, crop_centres
from bench.training.start.principal_components import principal_components
from bench.training.start.transfer import FREEZE_EXCEPT, transfer
from bench.training.trainer import BEST, STATE
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
        principal_components(model, as_input(crop_centres(images.training, crop, START_IMAGES)), lambda_)
        return {"start": "principal components of the training images"}

    return prepare


def from_weights(path: Path, name: str) -> Prepare:
    """Start from the weights of a file that fits the model; ``name`` is how the record calls it."""

    def prepare(model: nn.Module) -> dict[str, Any]:
        load_weights(model, read_weights(path), str(path))
        return {"start": name}

    return prepare


def from_other(path: Path, model_name: str, freeze: bool, name: str) -> Prepare:
    """Start from what fits of a file's weights; the rest is as initialised.

    Args:
        freeze: let what was taken over learn no longer, but for the parts that the model's entry of ``FREEZE_EXCEPT``
            names.
        name: how the record calls the file.
    """

    def prepare(model: nn.Module) -> dict[str, Any]:
        report = transfer(model, read_weights(path), freeze, FREEZE_EXCEPT.get(model_name, ()))
        print(f"start from {name}: {path}\n{report}", flush=True)
        return {"start": name, "frozen": freeze}

    return prepare


def from_scratch(model: nn.Module) -> dict[str, Any]:
    """Start from random weights."""
    return {"start": "random weights"}


def order_lambdas(lambdas: tuple[float, ...]) -> list[tuple[float, float | None]]:
    """The λ in the order of training, from the largest, each with the one whose weights it starts from.

    Downwards, because a model for a high rate holds all that one for a lower rate needs.
    """
    ordered = sorted(lambdas, reverse=True)
    return list(zip(ordered, [None, *ordered[:-1]]))


def set_threads(number: int) -> None:
    """Let torch use ``number`` threads; 0: as it likes."""
    if number:
        torch.set_num_threads(number)


def find_trained_weights(variant: Variant, lambda_: float, runs: Path) -> Path | None:
    """Weights of a variant at one λ: of its training under ``runs``, else its checkpoint."""
    folder = runs / variant.name / f"{lambda_:g}"
    here = [folder / name for name in (BEST, STATE)]
    here += [checkpoint.path for checkpoint in find_checkpoints(variant)
             if checkpoint.lambda_ == lambda_ and checkpoint.path]
    return next((path for path in here if path.is_file()), None)
