"""What a step lowers: the sum of distortion and rate, or several tasks in balance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bench.common.errors import ConfigurationError
from bench.common.registry import Registry
from bench.training.balance.balancing import TaskBalancer
from bench.training.balance.gammas import GAMMAS
from bench.training.balance.scale_gammas import SCALE_GAMMAS
from bench.training.losses import SCALES, Losses, scale_rates
from bench.training.processes import Processes
from bench.training.recipes import Recipe

Tasks = Callable[[nn.Module, Losses, Mapping[str, Any]], dict[str, Tensor]]
TASKS: Registry[Tasks] = Registry("set of tasks")
NAMES = {"rate": ("distortion", "rate"), "scales": ("distortion", *SCALES, "z")}
FINAL_GAMMA = 0.2  # of the first, as LIC-HPCM-Balanced's command line has it


class Objective(Protocol):
    """What the trainer asks of an objective.

    Attributes:
        needs_rates: whether :meth:`record` needs the rates of the scales.
    """

    needs_rates: bool

    def start_step(self, step: int) -> None:
        """Take what a schedule gives for this step."""

    def loss(self, model: nn.Module, losses: Losses, output: Mapping[str, Any]) -> Tensor:
        """What backward() is called on."""

    def finish_step(self, again: Callable[[], tuple[Losses, Mapping[str, Any]]], model: nn.Module) -> None:
        """Learn from the losses of the same batch after the optimiser's step, which ``again`` computes."""

    def record(self, validated: Mapping[str, Any]) -> None:
        """Take note of a validation."""

    def shown(self) -> dict[str, dict[str, float]]:
        """What the log holds of it."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Total:
    """D + R, as published for HPCM."""

    needs_rates = False

    def start_step(self, step: int) -> None:
        pass

    def loss(self, model: nn.Module, losses: Losses, output: Mapping[str, Any]) -> Tensor:
        return losses.total

    def finish_step(self, again: Callable, model: nn.Module) -> None:
        pass

    def record(self, validated: Mapping[str, Any]) -> None:
        pass

    def shown(self) -> dict[str, dict[str, float]]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


@TASKS.register("rate")
def two_tasks(model: nn.Module, losses: Losses, output: Mapping[str, Any]) -> dict[str, Tensor]:
    """Distortion and rate."""
    return {"distortion": losses.distortion, "rate": losses.bpp}


@TASKS.register("scales")
def scale_tasks(model: nn.Module, losses: Losses, output: Mapping[str, Any]) -> dict[str, Tensor]:
    """Distortion, and the rates of the three scales and of z, which add up to the rate."""
    return {"distortion": losses.distortion, **scale_rates(model, output, losses.pixels)}


class OneGamma:
    """A schedule of one γ for both tasks, over the steps of a training."""

    needs_rates = False

    def __init__(self, recipe: Recipe, steps: int) -> None:
        schedule = GAMMAS.get(recipe.gamma_schedule)
        if not isinstance(recipe.gammas, (int, float)):
            raise ConfigurationError(f"the schedule '{recipe.gamma_schedule}' is of one gamma, not of"
                                     f" {len(recipe.gammas)}", "give one, or choose no schedule")
        self.rule = (schedule(steps) if recipe.gamma_schedule == "hpcm"  # which has γ of its own
                     else schedule(steps, recipe.gammas, FINAL_GAMMA * recipe.gammas))

    def at(self, step: int) -> float:
        return self.rule.value(step)

    def record(self, validated: Mapping[str, Any]) -> None:
        self.rule.record(validated["loss"])


class ScaleGamma:
    """A schedule of the γ of the three rates; those of distortion and z stay."""

    def __init__(self, recipe: Recipe, steps: int) -> None:
        same = isinstance(recipe.gammas, (int, float))
        gammas = (recipe.gammas,) * len(NAMES["scales"]) if same else recipe.gammas
        self.distortion, *scales, self.z = gammas
        self.rule = SCALE_GAMMAS.get(recipe.gamma_schedule)(steps, scales)
        self.needs_rates = recipe.gamma_schedule == "adaptive"

    def at(self, step: int) -> tuple[float, ...]:
        return self.distortion, *self.rule.values(step), self.z

    def record(self, validated: Mapping[str, Any]) -> None:
        if self.needs_rates:
            self.rule.record([validated["rates"][scale] for scale in SCALES])


SCHEDULES = {"rate": OneGamma, "scales": ScaleGamma}


class Balanced:
    """Several tasks in the balance that :class:`TaskBalancer` finds.

    Args:
        recipe: names the tasks, their γ and the schedule of γ.
        steps: steps of the whole training, over which the schedule runs.
        processes: over which losses are averaged, so that all have the same weights.
    """

    def __init__(self, recipe: Recipe, steps: int, processes: Processes) -> None:
        self.tasks_of, self.processes = TASKS.get(recipe.tasks), processes
        self.names = NAMES[recipe.tasks]
        self.balancer = TaskBalancer(self.names, recipe.gammas, recipe.weight_rate,
                                     modulation=recipe.modulation or None)
        self.schedule = SCHEDULES[recipe.tasks](recipe, steps) if recipe.gamma_schedule else None
        self.needs_rates = self.schedule is not None and self.schedule.needs_rates
        self.latest: dict[str, float] = {}

    def start_step(self, step: int) -> None:
        if self.schedule is not None:
            self.balancer.gammas = self.schedule.at(step)

    def loss(self, model: nn.Module, losses: Losses, output: Mapping[str, Any]) -> Tensor:
        values = torch.stack(list(self.tasks_of(model, losses, output).values()))
        return self.balancer.objective(values, self.processes.mean(values))

    def finish_step(self, again: Callable[[], tuple[Losses, Mapping[str, Any]]], model: nn.Module) -> None:
        losses, output = again()
        values = self.processes.mean(torch.stack(list(self.tasks_of(model, losses, output).values())))
        self.balancer.update(values)
        self.latest = dict(zip(self.names, values.tolist()))

    def record(self, validated: Mapping[str, Any]) -> None:
        if self.schedule is not None:
            self.schedule.record(validated)

    def shown(self) -> dict[str, dict[str, float]]:
        gammas = [float(gamma) for gamma in self.balancer.gammas]
        return {"weights": dict(zip(self.names, self.balancer.weights().tolist())),
                "gammas": dict(zip(self.names, gammas)), "tasks": self.latest}

    def state_dict(self) -> dict[str, Any]:
        schedule = self.schedule.rule.state_dict() if self.schedule is not None else {}
        return {"balancer": self.balancer.state_dict(), "schedule": schedule, "latest": self.latest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.balancer.load_state_dict(state["balancer"])
        self.latest = state["latest"]
        if self.schedule is not None:
            self.schedule.rule.load_state_dict(state["schedule"])


def objective_of(recipe: Recipe, steps: int, processes: Processes) -> Objective:
    """The objective that a recipe names."""
    return Total() if recipe.tasks == "total" else Balanced(recipe, steps, processes)
