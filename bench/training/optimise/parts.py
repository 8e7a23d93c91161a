"""Which parameters learn at a step, and how fast."""

from __future__ import annotations

from torch import nn, optim

from bench.training.optimise.parameter_groups import freeze_scale, layerwise, set_trainable
from bench.training.optimise.unfreezing import ProgressiveUnfreezing
from bench.training.recipes import Recipe


class Parts:
    """Parameter groups of a model: one, or by parts with a learning rate each, unfrozen as training goes on.

    Attributes:
        groups: for the optimiser; all exist from the start, so that its state can be restored at any step.
    """

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        self.model, self._frozen_scales = model, []
        self._frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
        if recipe.multipliers:
            self.groups = layerwise(model, recipe.learning_rate, recipe.multipliers)
        else:
            learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
            self.groups = [{"params": learning, "name": "all", "multiplier": 1.0}]
        self.unfreezing = ProgressiveUnfreezing(self.groups, recipe.unfreeze) if recipe.unfreeze else None

    def start_step(self, progress: float, optimiser: optim.Optimizer, learning_rate: float) -> None:
        """Set learning rates, and let learn what is due at ``progress``, 0 to 1."""
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * group["multiplier"]
        if self.unfreezing is not None and self.unfreezing.update(progress):
            set_trainable(self._frozen, False)  # which a group that begins to learn may hold
            for scale in self._frozen_scales:
                freeze_scale(self.model, scale)

    def freeze(self, scale: str) -> None:
        """Let what serves one scale only learn no longer."""
        self._frozen_scales.append(scale)
        freeze_scale(self.model, scale)
