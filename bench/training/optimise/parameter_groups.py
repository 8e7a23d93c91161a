"""Parameters of the HPCM family in named groups: a learning rate for each, and unfreezing one after another.

Groups follow the published fine-tuning of LIC-HPCM-Balanced, but go by the first part of a name. The published
patterns match anywhere in it and leave all of the context model but ``context_net`` to no group at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from torch import nn

from bench.common.errors import ConfigurationError
from bench.models.checkpoints import PREFIX
from bench.models.context import STEPS

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
SCALES = ("s1", "s2", "s3")


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
    """Freeze what serves the coding of one scale only; for :class:`ScaleEarlyStopping`'s hook.

    A scale of which the model has no parts of its own (z, whose transforms serve all) is left as it is.
    """
    set_trainable((p for name, p in model.named_parameters() if scale_of(name) == scale), False)


def layerwise(
    model: nn.Module, learning_rate: float, multipliers: Mapping[str, float], frozen: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Return the parameter groups of an optimiser, one for each group of which the model has parameters.

    All parameters are in a group, frozen ones too, so that they can be unfrozen later: optimisers skip what has no
    gradient.

    Args:
        model: whose parameters.
        learning_rate: that of multiplier one.
        multipliers: of groups by name, 1 where absent; groups of 0 are frozen.
        frozen: names of further groups to freeze.

    Returns:
        Dictionaries with ``name``, ``params``, ``lr`` and ``multiplier``.

    Raises:
        ConfigurationError: an unknown group, a multiplier below zero, or nothing is left to train.
    """
    if unknown := sorted({*multipliers, *frozen} - set(GROUPS)):
        raise ConfigurationError(f"there is no parameter group {', '.join(unknown)}", f"known: {', '.join(GROUPS)}")
    if negative := [name for name, multiplier in multipliers.items() if not multiplier >= 0]:
        raise ConfigurationError(f"multipliers of learning rates can't be below 0: {', '.join(negative)}")
    members: dict[str, list[nn.Parameter]] = {group: [] for group in GROUPS}
    for name, parameter in model.named_parameters():
        members[group_of(name)].append(parameter)
    for name, parameters in members.items():
        if name in frozen or multipliers.get(name, 1) == 0:
            set_trainable(parameters, False)
    if not any(parameter.requires_grad for parameters in members.values() for parameter in parameters):
        raise ConfigurationError("no parameter is left to train", "freeze fewer groups")
    return [
        {"name": name, "params": parameters, "lr": learning_rate * multipliers.get(name, 1),
         "multiplier": multipliers.get(name, 1)}
        for name, parameters in members.items() if parameters
    ]
