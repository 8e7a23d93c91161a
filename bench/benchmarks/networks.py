"""Time hpcm_base from pixels to bytes and back beside the bare networks that it consists of."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import torch
from tabulate import tabulate
from torch import Tensor, nn

from bench.benchmarks.benchmark import Ratio, Report, machine_line, time_together
from bench.benchmarks.lively import lively_model
from bench.codecs.learned import LearnedCodec
from bench.models.hyperprior import HyperpriorCodec
from bench.runners.allocator import keep_freed_memory, memory_given_back
from bench.runners.machine import configure_torch
from bench.runners.profile.subjects import BASELINE, picture

SHAPE, QUICK_SHAPE = (768, 512), (256, 256)  # width, height
Call = tuple[nn.Module, tuple[Tensor, ...]]
NOTES = """\
Milliseconds; median (10th to 90th percentile). codec: 8-bit pixels to the bytes of a file and back, with all coding,
as `python -m bench evaluate` runs it: channels-last format, freed memory kept. networks: the sum of {calls} calls of
its bare networks, on the tensors that they get there, eagerly in the default memory format and without any coding;
memory kept: the same with the codec's use of memory."""


def run(device: str, quick: bool = False) -> Report:
    """Time encoding and decoding in turns with the bare networks."""
    width, height = QUICK_SHAPE if quick else SHAPE
    configure_torch(threads=None, deterministic=True)
    keep_freed_memory()
    model = lively_model(BASELINE)
    bare, codec = copy.deepcopy(model).to(device), LearnedCodec(model, device)
    image = picture(width, height)
    stream = codec.encode(image).stream
    x = (torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255).contiguous().to(device)
    calls = network_calls(bare, x)
    functions: dict[str, Callable[[], object]] = {}
    for direction, code in (("encode", lambda: codec.encode(image)), ("decode", lambda: codec.decode(stream))):
        functions[direction] = code
        functions[f"{direction}, networks"] = _giving_back(lambda part=calls[direction]: run_calls(part))
        functions[f"{direction}, memory kept"] = lambda part=calls[direction]: run_calls(part)
    timings = time_together(functions, device, 3 if quick else 10, budget=10 if quick else 120)
    rows, ratios = [], []
    for direction in calls:
        codec_time, networks, kept = (timings[direction + part] for part in ("", ", networks", ", memory kept"))
        ratios.append(Ratio(f"{BASELINE}, {direction}, over its bare networks", codec_time.over(networks), 0.7))
        rows.append({"": direction, "codec": codec_time, "networks": networks, "memory kept": kept,
                     "codec / networks": codec_time.over(networks), "codec / memory kept": codec_time.over(kept)})
    notes = NOTES.format(calls=" and ".join(str(len(part)) for part in calls.values()))
    table = tabulate(rows, headers="keys", disable_numparse=True)
    return Report("\n".join([machine_line(device), f"{width}x{height}", table, notes]), ratios)


def network_calls(model: HyperpriorCodec, x: Tensor) -> dict[str, list[Call]]:
    """Which networks ``encode_image`` and ``decode_image`` call for an image ``x``, with contiguous inputs."""
    calls: list[Call] = []

    def remember(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls.append((module, tuple(value.clone(memory_format=torch.contiguous_format) for value in inputs)))

    with ExitStack() as stack:
        for network in networks(model):
            stack.callback(network.register_forward_pre_hook(remember).remove)
        encoded = model.encode_image(x)
        encoder_calls, calls[:] = list(calls), []
        model.decode_image(tuple(encoded.streams.values()), encoded.shape)
    return {"encode": encoder_calls, "decode": calls}


def networks(model: nn.Module) -> Iterator[nn.Module]:
    """The networks of a model: its children with weights, lists of them taken apart."""
    for child in model.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        elif any(True for _ in child.parameters()) and not isinstance(child, nn.ParameterList):
            yield child


@torch.no_grad()
def run_calls(calls: Sequence[Call]) -> None:
    for module, inputs in calls:
        module(*inputs)


def _giving_back(function: Callable[[], object]) -> Callable[[], object]:
    def call() -> object:
        with memory_given_back():
            return function()
    return call
