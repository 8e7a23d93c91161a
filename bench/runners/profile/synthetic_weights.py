"""Random weights under which a codec's entropy coder has real work to do, for models without a checkpoint.

What a model costs hardly depends on its weights, but a fresh model codes nothing but zeros. :func:`enliven_model` gives
any model of the suite or with CompressAI's interface scales that are spread as in trained models, centred latents, and
a rate like theirs. What it decodes is no picture.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from bench.common.import_paths import find_imported
from bench.models.coding_tables import use_tables
from bench.models.context import HierarchicalContext
from bench.models.image_codec import count_bits

TARGET_BPP = 0.75
ENOUGH = 1.6  # the search ends within this factor of the target
TRIES = 8
LEAST_GAIN = 1 / 64
HYPER_SPREAD = 1.5  # standard deviation of the hyper-latents
SCALES = (0.05, 1.0)  # between which those of the channels are spread, evenly in their logarithm

ENTROPY_MODELS = "compressai.entropy_models"
_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@torch.no_grad()
def enliven_model(model: Any, x: Tensor, seed: int = 0) -> float:
    """Change the weights of ``model`` in place and build its coder's tables; returns the predicted bits per pixel.

    The gain of the analysis transform (``g_a...``) is searched for until the rate on ``x``, (1, 3, H, W) in [0, 1],
    lies within a factor of 1.6 of 0.75 bits per pixel. Where a model doesn't follow its gain, the nearest rate that
    was tried stays; where it has no such transform, the rate is what it is.

    Args:
        seed: of which scales the channels get.
    """
    model.eval()
    _spread_hyper_latents(model, x)
    _spread_scales(model, x, torch.Generator().manual_seed(seed))
    transform = next((child for name, child in model.named_children() if name.startswith("g_a")), None)
    if transform is not None:
        analysis = _Analysis(transform)
        _shrink_means(model, x, analysis)
        _search_gain(lambda gain: analysis.set_gain(gain, x), lambda: _predict_bpp(model, x))
    use_tables(model)
    return _predict_bpp(model, x)


def _predict_bpp(model: Any, x: Tensor) -> float:
    """Bits per pixel that the entropy model predicts."""
    likelihoods = model(x)["likelihoods"].values()
    return count_bits(likelihoods) / (x.shape[-2] * x.shape[-1])


def _shrink_means(model: nn.Module, x: Tensor, analysis: _Analysis) -> None:
    """Halve the weights that give means and scales until latents of nearly 0 cost less than is wanted."""
    analysis.set_gain(LEAST_GAIN, x)
    layers = list(_watch_pass(model, x).scale_layers)
    for _ in range(TRIES):
        if _predict_bpp(model, x) < TARGET_BPP:
            return
        for layer in layers:
            layer.weight.mul_(0.5)


def _search_gain(set_gain: Callable[[float], None], rate: Callable[[], float]) -> None:
    """Set the gain whose rate is nearest to the target of those tried: factors of four, then bisection."""
    tried: dict[float, float] = {}  # gain to rate
    gain = 1.0
    while len(tried) < TRIES:
        set_gain(gain)
        tried[gain] = rate()
        if TARGET_BPP / ENOUGH <= tried[gain] <= TARGET_BPP * ENOUGH:
            return
        low = [known for known, value in tried.items() if value < TARGET_BPP]
        high = [known for known, value in tried.items() if value >= TARGET_BPP]
        if low and high:
            gain = math.sqrt(max(low) * min(high))
        else:
            gain = 4 * max(low) if low else min(high) / 4
    set_gain(min(tried, key=lambda known: abs(math.log(max(tried[known], 1e-9) / TARGET_BPP))))


class _Analysis:
    """The analysis transform, its layers, and the weights that it has at gain 1."""

    def __init__(self, transform: nn.Module) -> None:
        self.transform = transform
        self.layers: list[Any] = [layer for layer in transform.modules() if isinstance(layer, _LAYERS)]
        self.weights = copy.deepcopy(transform.state_dict())

    def set_gain(self, gain: float, x: Tensor) -> None:
        """Multiply the last layer's weights by ``gain`` and all others a little, then centre the latents.

        The others matter where the last layer's result only gates another one.
        """
        self.transform.load_state_dict(self.weights)
        gentle = gain ** (1 / len(self.layers))
        for layer in self.layers:
            layer.weight.mul_(gain if layer is self.layers[-1] else gentle)

        means = self.transform(x).mean(dim=(0, 2, 3))
        fitting = [layer for layer in self.layers if layer.bias is not None and layer.bias.shape == means.shape]
        if fitting:
            fitting[-1].bias.sub_(means)


@dataclass
class _Seen:
    """What a forward pass showed: which layers gave the hyper-latents, and which the scales."""

    ran: list[Any] = field(default_factory=list)
    hyper_layer: Any = None
    hyper_latents: Tensor | None = None
    scale_layers: dict[Any, int] = field(default_factory=dict)  # to the number of scales among its channels

    def on_hyper_latents(self, z: Tensor) -> None:
        if self.hyper_latents is None and self.ran:
            self.hyper_layer, self.hyper_latents = self.ran[-1], z.clone()

    def on_parameters(self, channels: int, scales: int) -> None:
        """Entropy parameters are in use: the last layer with so many channels gave them, scales first."""
        fitting = (layer for layer in reversed(self.ran) if layer.bias is not None and len(layer.bias) == channels)
        if (layer := next(fitting, None)) is not None:
            self.scale_layers[layer] = scales


def _watch_pass(model: Any, x: Tensor) -> _Seen:
    seen = _Seen()

    def gaussian(module: nn.Module, arguments: tuple, options: dict) -> None:
        inputs = dict(zip(("inputs", "scales", "means"), arguments)) | options
        scales = inputs["scales"].shape[1]
        channels = scales if inputs.get("means") is None else 2 * scales
        seen.on_parameters(channels, scales)

    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, _LAYERS):
                stack.enter_context(module.register_forward_hook(lambda layer, *_: seen.ran.append(layer)))
            elif isinstance(module, find_imported(ENTROPY_MODELS, "EntropyBottleneck")):
                stack.enter_context(module.register_forward_pre_hook(
                    lambda _, inputs: seen.on_hyper_latents(inputs[0])))
            elif isinstance(module, find_imported(ENTROPY_MODELS, "GaussianConditional")):
                stack.enter_context(module.register_forward_pre_hook(gaussian, with_kwargs=True))
        if isinstance(model, HierarchicalContext):
            _watch_methods(model, seen, stack)
        model(x)
    return seen


def _watch_methods(model: Any, seen: _Seen, stack: ExitStack) -> None:
    """Of the suite's own models: what hyper-analysis returns, and what scales and means are packed from.

    Layers of the next context run between those that give a step's parameters and the use of these.
    """
    hyper_analysis, packed, next_context = model.hyper_analysis, model.packed, model.next_context

    def watched_analysis(y: Tensor) -> Tensor:
        z = hyper_analysis(y)
        seen.on_hyper_latents(z)
        return z

    def watched_packed(parameters: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        seen.on_parameters(parameters.shape[1], parameters.shape[1] // 2)
        return packed(parameters, index)

    def unwatched_context(*arguments: Any) -> Tensor:
        before = len(seen.ran)
        context = next_context(*arguments)
        del seen.ran[before:]
        return context

    stack.enter_context(mock.patch.multiple(model, hyper_analysis=watched_analysis, packed=watched_packed,
                                            next_context=unwatched_context))


def _spread_hyper_latents(model: nn.Module, x: Tensor) -> None:
    """Scale the last layer of the hyper-analysis so that the hyper-latents have their spread, around 0."""
    seen = _watch_pass(model, x)
    layer, z = seen.hyper_layer, seen.hyper_latents
    if z is None:
        return
    gain = HYPER_SPREAD / max(float(z.std()), 1e-6)
    layer.weight.mul_(gain)
    if layer.bias is not None:
        means = z.mean(dim=(0, 2, 3))
        layer.bias.sub_(means if layer.bias.shape == means.shape else means.mean()).mul_(gain)


def _spread_scales(model: nn.Module, x: Tensor, generator: torch.Generator) -> None:
    """Add scales to the biases of the layers that give them."""
    for layer, scales in _watch_pass(model, x).scale_layers.items():
        spread = torch.logspace(math.log10(SCALES[0]), math.log10(SCALES[1]), scales)
        layer.bias[:scales] += spread[torch.randperm(scales, generator=generator)]
