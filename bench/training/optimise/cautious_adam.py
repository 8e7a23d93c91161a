"""Adam that moves only where its momentum agrees with the gradient ("cautious" Adam, arXiv 2411.16085)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

HALF = (torch.float16, torch.bfloat16)
# Entries that move are scaled up by the inverse of their share of a tensor, which is taken as a tenth at least.
LEAST_SHARE = 0.1


class CautiousAdam(torch.optim.Optimizer):
    """Cautious Adam as in LIC-HPCM-Balanced.

    Weight decay is decoupled and comes before the step. With ``amsgrad`` the running maximum is of the uncorrected
    second moment. The share of entries that move is taken over each tensor by itself; gradients that are exactly zero
    count as entries that do not. Gradients of 16 bits are cast to float32 first, and their moments are float32.

    Args:
        params: parameters or groups of them, each with its own options.
        lr: learning rate.
        betas: decay of the first and second moment.
        eps: what is added to the root of the second moment.
        weight_decay: share of a parameter, times ``lr``, that is taken off at each step.
        amsgrad: divide by the largest second moment so far.

    Raises:
        ValueError: lr, eps or weight_decay is negative, or a beta is outside [0, 1).
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.0, amsgrad: bool = False) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; see the class for what is refused."""
        options = {**self.defaults, **param_group}
        for name in ("lr", "eps", "weight_decay"):
            if not options[name] >= 0:
                raise ValueError(f"{name} must be 0 or more, not {options[name]!r}")
        if not all(0 <= beta < 1 for beta in options["betas"]):
            raise ValueError(f"betas must be in [0, 1), not {options['betas']!r}")
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Take one step; parameters without gradient stay. Returns what ``closure`` returns, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group)
        return loss

    def _move(self, parameter: Tensor, group: dict[str, Any]) -> None:
        gradient = parameter.grad.float() if parameter.grad.dtype in HALF else parameter.grad
        state, (beta1, beta2) = self._state_of(parameter, gradient, group["amsgrad"]), group["betas"]
        state["step"] += 1
        first, second = state["exp_avg"], state["exp_avg_sq"]
        if group["weight_decay"]:
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
        first.mul_(beta1).add_(gradient, alpha=1 - beta1)
        second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        if group["amsgrad"]:
            second = torch.maximum(state["max_exp_avg_sq"], second, out=state["max_exp_avg_sq"])
        divisor = second.sqrt().div_(math.sqrt(1 - beta2 ** state["step"])).add_(group["eps"])
        move = (first * gradient).gt_(0)  # 1 where both agree, of the gradient's type
        move.div_(move.mean().clamp_(min=LEAST_SHARE)).mul_(first).div_(divisor)
        parameter.add_(move, alpha=-group["lr"] / (1 - beta1 ** state["step"]))

    def _state_of(self, parameter: Tensor, gradient: Tensor, amsgrad: bool) -> dict[str, Any]:
        """The state of a parameter under the names of torch's Adam, with zeros at first."""
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            for name in ("exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if amsgrad else [])):
                state[name] = torch.zeros_like(gradient, memory_format=torch.preserve_format)
        return state
