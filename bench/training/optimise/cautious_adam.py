"""Adam that moves only where its momentum agrees with the gradient ("cautious" Adam, arXiv 2411.16085)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

# Entries that move are scaled up by the inverse of their share of a tensor, which is taken as a tenth at least.
LEAST_SHARE = 0.1


class CautiousAdam(torch.optim.Optimizer):
    """Cautious Adam as in LIC-HPCM-Balanced.

    The share of entries that move is taken over each tensor by itself; gradients that are exactly zero count as entries
    that do not.

    Args:
        params: parameters or groups of them, each with its own options.
        lr: learning rate.
        betas: decay of the first and second moment.
        eps: what is added to the root of the second moment.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Take one step; parameters without gradient stay."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[parameter], group["betas"]
        if not state:  # under the names of torch's Adam
            state |= {"step": 0, "exp_avg": torch.zeros_like(gradient), "exp_avg_sq": torch.zeros_like(gradient)}
        state["step"] += 1
        first = state["exp_avg"].mul_(beta1).add_(gradient, alpha=1 - beta1)
        second = state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)

        divisor = second.sqrt().div_(math.sqrt(1 - beta2 ** state["step"])).add_(group["eps"])
        move = (first * gradient).gt_(0)  # 1 where both agree, of the gradient's type
        move.div_(move.mean().clamp_(min=LEAST_SHARE)).mul_(first).div_(divisor)
        parameter.add_(move, alpha=-group["lr"] / (1 - beta1 ** state["step"]))
