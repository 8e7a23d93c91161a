"""Tiny models of the multi-reference line, with random weights under which memory matters."""

from __future__ import annotations

from typing import Any

import torch
from tiny_models import TINY, picture
from torch import Tensor, nn

from bench.models import create_model

PHASES = (1, 2, 3)


def tiny(phase: int, seed: int = 0, **options: Any) -> nn.Module:
    """A model of one phase; its keys are long enough that normalisation leaves something of them."""
    defaults = {"compress_ratio": 1} if phase < 3 else {"temperature": 0.5}
    torch.manual_seed(seed)
    return roughened(create_model(f"multiref_phase{phase}", **{**TINY, **defaults, **options}))


def roughened(model: nn.Module) -> nn.Module:
    """Give a tiny HPCM latents that vary and scales that suit them."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        model.g_a.branch[-1].weight.mul_(5)
        model.h_a.branch[-1].weight.mul_(2)
        priors = (model.y_spatial_prior_s1_s2, model.y_spatial_prior_s3)
        for last in (model.h_s.branch[-1].branch[-1], *(prior.branch_2[-1] for prior in priors)):
            last.bias[: model.M].add_(2)
        model.g_s.branch[-1].bias.add_(0.5)
    model.update()
    return model.eval()


def images(number: int, width: int = 64, height: int = 64, seed: int = 0) -> Tensor:
    """Pictures, (number, 3, height, width) in [0, 1]."""
    return torch.stack([torch.from_numpy(picture(width, height, seed + i)).permute(2, 0, 1) / 255
                        for i in range(number)])
