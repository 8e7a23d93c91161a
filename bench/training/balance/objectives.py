"""What a step lowers: the sum of distortion and rate, or several tasks in balance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.training.balance.balancing import TaskBalancer
from bench.training.balance.gammas import GammaSchedule, make_gamma_schedule
from bench.training.losses import SCALES, Losses, scale_rates
from bench.training.processes import Processes
from bench.training.recipes import Recipe
from bench.training.state import Stateful

TASK_NAMES = {"rate": ("distortion", "rate"), "scales": ("distortion", *SCALES, "z")}


class Objective(Stateful):
    """D + R, as published for HPCM, and what the trainer asks of any objective.

    Attributes:
        needs_rates: whether :meth:`record` needs the rates of the scales.
    """

    needs_rates = False

    def start_step(self, step: int) -> None:
        """Take what a schedule gives for this step."""

    def loss(self, model: nn.Module, losses: Losses, output: Mapping[str, Any]) -> Tensor:
        """What backward() is called on."""
        return losses.total

    def finish_step(self, compute_again: Callable[[], tuple[Losses, Mapping[str, Any]]], model: nn.Module) -> None:
        """Learn from the losses of the same batch after the optimiser's step, which ``compute_again`` gives."""

    def record(self, validated: Mapping[str, Any]) -> None:
        """Take note of a validation."""

    def logged(self) -> dict[str, dict[str, float]]:
        """What the log holds of it."""
        return {}


class BalancedObjective(Objective):
    """Several tasks in the balance that :class:`TaskBalancer` finds: D and R, or D, the rates of the scales and of z.

    Args:
        recipe: names the tasks, their γ and the schedule of γ.
        steps: steps of the whole training, over which the schedule runs.
        processes: over which losses are averaged, so that all have the same weights.
    """

    SAVED = ("balancer", "schedule", "latest")

    def __init__(self, recipe: Recipe, steps: int, processes: Processes) -> None:
        self.tasks, self.processes = TASK_NAMES[recipe.tasks], processes
        self.balancer = TaskBalancer(self.tasks, recipe.gammas, recipe.weight_rate,
                                     modulation=recipe.modulation or None)
        gammas = tuple(self.balancer.gammas.tolist())
        self.schedule = (make_gamma_schedule(recipe, steps) if recipe.gamma_schedule
                         else GammaSchedule(steps, gammas, gammas))
        self.needs_rates = self.schedule.needs_rates
        self.latest: dict[str, float] = {}

    def start_step(self, step: int) -> None:
        self.balancer.gammas = torch.tensor(self.schedule.values(step), dtype=torch.float64)

    def loss(self, model: nn.Module, losses: Losses, output: Mapping[str, Any]) -> Tensor:
        values = self._task_losses(model, losses, output)
        return self.balancer.objective(values, self.processes.mean(values))

    @torch.no_grad()
    def finish_step(self, compute_again: Callable[[], tuple[Losses, Mapping[str, Any]]], model: nn.Module) -> None:
        values = self.processes.mean(self._task_losses(model, *compute_again()))
        self.balancer.update(values)
        self.latest = dict(zip(self.tasks, values.tolist()))

    def _task_losses(self, model: nn.Module, losses: Losses, output: Mapping[str, Any]) -> Tensor:
        """Losses of the tasks, (K,)."""
        rates = [losses.bpp]
        if self.tasks == TASK_NAMES["scales"]:
            rates = list(scale_rates(model, output, losses.pixels).values())
        return torch.stack([losses.distortion, *rates])

    def record(self, validated: Mapping[str, Any]) -> None:
        self.schedule.record(validated)

    def logged(self) -> dict[str, dict[str, float]]:
        return {"weights": dict(zip(self.tasks, self.balancer.weights().tolist())),
                "gammas": dict(zip(self.tasks, self.balancer.gammas.tolist())), "tasks": self.latest}


def make_objective(recipe: Recipe, steps: int, processes: Processes) -> Objective:
    """The objective that a recipe names."""
    return Objective() if recipe.tasks == "total" else BalancedObjective(recipe, steps, processes)
