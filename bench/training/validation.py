"""Loss of held-out images: the forward pass with rounded symbols and no noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.training.data import as_input
from bench.training.job import Job
from bench.training.losses import rate_distortion, scale_rates


@torch.no_grad()
def validate(model: nn.Module, images: Tensor, job: Job, device: torch.device, rates: bool = False) -> dict[str, Any]:
    """Mean over images, uint8 (n, 3, H, W), of loss, bpp and PSNR; the rates of the scales where ``rates``.

    PSNR is 10 log10(1/MSE) of the output as it is, neither clamped nor rounded, as published trainings report it.
    """
    was_training = model.training
    model.eval()
    figures, by_scale = [], []
    for image in images:
        x = as_input(image[None], device)
        output = model(x)
        losses = rate_distortion(output, x, job.lambda_, job.metric)
        figures.append([float(losses.total), float(losses.bpp), -10 * float(losses.mse.log10())])
        if rates:
            by_scale.append({name: float(rate) for name, rate in scale_rates(model, output, losses.pixels).items()})
    model.train(was_training)
    loss, bpp, psnr_db = (float(value) for value in np.mean(figures, axis=0))
    scales = {"rates": {name: float(np.mean([one[name] for one in by_scale])) for name in by_scale[0]}} if rates else {}
    return {"loss": loss, "bpp": bpp, "psnr_db": psnr_db, **scales}
