"""Models with random weights that code something: benchmarks need no checkpoint."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from bench.models import create
from bench.runners.profile.subjects import calibration_image
from bench.runners.profile.synthetic_weights import enliven


def lively_model(name: str, seed: int = 0, **options: Any) -> nn.Module:
    """Build a model on the CPU, with coding tables and a rate like a trained one's; the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = create(name, **options)
    enliven(model, calibration_image(model), seed)
    return model
