"""A good start for small transforms: principal components of the training images.

Trained from random weights, a miniature spends most of a short training on finding low frequencies. Here
every strided layer of g_a starts as the principal components of its input's 2x2 patches, g_s as their
transposes, and residual blocks start as the identity.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.layers import PConvRB
from bench.models.wavelets import WeConvSimple

STRIDED = (nn.Conv2d, nn.ConvTranspose2d)
NAMES = (("g_a", "g_s"), ("g_a_weconv", "g_s_weconv"))


@torch.no_grad()
def principal_components(model: nn.Module, images: Tensor, lambda_: float) -> None:
    """Set the transforms of ``model`` from ``images``, (B, 3, H, W) in [0, 1].

    Latents are scaled so that a quantisation step of one is near the optimum of high-resolution theory for
    loss = λ 255² MSE + bpp: with step Δ, distortion is Δ²/12 a latent and rate falls by log2(Δ).

    Raises:
        TypeError: the model's transforms are no sequences of strided layers and known residual blocks.
    """
    found = [pair for pair in NAMES if all(hasattr(model, name) for name in pair)]
    if not found:
        raise TypeError(f"{type(model).__name__} has no transforms g_a and g_s")
    analysis, synthesis = (list(_layers(getattr(model, name))) for name in found[0])
    for block in (*analysis, *synthesis):
        if not isinstance(block, STRIDED):
            _silence(block)
    down = [layer for layer in analysis if isinstance(layer, STRIDED)]
    up = [layer for layer in synthesis if isinstance(layer, STRIDED)]

    x = images
    for first, last in zip(down, reversed(up)):
        mean, components = _components(x, first.out_channels)
        _set_taps(first, components, -components @ mean)
        _set_taps(last, components, mean.view(-1, 4).mean(1))
        x = first(x)

    step = math.sqrt(6 * 3 / (lambda_ * 255**2 * math.log(2)))
    down[-1].weight.div_(step)
    _bias(down[-1]).div_(step)
    up[0].weight.mul_(step)


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """The layers and blocks of a transform in order, out of whatever sequences they lie in."""
    inner = getattr(module, "branch", module) if not isinstance(module, PConvRB) else module
    if isinstance(inner, nn.Sequential):
        for layer in inner:
            yield from _layers(layer)
    else:
        yield module


def _silence(block: nn.Module) -> None:
    """Make a residual block the identity, by layers from which it can learn again at once."""
    last: list[Any]
    if isinstance(block, PConvRB):
        last = [block.branch[-1]]
    elif isinstance(block, WeConvSimple):
        last = [block.ll_conv, block.hf_conv]
    else:
        raise TypeError(f"no start from principal components is known for {type(block).__name__}")

    for layer in last:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)


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
    layer.weight[: len(taps), :, margin : margin + 2, margin : margin + 2] = taps

    nn.init.zeros_(_bias(layer))[: len(bias)] = bias


def _bias(layer: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    if layer.bias is None:
        raise TypeError("a start from principal components needs layers with biases")
    return layer.bias
