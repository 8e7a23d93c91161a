"""What a benchmark is, and how functions are timed side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Benchmark:
    """A benchmark that can be run by name.

    Args:
        summary: what is timed, for the list of benchmarks.
        run: takes the device ("cpu" or "cuda") and whether a quick look will do; returns the text to print.
    """

    summary: str
    run: Callable[[str, bool], str]


@dataclass(frozen=True)
class Timing:
    """Wall-clock seconds of several repeats of one function."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    def __str__(self) -> str:
        """Milliseconds: the median, and the 10th and 90th percentiles."""
        low, high = np.percentile(self.seconds, [10, 90])
        return f"{milliseconds(self.median)} ({milliseconds(low)} to {milliseconds(high)})"


def milliseconds(seconds: float) -> str:
    """Seconds as text in milliseconds, with three digits or whole."""
    return f"{seconds * 1e3:.3g}" if seconds < 0.1 else f"{seconds * 1e3:.0f}"


def time_together(functions: Mapping[str, Callable[[], object]], device: str, repeats: int = 20,
                  budget: float = 20.0) -> dict[str, Timing]:
    """Time functions in turns, so that whatever else the machine does falls on all of them alike.

    Each is called once to warm up, then once a round.

    Args:
        functions: name to function.
        device: "cuda" waits for the GPU before and after each call.
        repeats: rounds.
        budget: seconds after which no further round starts, but not before three rounds.

    Returns:
        Name to timing.
    """
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    for function in functions.values():
        function()
    taken: dict[str, list[float]] = {name: [] for name in functions}
    start = time.perf_counter()
    for done in range(repeats):
        if done >= 3 and time.perf_counter() - start > budget:
            break
        for name, function in functions.items():
            wait()
            before = time.perf_counter()
            function()
            wait()
            taken[name].append(time.perf_counter() - before)
    return {name: Timing(tuple(seconds)) for name, seconds in taken.items()}
