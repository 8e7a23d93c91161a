"""How models are trained: recipes, a table of them by name, and jobs, which say what is trained by one.

``standard`` is the published training of HPCM; ``balanced_phase1`` to ``balanced_phase4`` are those of
LIC-HPCM-Balanced, in their corrected form.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bench.common.errors import ConfigurationError
from bench.common.registry import Registry

# Published learning rates by epoch, as fractions of the training and of the first rate.
STEPS_AT = (2750 / 3001, 2850 / 3001, 2950 / 3001)
STEP_FACTORS = {"official": (0.3, 0.1, 0.01), "official_phase2": (0.3, 0.1, 0.02)}

OPTIMISERS = ("adam", "cautious")
SCHEDULES = (*STEP_FACTORS, "cosine", "constant")
FINE_TUNING = {"balanced_phase4": "balanced_phase3"}  # recipe that starts from trained weights: what trains these
TASKS = ("total", "rate", "scales")


@dataclass(frozen=True)
class Recipe:
    """How to train, apart from model, λ, data and seed.

    Attributes:
        name: its name in the table.
        steps: optimiser steps; 0: what ``epochs`` are with the given images.
        epochs: passes over the data, one crop an image.
        batch, crop: crops in a step over all processes, side of a crop in pixels.
        optimiser: "adam" or "cautious".
        learning_rate: first learning rate.
        schedule: "official" (steps down to 30, 10 and 1 % at 92, 95 and 98 % of the training), "official_phase2" (the
            same with 2 % at last), "cosine" (half a cosine down to a hundredth) or "constant".
        warmup: steps over which the learning rate rises.
        clip: largest norm of the gradient, 0 for none. A step whose norm is not finite is skipped.
        tasks: "total" (D + R), "rate" (D and R balanced) or "scales" (D and the rates of s1, s2, s3 and z balanced).
        gammas: regulariser of each task's logit, or one number for all.
        gamma_schedule: name of a schedule of gammas, empty for none.
        weight_rate: learning rate of the tasks' logits.
        modulation: weights of the tasks in the objective, empty for none.
        multipliers: learning rate of groups of parameters over ``learning_rate``; 0 freezes.
        unfreeze: (fraction of the training, groups) that learn from then on; empty: all from the start.
        patience: validations without a better loss after which training ends; 0: never.
        scale_patience: the same for the rate of each scale, and training ends when all three have converged; it
            grows while a scale comes close to its best. 0: never.
        freeze_converged: let the parts of a scale that has converged stop learning.
        half: compute the transforms in bfloat16; latents, entropy model and loss stay float32.
    """

    name: str = "standard"
    steps: int = 0
    epochs: int = 3001
    batch: int = 32
    crop: int = 256
    optimiser: str = "adam"
    learning_rate: float = 1e-4
    schedule: str = "official"
    warmup: int = 0
    clip: float = 1.0
    tasks: str = "total"
    gammas: float | tuple[float, ...] = 0.003
    gamma_schedule: str = ""
    weight_rate: float = 0.025
    modulation: tuple[float, ...] = ()
    multipliers: Mapping[str, float] = field(default_factory=dict)
    unfreeze: tuple[tuple[float, tuple[str, ...]], ...] = ()
    patience: int = 0
    scale_patience: int = 0
    freeze_converged: bool = False
    half: bool = False

    def __post_init__(self) -> None:
        positive = {"batch": self.batch, "crop": self.crop, "learning_rate": self.learning_rate,
                    "steps or epochs": self.steps or self.epochs, "weight_rate": self.weight_rate}
        if wrong := [f"{name} {value}" for name, value in positive.items() if not 0 < value < math.inf]:
            raise ConfigurationError(f"recipe {self.name}: {', '.join(wrong)}", "it must be positive")
        negative = {"steps": self.steps, "warmup": self.warmup, "clip": self.clip, "patience": self.patience}
        if wrong := [f"{name} {value}" for name, value in negative.items() if not 0 <= value < math.inf]:
            raise ConfigurationError(f"recipe {self.name}: {', '.join(wrong)}", "it must be positive, or 0 for none")
        for what, value, known in (("optimiser", self.optimiser, OPTIMISERS), ("schedule", self.schedule, SCHEDULES),
                                   ("set of tasks", self.tasks, TASKS)):
            if value not in known:
                raise ConfigurationError(f"recipe {self.name}: there is no {what} '{value}'",
                                         f"known: {', '.join(known)}")

    def with_(self, **changes: Any) -> Recipe:
        """The same recipe with other values; what is None stays."""
        return replace(self, **{key: value for key, value in changes.items() if value is not None})


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
        else:
            steps = zip(STEPS_AT, STEP_FACTORS.get(recipe.schedule, ()))
            factor = next((value for start, value in reversed(list(steps)) if progress >= start), 1.0)
        return recipe.learning_rate * rise * factor

    def as_plain(self) -> dict[str, Any]:
        """JSON data, equal for equal jobs whatever file they came from; of the recipe, what differs from the usual."""
        usual = asdict(Recipe())
        recipe = {key: value for key, value in asdict(self.recipe).items() if value != usual[key]}
        return json.loads(json.dumps({**asdict(self), "recipe": recipe}))


_PHASE1 = Recipe("balanced_phase1", optimiser="cautious", tasks="rate", batch=16, learning_rate=5e-5)
RECIPES: Registry[Recipe] = Registry("recipe", {recipe.name: recipe for recipe in (
    Recipe(),
    _PHASE1,
    _PHASE1.with_(name="balanced_phase2", gamma_schedule="cosine", schedule="official_phase2"),
    # γ of D, s1, s2, s3, z: the published ones of the three scales, and Phase 1's for D and z, which have none.
    _PHASE1.with_(name="balanced_phase3", tasks="scales", schedule="constant", gamma_schedule="hierarchical",
                  gammas=(0.003, 0.008, 0.006, 0.004, 0.003)),
    Recipe("balanced_phase4", epochs=500, batch=16, learning_rate=1e-5, schedule="constant", scale_patience=50,
           multipliers={"g_a": 1, "g_s": 1, "h_a": 0.5, "h_s": 0.5, "context": 0.1, "entropy": 0.5},
           unfreeze=((0.2, ("h_a", "h_s", "entropy")), (0.4, ("context",)))),
)})
