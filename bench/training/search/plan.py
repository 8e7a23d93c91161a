"""What a search of hyper-parameters tries: values of a recipe's numbers at one λ."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from bench.common.errors import ConfigurationError
from bench.results.schema import digest
from bench.training.job import Job
from bench.training.recipes import Recipe

GRID, TPE = "grid", "tpe"
FIELDS = {"gamma": "gammas", "weight_rate": "weight_rate", "learning_rate": "learning_rate"}  # of Recipe, by parameter
PUBLISHED = {"gamma": (0.001, 0.003, 0.005, 0.01), "weight_rate": (0.01, 0.025, 0.05)}  # of LIC-HPCM-Balanced


@dataclass(frozen=True)
class Plan:
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
        _check_values(self.values, self.job.recipe)
        if self.sampler not in (GRID, TPE):
            raise ConfigurationError(f"there is no sampler '{self.sampler}'", f"known: {GRID}, {TPE}")
        if not 0 <= self.prune_after <= 1 or self.validate_every < 1:
            raise ConfigurationError("there must be a step or more between validations, and a share from 0 to 1 before"
                                     f" trials are given up, not {self.validate_every} and {self.prune_after}")

    @property
    def points(self) -> int:
        """How many trials make the grid."""
        return math.prod(len(set(values)) for values in self.values.values())

    def training(self, held_out: Tensor) -> str:
        """Digest of all that trials must share so that their losses can be compared."""
        plain = self.job.as_plain()
        searched = {"name", *(FIELDS[name] for name in self.values)}
        recipe = {key: value for key, value in plain.pop("recipe").items() if key not in searched}
        plain.pop("seed")
        return digest({**plain, "recipe": recipe, "held_out": hashlib.sha256(held_out.numpy().tobytes()).hexdigest()})

    def settings(self, held_out: Tensor) -> dict:
        """What a search's folder is made for, as JSON data."""
        values = {name: sorted(set(values)) if self.sampler == GRID else [min(values), max(values)]
                  for name, values in self.values.items()}
        return {"training": self.training(held_out), "own": self.own(), "seed": self.job.seed,
                "sampler": self.sampler, "values": values}

    def own(self) -> dict[str, float]:
        """What the recipe itself says of the searched parameters."""
        return own_values(self.job.recipe, list(self.values))

    def job_with(self, values: Mapping[str, float]) -> Job:
        """The training with these values."""
        return replace(self.job, recipe=with_values(self.job.recipe, values))


def _check_values(values: Mapping[str, Sequence[float]], recipe: Recipe) -> None:
    if unknown := sorted(set(values) - set(FIELDS)):
        raise ConfigurationError(f"can't search {', '.join(unknown)}", f"parameters: {', '.join(FIELDS)}")
    for name, numbers in values.items():
        if not numbers or not all(0 < number < math.inf for number in numbers):
            raise ConfigurationError(f"values of {name} must be above 0, not {list(numbers)}")
    if not values:
        raise ConfigurationError("there is nothing to search", f"give values of {', '.join(FIELDS)}")
    if recipe.tasks == "total" and {"gamma", "weight_rate"} & set(values):
        raise ConfigurationError(f"the recipe {recipe.name} balances no tasks, so gamma and weight_rate do nothing",
                                 "choose a balanced recipe, or search learning_rate alone")
    if recipe.gamma_schedule == "hpcm" and len(set(values.get("gamma", ()))) > 1:
        raise ConfigurationError("the schedule of gamma 'hpcm' has values of its own", "choose another, or no gamma")


def own_values(recipe: Recipe, names: Sequence[str]) -> dict[str, float]:
    """What a recipe itself says of the parameters called ``names``."""
    gamma = recipe.gammas[0] if isinstance(recipe.gammas, tuple) else recipe.gammas
    return {name: float(gamma if name == "gamma" else getattr(recipe, name)) for name in names}


def with_values(recipe: Recipe, values: Mapping[str, float]) -> Recipe:
    """The recipe with other values. Where each task has its γ, "gamma" is the first's, and all keep their ratios."""
    changes = {FIELDS[name]: value for name, value in values.items()}
    if "gamma" in values and isinstance(own := recipe.gammas, tuple):
        changes["gammas"] = tuple(one * values["gamma"] / own[0] for one in own)
    return recipe.with_(**changes)
