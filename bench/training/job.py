"""What is trained: model, λ, seed and recipe, as plain data that is stored with the training's state."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.common.errors import ConfigurationError
from bench.training.recipes import STEP_FACTORS, STEPS_AT, Recipe


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        model, options: what :func:`bench.models.create` builds.
        lambda_: weight of distortion.
        recipe: how to train; its ``steps`` are known.
        metric: "mse" or "ms-ssim".
        seed: of weights, crops and noise.
    """

    model: str
    lambda_: float
    recipe: Recipe
    options: Mapping[str, Any] = field(default_factory=dict)
    metric: str = "mse"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.lambda_ < math.inf:
            raise ConfigurationError(f"λ must be positive, not {self.lambda_:g}")

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step before the multipliers of groups."""
        recipe = self.recipe
        rise = min(1.0, (step + 1) / max(1, recipe.warmup))
        progress = step / recipe.steps
        if recipe.schedule == "cosine":
            factor = 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2
        elif recipe.schedule in STEP_FACTORS:
            steps = zip(STEPS_AT, STEP_FACTORS[recipe.schedule])
            factor = next((value for start, value in reversed(list(steps)) if progress >= start), 1.0)
        else:
            factor = 1.0
        return recipe.learning_rate * rise * factor

    def as_plain(self) -> dict[str, Any]:
        """JSON data, equal for equal jobs whatever file they came from; of the recipe, what differs from the usual."""
        usual = asdict(Recipe())
        recipe = {key: value for key, value in asdict(self.recipe).items() if value != usual[key]}
        return json.loads(json.dumps({**asdict(self), "recipe": recipe}))
