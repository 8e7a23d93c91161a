"""Time Bi-WKV: the kernel and plain torch in turns, beside the time that the memory alone would need."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import torch

from bench.benchmarks.benchmark import (
    BenchmarkReport,
    CallTimes,
    SideBySide,
    Tell,
    machine_line,
    make_report,
    milliseconds,
    tell_nothing,
    time_together,
)
from bench.operators import kernels, plain, status

RUNS = 32
# Where models call the operator for a Kodak image (768 x 512): tokens, channels.
SHAPES = {
    "LALIC g_a, stage 1": (98304, 96),
    "LALIC g_a, stage 2": (24576, 144),
    "LALIC g_a, stage 3": (6144, 256),
    "RWKV phases, prior at s3": (1536, 960),
    "RWKV phases, cell at s3": (1536, 640),
    "RWKV phases, cell at s2": (384, 640),
}
QUICK = ("RWKV phases, cell at s3", "RWKV phases, cell at s2")
# Values of k's size that must be read or written: k, v, y; for the backward pass also k, v, gy, gk and gv.
MOVED = {"forward": 3, "forward + backward": 8}
NOTES = f"""\
float32, batch of 1, {RUNS} runs; median (10th to 90th percentile) in milliseconds.
faster: plain torch over kernel. floor: the bytes that must be read and written, at the bandwidth of copying a tensor
of k's size, timed in the same rounds. above floor: kernel over floor; a copy that fits a cache has a low floor."""


def run(device: str, quick: bool = False, tell: Tell = tell_nothing) -> BenchmarkReport:
    """Time every shape.

    Args:
        device: "cpu" or "cuda".
        quick: the small shapes only, five rounds.
    """
    library, implementation = kernels.KERNELS.get(device), status(device)
    rows, ratios = [], []
    for place in QUICK if quick else SHAPES:
        tokens, channels = SHAPES[place]
        timings = time_together(_make_functions(library, tokens, channels, device), 5 if quick else 20, tell=tell)
        rows += [_make_row(place, tokens, channels, which, timings) for which in MOVED]
        if library:
            ratios += [SideBySide(f"Bi-WKV, {place}, {which}, over plain torch",
                                  timings[f"kernel {which}"].over(timings[f"plain {which}"])) for which in MOVED]
    head = f"{implementation.identity}: {implementation.label}; {machine_line(device)}"
    return make_report(head, rows, NOTES, ratios)


def _make_functions(library: ctypes.CDLL | None, tokens: int, channels: int,
                    device: str) -> dict[str, Callable[[], object]]:
    """What is timed: "copy", and of plain torch and the kernel each pass."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(channels,)] * 2 + [(1, tokens, channels)] * 3
    decay, boost, k, v, grad = (torch.randn(shape, generator=generator).to(device) for shape in shapes)
    w, u = decay / tokens, boost / tokens  # as at initialisation
    target = torch.empty_like(k)
    inputs = (w, u, k, v, RUNS)
    functions: dict[str, Callable[[], object]] = {
        "copy": lambda: target.copy_(k),
        "plain forward": lambda: plain.forward(*inputs),
        "plain forward + backward": lambda: (plain.forward(*inputs), plain.backward(grad, *inputs)),
    }
    if library:
        functions["kernel forward"] = lambda: kernels.forward(library, *inputs)
        functions["kernel forward + backward"] = lambda: (
            kernels.forward(library, *inputs), kernels.backward(library, grad, *inputs))
    return functions


def _make_row(place: str, tokens: int, channels: int, which: str,
              timings: dict[str, CallTimes]) -> dict[str, str | int]:
    floor = timings["copy"].median / 2 * MOVED[which]
    slow, kernel = timings[f"plain {which}"], timings.get(f"kernel {which}")
    return {
        "used by": place, "T": tokens, "C": channels, "pass": which,
        "plain torch": str(slow), "kernel": str(kernel) if kernel else "none",
        "faster": f"{slow.median / kernel.median:.1f}x" if kernel else "",
        "floor": milliseconds(floor),
        "above floor": f"{kernel.median / floor:.1f}x" if kernel else "",
    }
