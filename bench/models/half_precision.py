"""Computing in 16 bits where it is safe: inside a transform, whose result is float32 again."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def halve_precision(transform: Callable[[Tensor], Tensor], device: str, dtype: torch.dtype,
                    enabled: Callable[[], bool] = lambda: True) -> Callable[[Tensor], Tensor]:
    """Let a transform compute in 16 bits.

    Args:
        transform: a function of one tensor.
        device: "cpu" or "cuda".
        dtype: bfloat16 or float16; operators without a form in it compute in float32.
        enabled: asked at each call.

    Returns:
        The transform with a result in float32.
    """
    def run_in_half(x: Tensor) -> Tensor:
        with torch.autocast(device, dtype, enabled=enabled()):
            return transform(x).float()

    return run_in_half
