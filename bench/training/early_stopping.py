"""When a training ends before its last step: by the loss, or scale by scale (LIC-HPCM-Balanced, phase 4, corrected)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from bench.training.losses import SCALES
from bench.training.recipes import Recipe
from bench.training.state import Stateful

LEAST_GAIN = 1e-4  # over the best score, in the score's unit, that counts as an improvement
# Patience grows while the mean of the latest gains over the best score lies above 0 and below a threshold: while scores
# come close to the best one, but not past it.
GAINS, FEWEST_GAINS, CLOSE_GAIN = 10, 5, 0.01
MORE_PATIENCE, LONGEST_PATIENCE = 20, 200


class EarlyStopping(Stateful):
    """Stops when the score, of which less is better, has not improved for ``patience`` scores in a row.

    The first finite score improves; one that is not finite never does.

    Attributes:
        best: the best score, None before the first finite one.
        counter: scores since then.
        stopped: whether the score has converged; stays so.

    Args:
        patience: scores without improvement that end the training.
        adaptive: whether the patience grows while scores come close to the best one.
    """

    SAVED = ("patience", "counter", "stopped", "best", "gains")

    def __init__(self, patience: float, adaptive: bool = False) -> None:
        self.adaptive = adaptive
        self.patience, self.counter, self.stopped = patience, 0, False
        self.best: float | None = None
        self.gains: list[float] = []

    def record(self, score: float) -> bool:
        """Take a score; returns whether to stop."""
        is_finite = math.isfinite(score)
        gain = math.inf if self.best is None else self.best - score
        if self.adaptive and self.best is not None and is_finite:
            self._lengthen_patience(gain)

        if is_finite and gain > LEAST_GAIN:
            self.best, self.counter = score, 0
        else:
            self.counter += 1
        self.stopped = self.stopped or self.counter >= self.patience
        return self.stopped

    def _lengthen_patience(self, gain: float) -> None:
        self.gains = [*self.gains, gain][-GAINS:]
        if len(self.gains) >= FEWEST_GAINS and 0 < sum(self.gains) / len(self.gains) < CLOSE_GAIN:
            self.patience = max(self.patience, min(self.patience + MORE_PATIENCE, LONGEST_PATIENCE))


class Stopping:
    """Early stopping as a recipe asks for it: by the loss, when the rates of all scales have converged, or never.

    Each scale has a patience of its own, and is no longer followed once it has converged.

    Args:
        recipe: says which, and how patiently.
        on_converged: called with the name of a scale when it converges, for instance to freeze its networks; and again
            when a state in which it had converged is loaded.
    """

    def __init__(self, recipe: Recipe, on_converged: Callable[[str], None] | None = None) -> None:
        self.on_converged = on_converged or (lambda scale: None)
        self.by_loss = EarlyStopping(recipe.patience or math.inf)
        self.by_scale: dict[str, EarlyStopping] = {}
        if recipe.scale_patience:
            self.by_scale = {scale: EarlyStopping(recipe.scale_patience, adaptive=True) for scale in SCALES}

    @property
    def stopped(self) -> bool:
        """Whether training is over."""
        all_converged = bool(self.by_scale) and all(rule.stopped for rule in self.by_scale.values())
        return all_converged or self.by_loss.stopped

    def record(self, validated: Mapping[str, Any]) -> None:
        """Take note of a validation; with rules by scale it must hold their rates."""
        self.by_loss.record(validated["loss"])
        for scale, rule in self.by_scale.items():
            if not rule.stopped and rule.record(validated["rates"][scale]):
                self.on_converged(scale)

    def state_dict(self) -> dict[str, Any]:
        """What to save, by rule."""
        return {"loss": self.by_loss.state_dict(),
                "scale": {scale: rule.state_dict() for scale, rule in self.by_scale.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self.by_loss.load_state_dict(state["loss"] or {})
        for scale, rule in self.by_scale.items():
            rule.load_state_dict(state["scale"][scale])
            if rule.stopped:
                self.on_converged(scale)
