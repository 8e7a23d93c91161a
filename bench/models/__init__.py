"""Models by name: ``create("hpcm_base")``, or with other widths ``create("hpcm_base", M=40, N=16)``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from bench.errors import ConfigurationError
from bench.models.hpcm import HPCM, HPCM1B
from bench.models.multiref import MultiRefPhase1, MultiRefPhase2, MultiRefPhase3
from bench.registry import Registry


@dataclass(frozen=True)
class ModelEntry:
    """A model: its class, and the options in which it differs from the class' defaults."""

    model: type[nn.Module]
    options: Mapping[str, Any] = field(default_factory=dict)


MODELS: Registry[ModelEntry] = Registry("model")

MODELS.add("hpcm_base", ModelEntry(HPCM))
MODELS.add("hpcm_large", ModelEntry(HPCM, {
    "stages": ((96, 2), (192, 2), (384, 8)), "prior_s1_s2": (2, 2), "prior_s3": (4, 3),
}))
MODELS.add("hpcm_phi", ModelEntry(HPCM, {"head_width": None}))
MODELS.add("hpcm_1b", ModelEntry(HPCM1B, {
    "M": 512, "stages": ((192, 3), (384, 9), (768, 3)), "hyper_blocks": (4, 9, 9, 4),
    "prior_s1_s2": (5, 3, 2), "prior_s3": (6, 4, 2), "adaptor_depths": (5, 5, 7), "head_width": None,
}))
MODELS.add("multiref_phase1", ModelEntry(MultiRefPhase1))
MODELS.add("multiref_phase2", ModelEntry(MultiRefPhase2))
MODELS.add("multiref_phase3", ModelEntry(MultiRefPhase3))


def create(name: str, **options: Any) -> nn.Module:
    """Build the model called ``name`` with fresh weights; ``options`` change its widths and depths.

    Raises:
        ConfigurationError: no such model, an option that it does not have, or an impossible value.
    """
    entry = MODELS.get(name)
    allowed = options_of(entry.model)
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise ConfigurationError(f"model '{name}' has no option {', '.join(unknown)}", f"it has: {', '.join(allowed)}")
    try:
        return entry.model(**{**entry.options, **options})
    except (TypeError, ValueError, ZeroDivisionError, RuntimeError) as error:
        raise ConfigurationError(f"model '{name}' can't be built with {options}: {error}") from None


def options_of(model: type[nn.Module]) -> list[str]:
    """Names of a model's options, its bases' included where it hands ``**options`` on to them."""
    names: dict[str, None] = {}
    for cls in model.__mro__:
        if "__init__" not in vars(cls):
            continue
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        names.update({p.name: None for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)})
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            break
    return list(names)
