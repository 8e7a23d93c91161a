"""Models that have CompressAI's interface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from compressai.entropy_models import EntropyBottleneck
from compressai.models import (
    CompressionModel,
    FactorizedPrior,
    FactorizedPriorReLU,
    MeanScaleHyperprior,
    ScaleHyperprior,
)
from compressai.models.utils import remap_old_keys
from compressai.zoo import load_state_dict
from torch import Tensor, nn

from bench.common.errors import CodecError, ConfigurationError
from bench.models.coding_tables import use_tables
from bench.models.exact import NO_EXACT
from bench.models.exact_compressai import Edges, decode_streams, encode_streams, widen_networks
from bench.models.image_codec import DecodedImage, EncodedImage, count_bits

HYPERPRIORS = (FactorizedPrior, FactorizedPriorReLU, ScaleHyperprior, MeanScaleHyperprior)  # without a context model
PADDING = 64  # CompressAI's own evaluation
TABLES = ("_quantized_cdf", "_offset", "_cdf_length", "scale_table")
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
        self.edges: Edges | None = None  # of an exact model
        self.padding_multiple: int = self.model.padding_multiple
        self.hyper_stride: int | None = getattr(model, "hyper_stride", getattr(model, "downsampling_factor", None))

    @property
    def stream_tag(self) -> int:
        """A number that differs where the same weights read streams differently."""
        return getattr(self.model, "stream_tag", 0)

    def make_exact(self) -> None:
        """Compute what decides a row of the coder's tables in float64, see :mod:`bench.models.exact`.

        Raises:
            ConfigurationError: it is not one of CompressAI's hyperpriors without a context model.
        """
        if own := getattr(self.model, "make_exact", None):
            own()
            return
        if type(self.model) not in HYPERPRIORS:
            raise ConfigurationError(f"{type(self.model).__name__} has no exact configuration", NO_EXACT)
        if hasattr(self.model, "h_s"):
            self.edges = widen_networks(self.model, [self.model.h_s], [self.model.g_s])

    def use_tables(self, version: int) -> None:
        """Build the coder's tables for files of a format version, see :func:`bench.models.coding_tables.use_tables`.

        Args:
            version: of the files.
        """
        use_tables(self.model, version)

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
            streams, shape, latents_crc = encode_streams(lambda: _flat(self.model.compress(x)), self.edges)
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

        return EncodedImage(dict(zip(names, streams)), shape, lambda: self.decode_image(streams, shape).image,
                            estimate_bits, expect, latents_crc)

    @torch.no_grad()
    def decode_image(self, streams: Sequence[bytes], shape: Sequence[int]) -> DecodedImage:
        """Decode the streams of one image.

        Args:
            streams: in the order of ``EncodedImage.streams``.
            shape: numbers of ``EncodedImage.shape``.

        Returns:
            The image, and the checksum of its latents where CompressAI's coders decode them.

        Raises:
            CodecError: the streams are not what the encoder wrote.
        """
        decoded, latents_crc = decode_streams(lambda given: self.model.decompress(given, torch.Size(shape)), streams,
                                              self.edges)
        return DecodedImage(decoded["x_hat"].clamp(0, 1), latents_crc)


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
    """A value as text of 60 letters at most."""
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
