"""Models that have CompressAI's interface, and CompressAI's zoo: ``create("compressai:cheng2020-attn", quality=3)``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from compressai.entropy_models import EntropyBottleneck
from compressai.models import CompressionModel
from compressai.models.utils import remap_old_keys
from compressai.zoo import image, image_models, image_vbr, load_state_dict
from torch import Tensor, nn

from bench.common.errors import CodecError
from bench.models.image_codec import EncodedImage, count_bits

METRICS = ("mse", "ms-ssim")
PADDING = 64  # CompressAI's own evaluation
TABLES = ("_quantized_cdf", "_offset", "_cdf_length", "scale_table")
LEVELS = 8  # rate points of the variable-rate architectures
EXPECTED = ('compress(x) must return {"strings": one list a stream, each with one bytes object an image, '
            '"shape": a flat sequence of whole numbers}')


class CompressAIAdapter(nn.Module):
    """Gives a model with CompressAI's ``compress``, ``decompress`` and ``forward`` the suite's own interface.

    Such a model has no reconstruction but ``decompress``, so the encoder's own image is a decoding in the encoder's
    process. ``forward``, which the predicted rate needs anyway, gives the same image unless latents are coded one after
    another: it is what the decoder is expected to give. Streams are called y, or y and z, or y0, y1, ..., z:
    CompressAI's order, the hyper-latents last.

    Attributes:
        padding_multiple: the model's attribute of that name, else 64.
        hyper_stride: the model's attribute, else its ``downsampling_factor``, else None; where it does not tell
            ``shape``, files hold it.
        stream_tag: the model's attribute, else 0.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = prepare(model)
        self.padding_multiple: int = self.model.padding_multiple
        self.hyper_stride: int | None = getattr(model, "hyper_stride", getattr(model, "downsampling_factor", None))

    @property
    def stream_tag(self) -> int:
        """A number that differs where the same weights read streams differently."""
        return getattr(self.model, "stream_tag", 0)

    @torch.no_grad()
    def encode_image(self, x: Tensor) -> EncodedImage:
        """Encode one image.

        Args:
            x: (1, 3, H, W) in [0, 1], H and W multiples of ``padding_multiple``.

        Returns:
            Its streams, and the shape numbers that the model's decoder takes.

        Raises:
            CodecError: what the model returns is nested, or not for one image.
        """
        analysed = _Analysed(self.model)
        with analysed.remembered():
            streams, shape = _flat(self.model.compress(x))
        names = [f"y{number}" if len(streams) > 2 else "y" for number in range(len(streams))]
        if len(streams) > 1:
            names[-1] = "z"

        @lru_cache
        @torch.no_grad()
        def forward() -> dict:
            with analysed.replayed():
                return self.model(x)

        def estimate_bits() -> float:
            return count_bits(forward()["likelihoods"].values())

        def expect() -> Tensor | None:
            image = forward().get("x_hat")
            return None if image is None else image.clamp(0, 1)

        return EncodedImage(dict(zip(names, streams)), shape, lambda: self.decode_image(streams, shape), estimate_bits,
                            expect)

    @torch.no_grad()
    def decode_image(self, streams: Sequence[bytes], shape: Sequence[int]) -> Tensor:
        """Decode the streams of one image.

        Args:
            streams: in the order of ``EncodedImage.streams``.
            shape: numbers of ``EncodedImage.shape``.

        Returns:
            Tensor (1, 3, H, W), clamped to [0, 1].
        """
        return self.model.decompress([[stream] for stream in streams], torch.Size(shape))["x_hat"].clamp(0, 1)


class _Analysed:
    """What ``g_a``, where a model has such a network, gave for an image: one pass' result for another one's use."""

    def __init__(self, model: nn.Module) -> None:
        network = getattr(model, "g_a", None)
        self._network = network if isinstance(network, nn.Module) else nn.Identity()
        self._seen: list[tuple[Tensor, Tensor]] = []

    @contextmanager
    def remembered(self) -> Iterator[None]:
        """Remember the results of calls."""

        def remember(_: nn.Module, inputs: tuple, output: Any) -> None:
            if len(inputs) == 1 and isinstance(output, Tensor):
                self._seen.append((inputs[0], output.clone()))

        hook = self._network.register_forward_hook(remember)
        try:
            yield
        finally:
            hook.remove()

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Give calls with the same tensor the result remembered for it."""
        compute = self._network.forward

        def forward(*inputs: Any, **options: Any) -> Any:
            found = [output for known, output in self._seen if len(inputs) == 1 and known is inputs[0] and not options]
            return found[0].clone() if found else compute(*inputs, **options)

        self._network.forward = forward
        try:
            yield
        finally:
            del self._network.forward


def _flat(coded: Any) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    """Streams and shape numbers of what ``compress`` returned for one image."""
    if not isinstance(coded, Mapping) or not {"strings", "shape"} <= set(coded):
        raise CodecError(f"{EXPECTED}, not {type(coded).__name__}")
    strings, shape = coded["strings"], coded["shape"]
    for entry in strings:
        if not isinstance(entry, (list, tuple)) or [type(stream) for stream in entry] != [bytes]:
            raise CodecError(f"{EXPECTED}; for one image, an entry of 'strings' is {_brief(entry)}")
    if not isinstance(shape, Sequence) or not all(type(number) is int and number >= 0 for number in shape):
        raise CodecError(f"{EXPECTED}; 'shape' is {_brief(shape)}")
    return tuple(stream for [stream] in strings), tuple(shape)


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def prepare(model: Any) -> Any:
    """Give a model of CompressAI's interface what padding and loading need, where its class does not say.

    Args:
        model: a module; changed in place.

    Returns:
        The same model.
    """
    if not hasattr(model, "padding_multiple"):
        model.padding_multiple = PADDING
    if isinstance(model, CompressionModel):
        if not hasattr(model, "rebuilt"):
            model.rebuilt = TABLES
        if not hasattr(model, "rename"):
            model.rename = lambda weights: _todays_names(model, weights)
    return model


def _todays_names(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Bring the names of earlier versions of CompressAI to those of the one installed."""
    weights = load_state_dict(weights)
    for name, module in model.named_modules():
        if isinstance(module, EntropyBottleneck):
            weights = remap_old_keys(name, weights)
    return weights


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
        with torch.no_grad():
            return super().update(scale_table, force, scale=self.Gain[self.level].abs())


def zoo_model(architecture: str, quality: int = 1, metric: str = "mse", padding_multiple: int = PADDING) -> Any:
    """Build a model of CompressAI's zoo (Bégaint et al., arXiv 2011.03029) with fresh weights.

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
