"""When a training ends before its last step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.training.early_stopping import AdaptivePatience, EarlyStopping, ScaleEarlyStopping
from bench.training.losses import SCALES
from bench.training.optimise.parts import Parts
from bench.training.recipes import Recipe


class Stopping:
    """Early stopping as a recipe asks for it: by the loss, by the rates of the scales, or never."""

    def __init__(self, recipe: Recipe, parts: Parts) -> None:
        self.by_loss = EarlyStopping(recipe.patience) if recipe.patience else None
        self.by_scale = ScaleEarlyStopping(
            SCALES, recipe.scale_patience, adaptive=AdaptivePatience(),
            on_converged=parts.freeze if recipe.freeze_converged else None) if recipe.scale_patience else None

    @property
    def needs_rates(self) -> bool:
        return self.by_scale is not None

    @property
    def ends(self) -> bool:
        """Whether training is over."""
        return any(rule is not None and rule.stopped for rule in (self.by_loss, self.by_scale))

    def record(self, step: int, validated: Mapping[str, Any]) -> None:
        """Take note of a validation."""
        if self.by_loss is not None:
            self.by_loss.step(step, validated["loss"])
        if self.by_scale is not None:
            self.by_scale.step(step, validated["rates"])

    def state_dict(self) -> dict[str, Any]:
        return {"loss": self.by_loss and self.by_loss.state_dict(),
                "scale": self.by_scale and self.by_scale.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for rule, saved in ((self.by_loss, state["loss"]), (self.by_scale, state["scale"])):
            if rule is not None:
                rule.load_state_dict(saved)
