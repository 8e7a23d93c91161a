"""A good start for small transforms: principal components of the training images.

Trained from random weights, a miniature spends most of a short training on finding low frequencies. Here
every strided layer of g_a starts as the principal components of its input's 2x2 patches, g_s as their
transposes, and residual blocks start as the identity.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.hpcm import HPCM


@torch.no_grad()
def principal_components(model: HPCM, images: Tensor, lambda_: float) -> None:
    """Set the transforms of ``model`` from ``images``, (B, 3, H, W) in [0, 1].

    Latents are scaled so that a quantisation step of one is near the optimum of high-resolution theory for
    loss = λ 255² MSE + bpp: with step Δ, distortion is Δ²/12 a latent and rate falls by log2(Δ).

    Raises:
        TypeError: the model's g_a and g_s are no sequences of strided layers and residual blocks.
    """
    branches = (getattr(transform, "branch", None) for transform in (model.g_a, model.g_s))
    if not all(isinstance(branch, nn.Sequential) for branch in branches):
        raise TypeError(f"{type(model).__name__} has transforms without a plain sequence of layers")
    for block in (*model.g_a.branch, *model.g_s.branch):
        if not _is_strided(block):
            nn.init.zeros_(block.branch[-1].weight)
            nn.init.zeros_(block.branch[-1].bias)
    down = [layer for layer in model.g_a.branch if _is_strided(layer)]
    up = [layer for layer in model.g_s.branch if _is_strided(layer)]
    x = images
    for analysis, synthesis in zip(down, reversed(up)):
        mean, components = _components(x, analysis.out_channels)
        _set_taps(analysis, components, -components @ mean)
        _set_taps(synthesis, components, mean.view(-1, 4).mean(1))
        x = analysis(x)
    step = math.sqrt(6 * 3 / (lambda_ * 255**2 * math.log(2)))
    down[-1].weight.div_(step)
    down[-1].bias.div_(step)
    up[0].weight.mul_(step)


def _is_strided(layer: nn.Module) -> bool:
    return isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))


def _components(x: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Mean (4C,) and at most ``number`` leading components (n, 4C) of the 2x2 patches of (B, C, H, W)."""
    patches = F.unfold(x, 2, stride=2).transpose(0, 1).flatten(1)
    mean = patches.mean(1)
    covariance = torch.cov(patches)
    _, vectors = torch.linalg.eigh(covariance)
    return mean, vectors.flip(1).T[:number].contiguous()


def _set_taps(layer: nn.Conv2d | nn.ConvTranspose2d, components: Tensor, bias: Tensor) -> None:
    """Put components (n, 4C) on the four taps of a 2x2 kernel, or the middle of a 4x4 one; the rest is 0."""
    taps = components.view(len(components), -1, 2, 2)
    margin = (layer.kernel_size[0] - 2) // 2
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    layer.weight[: len(taps), :, margin : margin + 2, margin : margin + 2] = taps
    if isinstance(layer, nn.ConvTranspose2d):
        layer.bias.copy_(bias)
    else:
        layer.bias[: len(bias)] = bias
