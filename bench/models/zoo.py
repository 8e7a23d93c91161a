"""CompressAI's zoo (Bégaint et al., arXiv 2011.03029): ``create("compressai:cheng2020-attn", quality=3)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from compressai.models import CompressionModel
from compressai.zoo import image, image_models, image_vbr
from torch import Tensor

from bench.models.compressai_models import PADDING, TABLES, prepare

METRICS = ("mse", "ms-ssim")
LEVELS = 8  # rate points of the variable-rate architectures


class _FixedRate(CompressionModel):
    """A variable-rate model kept at one of its rates, ``level``, with its second-stage networks in use."""

    level: int

    def forward(self, x: Tensor) -> dict:
        return super().forward(x, s=self.level)

    def compress(self, x: Tensor) -> dict:
        return super().compress(x, s=self.level)

    def decompress(self, strings: list[list[bytes]], shape: Sequence[int]) -> dict:
        return super().decompress(strings, shape, s=self.level)

    def update(self, scale_table: Tensor | None = None, force: bool = False) -> bool:
        """Build the tables of this rate."""
        with torch.no_grad():
            return super().update(scale_table, force, scale=self.Gain[self.level].abs())


def zoo_model(architecture: str, quality: int = 1, metric: str = "mse", padding_multiple: int = PADDING) -> Any:
    """Build a model of CompressAI's zoo with fresh weights.

    Args:
        architecture: a name of ``compressai.zoo.image_models``.
        quality: CompressAI's number of the rate point; widths depend on it. The variable-rate architectures have
            one set of weights, of which it chooses the gain.
        metric: what the published weights were trained for; it does not change the model.
        padding_multiple: pixels that the sides of an image are padded to multiples of.

    Returns:
        The model, with CompressAI's interface.

    Raises:
        ValueError: an impossible value; the message has the allowed ones.
    """
    check_architecture(architecture)
    if type(padding_multiple) is not int or padding_multiple < 1:
        raise ValueError(f"padding_multiple must be a positive whole number, not {padding_multiple!r}")
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}, not {metric!r}")

    variable = architecture in image_vbr.cfgs
    qualities = range(1, LEVELS + 1) if variable else image.cfgs[architecture]
    if type(quality) is not int or quality not in qualities:
        raise ValueError(f"quality of {architecture} must be {min(qualities)} to {max(qualities)}, not {quality!r}")

    if variable:
        base = image_vbr.model_architectures[architecture]
        options = {} if architecture == "mbt2018-vbr" else {"vr_entbttlnck": True}  # as the published weights
        fixed = type(f"FixedRate{base.__name__}", (_FixedRate, base), {"level": quality - 1})
        model = fixed(*image_vbr.cfgs[architecture], **options)
        model.rebuilt = (*TABLES, "QuantOffset")  # CompressAI's loader drops it too
    else:
        # Not by the zoo's own functions: that of bmshj2018-factorized-relu builds the model without "relu".
        classes = {name.replace("_", "-"): cls for name, cls in image.model_architectures.items()}
        model = classes[architecture](*image.cfgs[architecture][quality])
    model.padding_multiple = padding_multiple
    return prepare(model)


def published_weights(architecture: str, quality: int = 1, metric: str = "mse") -> str | None:
    """Find CompressAI's weights of a model of its zoo.

    Args:
        architecture, quality, metric: see :func:`zoo_model`.

    Returns:
        Their address, whose name ends with the first digits of their SHA-256; None if there are none.

    Raises:
        ValueError: no such architecture.
    """
    check_architecture(architecture)
    urls = {**image.model_urls, **image_vbr.model_urls}.get(architecture, {}).get(metric)
    return urls.get(quality) if isinstance(urls, Mapping) else urls


def check_architecture(architecture: str) -> None:
    """Check that CompressAI's zoo has an image codec of this name.

    Args:
        architecture: the name.

    Raises:
        ValueError: it has none; the message lists those it has.
    """
    if architecture not in image_models:
        raise ValueError(f"CompressAI's zoo has no '{architecture}'; it has: {', '.join(image_models)}")
