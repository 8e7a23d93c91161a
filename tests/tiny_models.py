"""A tiny HPCM with random weights whose streams hold more than zeros, and pictures for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench.models import create_model

# The smallest model that has every part: latents at a quarter of the image, padding to multiples of 64.
TINY = {"M": 8, "N": 4, "stages": [[8, 1]], "hyper_blocks": [1, 1, 1, 1], "prior_s1_s2": [1, 1], "prior_s3": [1, 1],
        "head_width": 8}

VARIANTS = """
variants:
  tiny:
    model: hpcm_base
    label: Tiny
    miniature: true
    lambdas: [0.01, 0.02]
    options: {M: 8, N: 4, stages: [[8, 1]], hyper_blocks: [1, 1, 1, 1], prior_s1_s2: [1, 1], prior_s3: [1, 1],
              head_width: 8}
"""


def tiny_model(seed: int = 0) -> nn.Module:
    """A model whose latents and means vary over the image and whose scales suit the latents."""
    torch.manual_seed(seed)
    model = create_model("hpcm_base", **TINY).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        model.g_a.branch[-1].weight.mul_(5)
        model.h_a.branch[-1].weight.mul_(2)
        priors = (model.y_spatial_prior_s1_s2, model.y_spatial_prior_s3)
        for last in (model.h_s.branch[-1].branch[-1], *(prior.branch_2[-1] for prior in priors)):
            last.bias[: model.M].add_(2)  # scales; means follow
        model.g_s.branch[-1].bias.add_(0.5)
    model.update()
    return model


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Smooth waves and noise: uint8 (height, width, 3)."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width] / 16
    waves = [np.sin(rows * a + columns * b + c) for a, b, c in random.uniform(-1, 1, (3, 3))]
    pixels = 128 + 70 * np.stack(waves, axis=-1) + 8 * random.standard_normal((height, width, 3))
    return pixels.clip(0, 255).round().astype(np.uint8)


def write_variants(folder: Path) -> Path:
    """A variants.yaml that knows only the tiny model."""
    path = folder / "variants.yaml"
    path.write_text(VARIANTS)
    return path
