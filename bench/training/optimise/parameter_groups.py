"""Parameters of the HPCM family in named groups: a learning rate for each, and unfreezing one after another.

Groups follow the published fine-tuning of LIC-HPCM-Balanced, but go by the first part of a name. The published
patterns match anywhere in it and leave all of the context model but ``context_net`` to no group at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn, optim

from bench.common.errors import ConfigurationError
from bench.models.context import STEPS
from bench.models.weight_names import PREFIX
from bench.training.losses import SCALES
from bench.training.recipes import Recipe

OTHER = "other"
PREFIXES = {  # group to how the names of its parts start, over all variants of the family
    "g_a": ("g_a",),
    "g_s": ("g_s",),
    "h_a": ("h_a",),
    "h_s": ("h_s",),
    "context": (
        "y_spatial_prior", "attn_", "context_net", "adaptive_params_list", "memory_", "hierarchical_manager",
        "ll_context", "freq_attention", "channel_gate", "param_aggregator", "enhanced_context", "multi_res_builder",
        "adaptive_quant",
    ),
    "entropy": ("means_hyper", "scales_hyper"),
}
GROUPS = (*PREFIXES, OTHER)
FIRST_TO_LEARN = ("g_a", "g_s")  # of a training that unfreezes other groups later


def group_of(name: str) -> str:
    """Return the group of a parameter; ``OTHER`` for parts that the family does not have."""
    bare = name.removeprefix(PREFIX)
    return next((group for group, prefixes in PREFIXES.items() if bare.startswith(prefixes)), OTHER)


def scale_of(name: str) -> str | None:
    """Return the scale (s1 to s3) whose coding alone a parameter of the context model serves, else None.

    The prior that scales 1 and 2 share serves neither alone. Scales and steps: HPCM, arXiv 2507.19125.
    """
    part, _, rest = name.removeprefix(PREFIX).partition(".")
    if part in ("y_spatial_prior_s3", "y_spatial_prior_s1_s2"):
        return "s3" if part == "y_spatial_prior_s3" else None
    if part.startswith(("y_spatial_prior_adaptor_list_", "attn_", "memory_bank_")):
        return part.rpartition("_")[2]
    if part == "context_net":  # on the way into scales 2 and 3
        return SCALES[int(rest.partition(".")[0]) + 1]
    if part == "adaptive_params_list":  # one vector a predicted step: all steps but the very first
        step = int(rest) + 1
        return next(scale for number, scale in enumerate(SCALES) if step < sum(STEPS[: number + 1]))
    return None


def set_trainable(parameters: Iterable[nn.Parameter], trainable: bool) -> None:
    """Let gradients of ``parameters`` be computed, or not; what is frozen forgets the gradient it has."""
    for parameter in parameters:
        parameter.requires_grad_(trainable)
        if not trainable:
            parameter.grad = None  # else the optimiser would go on with it


def freeze_scale(model: nn.Module, scale: str) -> None:
    """Freeze what serves the coding of one scale only.

    A scale of which the model has no parts of its own (z, whose transforms serve all) is left as it is.
    """
    set_trainable((p for name, p in model.named_parameters() if scale_of(name) == scale), False)


def make_parameter_groups(
    model: nn.Module, learning_rate: float, multipliers: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Return the parameter groups of an optimiser, one for each group of which the model has parameters.

    All parameters are in a group, frozen ones too, so that they can be unfrozen later: optimisers skip what has no
    gradient.

    Args:
        model: whose parameters.
        learning_rate: that of multiplier one.
        multipliers: of groups by name, 1 where absent; groups of 0 are frozen.

    Returns:
        Dictionaries with ``name``, ``params``, ``lr`` and ``multiplier``.

    Raises:
        ConfigurationError: an unknown group, a multiplier below zero, or nothing is left to train.
    """
    if wrong := [f"{name} {number}" for name, number in multipliers.items() if name not in GROUPS or not number >= 0]:
        raise ConfigurationError(f"multipliers of learning rates must be of known groups and not below 0, unlike"
                                 f" {', '.join(wrong)}", f"known: {', '.join(GROUPS)}")

    groups = []
    for group in GROUPS:
        parameters = [parameter for name, parameter in model.named_parameters() if group_of(name) == group]
        multiplier = multipliers.get(group, 1)
        if multiplier == 0:
            set_trainable(parameters, False)
        if parameters:
            groups.append({"name": group, "params": parameters, "lr": learning_rate * multiplier,
                           "multiplier": multiplier})
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigurationError("no parameter is left to train", "freeze fewer groups")
    return groups


class LearningParts:
    """Which parameters of a model learn at a step, and how fast.

    They are one group, or one for each part with a learning rate of its own, unfrozen stage by stage as training goes
    on: the transforms first. The published schedule (LIC-HPCM-Balanced, phase 4) unfreezes what nothing had frozen, at
    one exact epoch, into no group of the optimiser. Here all but the first groups are frozen at the start, and stages
    hold from their point on. There is no state: what learns follows from how far training is.

    Attributes:
        groups: for the optimiser; all exist from the start, so that its state can be restored at any step.

    Raises:
        ConfigurationError: the recipe unfreezes a group that is not there, or whose learning rate is zero.
    """

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        self.model, self.stages = model, recipe.unfreeze
        self._kept_frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
        self._frozen_scales: list[str] = []
        if recipe.multipliers:
            self.groups = make_parameter_groups(model, recipe.learning_rate, recipe.multipliers)
        else:
            learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
            self.groups = [{"params": learning, "name": "all", "multiplier": 1.0}]
        learning_groups = [group["name"] for group in self.groups if group["multiplier"]]
        staged = {*FIRST_TO_LEARN, *(name for _, names in self.stages for name in names)}
        if self.stages and (still := sorted(staged - set(learning_groups))):
            raise ConfigurationError(f"there is no parameter group {', '.join(still)} with a multiplier above 0 to"
                                     " unfreeze", f"those that can learn: {', '.join(learning_groups)}")

    def start_step(self, progress: float, optimiser: optim.Optimizer, learning_rate: float) -> None:
        """Set learning rates, and let learn what is due at ``progress``, 0 to 1."""
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * group["multiplier"]

        if self.stages:
            reached = (name for point, names in self.stages if progress >= point for name in names)
            learning = {*FIRST_TO_LEARN, *reached}
            for group in self.groups:
                set_trainable(group["params"], group["name"] in learning)
            set_trainable(self._kept_frozen, False)  # which a group that begins to learn may hold
        for scale in self._frozen_scales:
            freeze_scale(self.model, scale)

    def freeze_scale(self, scale: str) -> None:
        """Let what serves one scale only learn no longer, from the next step on."""
        self._frozen_scales.append(scale)
