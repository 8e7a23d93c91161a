"""Mixed precision where it is safe: in the transforms.

Latents reach tens of quantisation steps and get noise of half a step, which bfloat16 with its eight bits can't
tell apart; likelihoods fall to 1e-9. So what comes out of a transform, the context model, the entropy model and
the loss stay float32.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.common.errors import ConfigurationError

TRANSFORMS = ("analysis", "synthesis", "hyper_analysis")


def in_half(model: nn.Module, device: torch.device) -> None:
    """Let the transforms of ``model`` compute in bfloat16 while it trains.

    Raises:
        ConfigurationError: the model has other parts than the family's.
    """
    missing = [name for name in TRANSFORMS if not hasattr(model, name)]
    if missing:
        raise ConfigurationError(f"{type(model).__name__} can't be trained in half precision: it has no"
                                 f" {', '.join(missing)}", "leave out --half")
    for name in TRANSFORMS:
        setattr(model, name, _in_half(model, getattr(model, name), device.type))


def _in_half(model: nn.Module, function: Callable[[Tensor], Tensor], kind: str) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        with torch.autocast(kind, torch.bfloat16, enabled=model.training):
            result = function(x)
        return result.float()

    return run
