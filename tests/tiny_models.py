"""Tiny models with random weights whose streams hold more than zeros, and pictures for them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from compressai.zoo import image as zoo_image
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


def lively(name: str, **options: object) -> nn.Module:
    """Random weights with which latents are not all zero."""
    torch.manual_seed(0)
    model = create_model(name, **options).eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.startswith(("g_a", "h_a")) and parameter_name.endswith("weight"):
                parameter.mul_(2)
    model.update(force=True)
    return model


def lively_lalic() -> nn.Module:
    """A small LALIC."""
    return lively("lalic", N=4, dims=[8, 8, 8, 16, 8, 8], depths=[1, 1, 1, 1], groups=[2, 2, 4, 8], rate=2)


def lively_zoo_model(name: str) -> nn.Module:
    """One of CompressAI's models with few channels."""
    with ExitStack() as patched:
        for architecture, cfg in zoo_image.cfgs.items():
            patched.enter_context(patch.dict(zoo_image.cfgs, {architecture: {1: (8, 12)[: len(cfg[1])]}}))
        return lively(name)
