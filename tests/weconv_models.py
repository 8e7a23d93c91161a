"""Tiny models of the WeConv line, with random weights under which every band has symbols."""

from __future__ import annotations

from typing import Any

import torch
from multiref_models import images
from torch import Tensor, nn

from bench.models import create_model
from bench.models.wavelets import WeConv

__all__ = ["CASES", "PHASES", "TINY", "coded", "images", "tiny"]

PHASES = (1, 2, 3, 4, 5)
# Bands at a sixteenth of the image: pictures of 64x64 can be coded, and padding is to multiples of 256.
TINY = {"M": 8, "N": 4, "stages": [[8, 1], [8, 2]], "hyper_blocks": [1, 1, 1, 1], "prior_s1_s2": [1, 1],
        "prior_s3": [1, 1], "head_width": 8}
CASES = [
    (1, {}), (1, {"skip_s3_for_hf": True}),
    (2, {}), (2, {"use_simple_weconv": False}),
    (3, {}), (3, {"use_simple_weconv": False, "skip_s3_for_hf": True}),
    (4, {}), (4, {"skip_s3_for_hf": True}), (4, {"use_adaptive_quant": False}),
    (4, {"attention_heads": 2, "use_simple_weconv": False}),
    (5, {}), (5, {"num_checkerboard_groups": 2}), (5, {"skip_s3_for_hf": True}), (5, {"lightweight_context": True}),
    (5, {"use_enhanced_context": False}), (5, {"adaptive_context": True}), (5, {"use_adaptive_quant": False}),
]
PREDICTING = ("h_s", "y_spatial_prior_s1_s2", "y_spatial_prior_s3", "param_aggregator_ll", "param_aggregator_hf",
              "enhanced_context_ll", "enhanced_context_hf")


def tiny(phase: int, seed: int = 0, **options: Any) -> nn.Module:
    """A model of one phase whose latents and hyper-latents vary, and whose scales suit them."""
    torch.manual_seed(seed)
    model = create_model(f"weconv_phase{phase}", **{**TINY, **options}).eval()
    transforms = dict(model.named_modules())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        for name, gain in (("g_a", 5), ("g_a_weconv", 5), ("h_a", 8), ("h_a_wavelet.ll_path", 30),
                           ("h_a_wavelet.hf_path", 30)):
            if name in transforms:
                last(transforms[name]).weight.mul_(gain)
        for name in PREDICTING:
            if name in transforms:
                last(transforms[name]).bias[: model.M].add_(2)  # scales; means follow
        last(transforms.get("g_s") or transforms["g_s_weconv"]).bias.add_(0.5)
        for block in model.modules():
            if isinstance(block, WeConv):  # what its normalisations add would outgrow all else
                for norm in (block.norm1, block.norm2):
                    norm.weight.mul_(0.2)
        if phase > 3:
            model.channel_gate.fc[0].bias.add_(1)  # else its two rectified units may both be off
            model.ll_context_encoder.norm2.running_mean.normal_(0, 0.1)
            model.ll_context_encoder.norm2.running_var.uniform_(0.8, 1.2)
    model.update()
    return model


def last(network: nn.Module) -> nn.Module:
    """Its last convolution."""
    return [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))][-1]


def coded(model: nn.Module, x: Tensor) -> tuple[Any, Tensor, dict[str, Tensor]]:
    """Run the forward pass: the quantiser, the decoded bands, (B, 4M, h, w), and what the model returns."""
    passes, code_latents = [], model.code_latents

    def listened(hyper: Tensor, coder: Any) -> Tensor:
        passes.append((coder, code_latents(hyper, coder)))
        return passes[-1][1]

    model.code_latents = listened
    try:
        with torch.no_grad():
            output = model(x)
    finally:
        del model.code_latents
    return *passes[0], output
