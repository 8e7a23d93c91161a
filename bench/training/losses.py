"""What training lowers: distortion and rate, and the rate of each of HPCM's scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from pytorch_msssim import ms_ssim
from torch import Tensor, nn

from bench.common.errors import ConfigurationError
from bench.models.context import HierarchicalContext
from bench.models.lattice import lattice
from bench.training.data import as_input
from bench.training.recipes import Job

METRICS = ("mse", "ms-ssim")
MS_SSIM_SIDE = 160  # pixels; five scales with a window of 11 need more
SCALES = ("s1", "s2", "s3")


@dataclass(frozen=True)
class Losses:
    """Losses of a batch, scalars with gradient.

    Attributes:
        distortion: the weighted error: λ 255² MSE, or λ (1 - MS-SSIM).
        bpp: rate in bits per pixel, from the likelihoods.
        mse: mean squared error of images in [0, 1].
        pixels: pixels of the batch.
    """

    distortion: Tensor
    bpp: Tensor
    mse: Tensor
    pixels: int

    @property
    def total(self) -> Tensor:
        """Distortion + rate."""
        return self.distortion + self.bpp


def rate_distortion(output: Mapping[str, Any], x: Tensor, lambda_: float, metric: str = "mse") -> Losses:
    """Return the losses of what a model's forward pass gives for images ``x``, (B, 3, H, W) in [0, 1].

    Args:
        output: ``x_hat`` (B, 3, H, W), not clamped, and ``likelihoods``, tensors by name.
        metric: "mse" or "ms-ssim".

    Raises:
        ConfigurationError: the metric is unknown, or images are too small for MS-SSIM.
    """
    if metric not in METRICS:
        raise ConfigurationError(f"there is no metric '{metric}' to train for", f"known: {', '.join(METRICS)}")
    mse = torch.mean((output["x_hat"] - x) ** 2)
    pixels = x.shape[0] * x.shape[2] * x.shape[3]
    bits = [_bits(likelihoods).sum() for likelihoods in output["likelihoods"].values()]
    bpp = sum(bits[1:], bits[0]) / pixels
    if metric == "mse":
        return Losses(lambda_ * 255**2 * mse, bpp, mse, pixels)
    if min(x.shape[2:]) <= MS_SSIM_SIDE:
        raise ConfigurationError(f"MS-SSIM needs crops of more than {MS_SSIM_SIDE} pixels, not"
                                 f" {x.shape[3]}x{x.shape[2]}", "choose larger crops, or the metric mse")
    return Losses(lambda_ * (1 - ms_ssim(output["x_hat"], x, data_range=1)), bpp, mse, pixels)


def scale_rates(model: nn.Module, output: Mapping[str, Any], pixels: int) -> dict[str, Tensor]:
    """Split the rate of ``output`` exactly: bits per pixel coded at s1, s2 and s3, and those of z.

    The four add up to the rate. A model that codes several planes of latents one after the other (the bands of the
    WeConv line) has its planes split alike.

    Args:
        model: the bare model that gave ``output``, not a wrapper of it.
        pixels: pixels of the batch.

    Raises:
        ConfigurationError: the model does not code its latents at three scales.
    """
    if not has_three_scales(model):
        raise ConfigurationError(f"{type(model).__name__} does not code its latents at three scales",
                                 "choose a recipe that balances distortion and the whole rate")
    likelihoods = output["likelihoods"]
    channels, height, width = likelihoods["y"].shape[1:]
    bits = _bits(likelihoods["y"]).flatten(1).sum(0)
    positions = scale_positions(model.M, channels // model.M, height, width, bits.device)
    rates = {name: bits.index_select(0, where).sum() / pixels for name, where in zip(SCALES, positions)}
    return {**rates, "z": _bits(likelihoods["z"]).sum() / pixels}


def has_three_scales(model: nn.Module) -> bool:
    """Whether the model's latents are coded by the walk over three scales."""
    return isinstance(model, HierarchicalContext) and type(model).walk is HierarchicalContext.walk


@lru_cache(maxsize=16)
def scale_positions(
    channels: int, planes: int, height: int, width: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Positions that each scale codes, int64 (n,), in the flattened (planes * channels, height, width).

    Raises:
        ValueError: planes of this shape have no three scales.
    """
    starts = torch.arange(planes, device=device)[:, None] * (channels * height * width)
    scales = lattice(channels, height, width, device)
    s1, s2, s3 = ((torch.cat([step.source for step in scale.steps]) + starts).flatten() for scale in scales)
    return s1, s2, s3


@torch.no_grad()
def validate_model(model: nn.Module, images: Tensor, job: Job, device: torch.device,
                   rates: bool = False) -> dict[str, Any]:
    """Mean over held-out images, uint8 (n, 3, H, W), of loss, bpp and PSNR, and of the scales where ``rates``.

    The forward pass has rounded symbols and no noise. PSNR is 10 log10(1/MSE) of the output as it is, neither clamped
    nor rounded, as published trainings report it. The model is left in evaluation mode.
    """
    model.eval()
    figures, by_scale = [], []
    for image in images:
        x = as_input(image[None], device)
        output = model(x)
        losses = rate_distortion(output, x, job.lambda_, job.metric)
        figures.append([float(losses.total), float(losses.bpp), -10 * float(losses.mse.log10())])
        if rates:
            by_scale.append([float(rate) for rate in scale_rates(model, output, losses.pixels).values()])

    validated: dict[str, Any] = dict(zip(("loss", "bpp", "psnr_db"), np.mean(figures, axis=0).tolist()))
    if rates:
        validated["rates"] = dict(zip((*SCALES, "z"), np.mean(by_scale, axis=0).tolist()))
    return validated


def _bits(likelihoods: Tensor) -> Tensor:
    return -torch.log2(likelihoods)
