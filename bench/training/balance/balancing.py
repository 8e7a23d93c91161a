"""Balancing of several losses: FAMO (arXiv 2306.03792) as in LIC-HPCM-Balanced, after arXiv 2502.20161.

Task i has the loss L_i, the minimum m_i, the logit w_i and the weight z = softmax(w). With D_i = L_i - m_i + ε a step
lowers J = Σ q_i ln(D_i) / c, where q is z (or z times a modulation, over its sum) and c = Σ q_i / D_i is a constant.
Its gradient is thus a convex combination Σ p_i ∇L_i with p_i = q_i / (D_i c). After the step, tasks that improved fast
lose weight.

For distortion λ·E and rate R this is ordinary training at the multiplier λ·p_D / p_R, which drifts with the weights.
With m = 0 a factor of a loss cancels, so that λ would have no influence at all; hence m = -1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from bench.common.errors import BenchError, ConfigurationError
from bench.training.state import Stateful

EPSILON = 1e-8  # of the logarithms and of the logits' Adam
BETAS = (0.9, 0.999)


class LossBelowMinimum(BenchError):
    """A loss is not above its minimum, so that its logarithm does not exist."""


class TaskBalancer(Stateful):
    """Weights of named tasks, learnt while training.

    All arithmetic but the gradient is in float64 on the CPU. With losses on a GPU, ``objective`` and ``update`` wait
    for them: a loss below its minimum has to be seen before it spoils weights and parameters.

    Args:
        tasks: names of two or more, in the order of the losses.
        gammas: pull of each logit towards 0, or one number for all.
        learning_rate: of the logits' Adam, about what a logit moves in a step.
        modulation: factors of the weights in the objective (not in the update of the logits), by task; None: all 1.

    Attributes:
        gammas: of each task, float64 (K,).

    Raises:
        ConfigurationError: a number is missing, not finite or negative.
    """

    SAVED = ("logits", "first", "second", "updates", "previous")
    minimum: float | Tensor = -1.0  # m; all losses must stay above

    def __init__(
        self,
        tasks: Sequence[str],
        gammas: float | Sequence[float] = 0.001,
        learning_rate: float = 0.025,
        modulation: Sequence[float] | None = None,
    ) -> None:
        self.tasks, self.learning_rate = tuple(tasks), learning_rate
        self.gammas = self._by_task("gammas", gammas)
        self.modulation = self._by_task("modulation", 1.0 if modulation is None else modulation)
        if not self.modulation.sum() > 0:
            raise ConfigurationError("a modulation of zeros leaves no task")
        self.logits, self.first, self.second = torch.zeros(3, len(self.tasks), dtype=torch.float64)
        self.updates = 0
        self.previous: Tensor | None = None  # losses of the last objective

    def weights(self) -> Tensor:
        """Weights of the tasks, z, float64 (K,): positive, of sum 1."""
        return self.logits.softmax(0)

    def objective(self, losses: Tensor, mean: Tensor | None = None) -> Tensor:
        """Return J, a scalar whose gradient is Σ p_i ∇L_i, and remember the losses for :meth:`update`.

        Args:
            losses: (K,), with gradient.
            mean: losses averaged over all processes, if there are several: p and J are then of these, so that
                gradients averaged over processes are those of one process with all their crops.

        Losses that are not finite give a J and a gradient that are NaN, and are not remembered.

        Raises:
            LossBelowMinimum: a loss is not above its minimum.
        """
        known = _detach(losses if mean is None else mean)
        self.previous = None
        if not known.isfinite().all():
            return losses.sum() * math.nan

        distances = self._measure_distances(known)
        q = self.weights() * self.modulation
        q = q / q.sum()
        normalisation = (q / distances).sum()

        value = float((q * distances.log()).sum() / normalisation)
        linear = (losses * (q / distances / normalisation).to(losses)).sum()
        self.previous = known
        return linear - linear.detach() + value

    def update(self, losses: Tensor) -> None:
        """Move the logits, given the losses (K,) of the same batch after the step of the parameters.

        Nothing happens before the first objective, or when losses are not finite.

        Raises:
            LossBelowMinimum: a loss is not above its minimum.
        """
        losses = _detach(losses)
        if self.previous is None or not losses.isfinite().all():
            return

        gained = self._measure_distances(self.previous).log() - self._measure_distances(losses).log()
        z = self.weights()
        gradient = z * (gained - (z * gained).sum()) + self.gammas * self.logits

        self.updates += 1
        self.first = BETAS[0] * self.first + (1 - BETAS[0]) * gradient
        self.second = BETAS[1] * self.second + (1 - BETAS[1]) * gradient**2
        first, second = (moment / (1 - beta**self.updates)
                         for moment, beta in zip((self.first, self.second), BETAS))
        self.logits = self.logits - self.learning_rate * first / (second.sqrt() + EPSILON)

    def _measure_distances(self, losses: Tensor) -> Tensor:
        losses = _detach(losses)
        if (low := losses <= self.minimum).any():
            named = ", ".join(f"{task} {loss:.6g}" for task, loss, is_low in zip(self.tasks, losses.tolist(), low)
                              if is_low)
            raise LossBelowMinimum(f"losses that are balanced must stay above their minimum, {self.minimum}: {named}")
        return losses - self.minimum + EPSILON

    def _by_task(self, name: str, values: float | Sequence[float]) -> Tensor:
        numbers = torch.as_tensor(values, dtype=torch.float64)
        if numbers.ndim == 0:
            numbers = numbers.expand(len(self.tasks))
        if numbers.shape != (len(self.tasks),) or not (numbers.isfinite() & (numbers >= 0)).all():
            raise ConfigurationError(f"{name} must be {len(self.tasks)} finite numbers not below 0, for"
                                     f" {', '.join(self.tasks)}, not {numbers.tolist()}")
        return numbers.clone()


def _detach(losses: Tensor) -> Tensor:
    """A copy in float64 on the CPU, without gradient."""
    return losses.detach().cpu().to(torch.float64, copy=True)
