"""Ways to run the same model with the same weights: what users of a GPU try first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bench.common.errors import ConfigurationError
from bench.common.registry import Registry
from bench.models.half_precision import halve_precision

PREFIXES = ("g_a", "g_s", "h_a", "h_s")  # of the names of transforms, in all models


@dataclass(frozen=True)
class Configuration:
    """One way.

    Attributes:
        label: in rows.
        apply: changes a model on a device ("cpu", "cuda") in place.
        devices: on which it exists.
        must_match: a decoded image that differs from the encoder's own is a failure of this configuration.
    """

    label: str
    apply: Callable[[nn.Module, str], None]
    devices: tuple[str, ...] = ("cpu", "cuda")
    must_match: bool = False


CONFIGURATIONS: Registry[Configuration] = Registry("configuration")
DEFAULT = "default"


def find_transforms(model: nn.Module, prefixes: tuple[str, ...] = PREFIXES) -> list[nn.Module]:
    """Analysis, synthesis and hyper transforms of ``model``.

    Raises:
        ConfigurationError: it has none under their usual names.
    """
    found = [child for name, child in model.named_children() if name.startswith(prefixes)]
    if not found:
        raise ConfigurationError(f"{type(model).__name__} has no transforms called {', '.join(prefixes)}",
                                 "only the default configuration can be measured")
    return found


def _use_channels_last(model: nn.Module, device: str) -> None:
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _use_contiguous(model: nn.Module, device: str) -> None:
    """torch's usual format; the codec runs models in channels-last format by default."""
    model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for transform in find_transforms(model):  # pixels arrive channels-last, and convolutions would stay with that
        transform.register_forward_pre_hook(lambda module, inputs: (inputs[0].contiguous(),))


def _halve(model: nn.Module, device: str) -> None:
    """Analysis, synthesis and hyper-analysis in 16 bits: what gives the entropy parameters stays in float32."""
    dtype = torch.float16 if device == "cuda" else torch.bfloat16
    for transform in find_transforms(model, ("g_a", "g_s", "h_a")):
        transform.to(dtype)
        transform.register_forward_pre_hook(lambda module, inputs: (inputs[0].to(dtype),))
        transform.forward = halve_precision(transform.forward, device, dtype)


def _wrap_transforms(wrap: Callable[[Any], Any], model: nn.Module, device: str) -> None:
    for transform in find_transforms(model):
        transform.forward = wrap(transform.forward)


class GraphedCall:
    """Replays a function of one tensor as a CUDA graph, captured at the first call with each shape."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function
        self._captured: dict[Any, tuple[torch.cuda.CUDAGraph, Tensor, Tensor]] = {}

    def __call__(self, x: Tensor) -> Tensor:
        kind = (tuple(x.shape), tuple(x.stride()), x.dtype)
        if kind not in self._captured:
            self._captured[kind] = self._capture_graph(x)
        graph, given, result = self._captured[kind]
        given.copy_(x)
        graph.replay()
        return result.clone()  # the next replay writes over it

    def _capture_graph(self, x: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        given = x.clone(memory_format=torch.preserve_format)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries choose and allocate before the capture
            for _ in range(3):
                self._function(given)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = self._function(given)
        return graph, given, result


for _name, _configuration in {
    DEFAULT: Configuration("default", lambda model, device: None),
    "channels-last": Configuration("channels-last", _use_channels_last),
    "contiguous": Configuration("contiguous", _use_contiguous),
    "half-precision": Configuration("half precision", _halve, must_match=True),
    "compiled": Configuration(
        "compiled", partial(_wrap_transforms, lambda function: torch.compile(function, dynamic=False))),
    "cuda-graphs": Configuration("CUDA graphs", partial(_wrap_transforms, GraphedCall), ("cuda",)),
}.items():
    CONFIGURATIONS.add(_name, _configuration)
