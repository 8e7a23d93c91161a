"""Catches trainings whose numbers get out of hand, before they spoil what was saved."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.common.errors import EXIT_INCOMPLETE, BenchError
from bench.training.state import Stateful

MOST_SKIPPED = 20  # steps in a row
GROWTH = 10.0  # of a mean loss over the least one so far


class TrainingDiverged(BenchError):
    """A training's loss is no longer a number, or has grown out of bounds."""


def make_divergence(message: str, state: Path) -> TrainingDiverged:
    """The error, with what to do about it; ``state`` is where the last good state would be."""
    kept = f"the last good state is {state}" if state.exists() else "no state was saved yet"
    return TrainingDiverged(message, f"{kept}; go on with a lower learning rate or a stronger clip of the gradient"
                            " (--learning-rate, --clip) in another folder, with --start", EXIT_INCOMPLETE)


class Guard(Stateful):
    """Counts skipped steps and watches loss and weights.

    Args:
        state: where the last good state is, for messages.
    """

    SAVED = ("skipped", "in_a_row", "least")

    def __init__(self, state: Path) -> None:
        self.state = state
        self.skipped, self.in_a_row, self.least = 0, 0, math.inf

    def allows_step(self, norm: Tensor) -> bool:
        """Whether a step with this norm of the gradient may be taken.

        Raises:
            TrainingDiverged: twenty in a row may not.
        """
        if torch.isfinite(norm):
            self.in_a_row = 0
            return True
        self.skipped, self.in_a_row = self.skipped + 1, self.in_a_row + 1
        if self.in_a_row >= MOST_SKIPPED:
            raise make_divergence(f"the gradient was not finite in {MOST_SKIPPED} steps in a row", self.state)
        return False

    def check_loss(self, step: int, loss: float, model: nn.Module) -> None:
        """Check the mean loss up to ``step``; single steps that were skipped may spoil it, weights may not.

        Raises:
            TrainingDiverged: a weight is not finite, or the loss is ten times the least so far.
        """
        if not math.isfinite(loss):
            self.check_weights(model)
            return
        if loss > GROWTH * self.least:
            raise make_divergence(f"the loss has grown to {loss:.4g} at step {step}; it was {self.least:.4g}",
                                  self.state)
        self.least = min(self.least, loss)

    def check_weights(self, model: nn.Module) -> None:
        """Check that all weights are finite.

        Raises:
            TrainingDiverged: one is not.
        """
        if bad := [name for name, value in model.named_parameters() if not torch.isfinite(value).all()]:
            raise make_divergence(f"weights are no longer finite: {', '.join(bad[:5])}", self.state)
