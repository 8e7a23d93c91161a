"""Time hpcm_base from pixels to bytes and back beside the bare networks that it consists of."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bench.benchmarks import benchmark
from bench.codecs.learned_codec import LearnedCodec
from bench.models.pointwise import SLOPE, Conv1x1
from bench.results.latency_selection import BASE
from bench.runners.machine import memory_given_back
from bench.runners.profile.subjects import make_lively_model

GOAL = 0.65
Call = tuple[nn.Module, tuple[Tensor, ...]]
NOTES = """\
Milliseconds; median (10th to 90th percentile). codec: 8-bit pixels to the bytes of a file and back, with all coding,
as `python -m bench evaluate` runs it: channels-last format, freed memory kept. networks: the sum of {calls} calls of
its bare networks, on the tensors that they get there, of torch's own layers, eagerly in the default memory format and
without any coding; memory kept: the same with the codec's use of memory."""


def run(device: str, quick: bool = False, tell: benchmark.Tell = benchmark.tell_nothing) -> benchmark.BenchmarkReport:
    """Time encoding and decoding in turns with the bare networks."""
    image = benchmark.set_up_codecs(quick)
    model = make_lively_model(BASE)
    bare, codec = copy.deepcopy(model).to(device), LearnedCodec(model, device)
    stream = codec.encode(image).stream
    x = (torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255).contiguous().to(device)
    use_torch_layers(bare)
    calls = record_calls(bare, x)
    functions: dict[str, Callable[[], object]] = {}
    for direction, code in (("encode", partial(codec.encode, image)), ("decode", partial(codec.decode, stream))):
        functions[direction] = code
        functions[f"{direction}, networks"] = partial(memory_given_back()(run_calls), calls[direction])
        functions[f"{direction}, memory kept"] = partial(run_calls, calls[direction])
    timings = benchmark.time_together(functions, 3 if quick else 10, 10 if quick else 45, tell)

    rows, ratios = [], []
    for direction in calls:
        codec_time, networks, kept = (timings[direction + part] for part in ("", ", networks", ", memory kept"))
        ratios.append(benchmark.SideBySide(f"{BASE}, {direction}, over its bare networks", codec_time.over(networks),
                                           None if quick else GOAL))
        rows.append({"": direction, "codec": codec_time, "networks": networks, "memory kept": kept,
                     "codec / networks": codec_time.over(networks), "codec / memory kept": codec_time.over(kept)})
    notes = NOTES.format(calls=" and ".join(str(len(part)) for part in calls.values()))
    head = f"{benchmark.machine_line(device)}\n{image.shape[1]}x{image.shape[0]}"
    return benchmark.make_report(head, rows, notes, ratios)


def record_calls(model: Any, x: Tensor) -> dict[str, list[Call]]:
    """Which networks ``encode_image`` and ``decode_image`` call for an image ``x``, with contiguous inputs."""
    calls: list[Call] = []

    def remember(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls.append((module, tuple(value.clone(memory_format=torch.contiguous_format) for value in inputs)))

    with ExitStack() as stack:
        for network in find_networks(model):
            stack.callback(network.register_forward_pre_hook(remember).remove)
        encoded = model.encode_image(x)
        encoder_calls, calls[:] = list(calls), []
        model.decode_image(tuple(encoded.streams.values()), encoded.shape)
    return {"encode": encoder_calls, "decode": calls}


def use_torch_layers(model: nn.Module) -> None:
    """Put torch's own 1x1 convolutions and activations in place of the suite's, with the same weights."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if not isinstance(layer, Conv1x1):
                continue
            plain = nn.Conv2d(layer.in_channels, layer.out_channels, 1)
            plain.weight, plain.bias = layer.weight, layer.bias
            activated = nn.Sequential(plain, nn.LeakyReLU(SLOPE, inplace=True))
            setattr(parent, name, activated if layer.activated else plain)


def find_networks(model: nn.Module) -> Iterator[nn.Module]:
    """The networks of a model: its children with weights, lists of them taken apart."""
    for child in model.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        elif any(True for _ in child.parameters()) and not isinstance(child, nn.ParameterList):
            yield child


@torch.no_grad()
def run_calls(calls: Sequence[Call]) -> None:
    """Call networks one after the other, without gradients."""
    for module, inputs in calls:
        module(*inputs)
