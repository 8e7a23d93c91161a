"""What a search of hyper-parameters tries: values of a recipe's numbers at one λ."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.common.errors import ConfigurationError
from bench.common.hashing import digest_json
from bench.training.recipes import Job

if TYPE_CHECKING:
    from torch import Tensor

GRID, TPE = "grid", "tpe"
FIELDS = {"gamma": "gammas", "weight_rate": "weight_rate", "learning_rate": "learning_rate"}  # of Recipe, by parameter
PUBLISHED_GRID = {"gamma": (0.001, 0.003, 0.005, 0.01), "weight_rate": (0.01, 0.025, 0.05)}  # of LIC-HPCM-Balanced


@dataclass(frozen=True)
class SearchPlan:
    """What is searched at one λ, and how.

    Attributes:
        variant: its name, for records.
        job: the training with the recipe's own values; its ``steps`` are known.
        values: of each searched parameter: the points of a grid, or the ends of a range ("tpe" draws between the
            smallest and the largest, evenly in the logarithm).
        sampler: "grid" or "tpe".
        validate_every: steps between validations, after each of which a trial may be given up.
        prune_after: share of the steps before which no trial is given up; 1: none ever is.

    Raises:
        ConfigurationError: something of it makes no sense.
    """

    variant: str
    job: Job
    values: Mapping[str, Sequence[float]]
    sampler: str = GRID
    validate_every: int = 500
    prune_after: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.prune_after <= 1:
            raise ConfigurationError("there must be a share from 0 to 1 of the steps before trials are given up, not"
                                     f" {self.prune_after}")
        if not self.values:
            raise ConfigurationError("there is nothing to search", f"give values of {', '.join(FIELDS)}")
        for name, numbers in self.values.items():
            if not all(0 < number < math.inf for number in numbers):
                raise ConfigurationError(f"values of {name} must be above 0, not {list(numbers)}")

        recipe = self.job.recipe
        if recipe.tasks == "total" and {"gamma", "weight_rate"} & set(self.values):
            raise ConfigurationError(f"the recipe {recipe.name} balances no tasks, so gamma and weight_rate do nothing",
                                     "choose a balanced recipe, or search learning_rate alone")
        if recipe.gamma_schedule == "hpcm" and len(set(self.values.get("gamma", ()))) > 1:
            raise ConfigurationError("the schedule of gamma 'hpcm' has values of its own",
                                     "choose another, or no gamma")

    @property
    def own_values(self) -> dict[str, float]:
        """What the recipe itself says of the searched parameters."""
        recipe = self.job.recipe
        own = {name: getattr(recipe, FIELDS[name]) for name in self.values}
        return {name: float(value[0] if isinstance(value, Sequence) else value) for name, value in own.items()}

    def identify_training(self, held_out: Tensor) -> str:
        """Digest of all that trials must share so that their losses can be compared."""
        plain = self.job.as_plain()
        for name in ("name", *(FIELDS[name] for name in self.values)):
            plain["recipe"].pop(name, None)
        del plain["seed"]
        return digest_json({**plain, "held_out": hashlib.sha256(held_out.numpy().tobytes()).hexdigest()})

    def identify_search(self, held_out: Tensor) -> dict[str, Any]:
        """What a search's folder is made for, as JSON data."""
        values = {name: sorted(set(values)) if self.sampler == GRID else [min(values), max(values)]
                  for name, values in self.values.items()}
        return {"training": self.identify_training(held_out), "own": self.own_values, "seed": self.job.seed,
                "sampler": self.sampler, "values": values}

    def job_with(self, values: Mapping[str, float]) -> Job:
        """The training with these values. "gamma" is the first task's where each has its own; all keep their ratios."""
        recipe = self.job.recipe
        changes: dict[str, Any] = {FIELDS[name]: value for name, value in values.items()}
        if "gamma" in values and isinstance(recipe.gammas, Sequence):
            changes["gammas"] = tuple(gamma * values["gamma"] / recipe.gammas[0] for gamma in recipe.gammas)
        return replace(self.job, recipe=recipe.with_(**changes))
