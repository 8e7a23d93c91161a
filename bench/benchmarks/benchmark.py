"""What a benchmark is, what it reports, and how functions are timed side by side."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tabulate import tabulate

from bench.runners.machine import device_name


@dataclass(frozen=True)
class Ratio:
    """A ratio of two times, for the table of all ratios.

    Attributes:
        what: what is compared.
        values: the ratio of each round.
        goal: what it shall be at most; None where there is no such goal.
    """

    what: str
    values: Spread
    goal: float | None = None


@dataclass(frozen=True)
class Report:
    """What a benchmark found: text to print, and its ratios."""

    text: str
    ratios: Sequence[Ratio] = ()


@dataclass(frozen=True)
class Benchmark:
    """A benchmark that can be run by name.

    Args:
        summary: what is timed, for the list of benchmarks.
        run: takes the device ("cpu" or "cuda") and whether a quick look will do; returns a report or,
            without ratios, its text.
    """

    summary: str
    run: Callable[[str, bool], Report | str]


@dataclass(frozen=True)
class Spread:
    """Ratios of several rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.values))

    def __str__(self) -> str:
        """The median, and the 10th and 90th percentiles."""
        median, low, high = (f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
                             for value in (self.median, *np.percentile(self.values, [10, 90])))
        return f"{median} ({low} to {high})"


@dataclass(frozen=True)
class Timing:
    """Wall-clock seconds of several repeats of one function."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    def over(self, other: Timing) -> Spread:
        """This time over another one of the same rounds, round by round, so that slow changes of the machine cancel."""
        return Spread(tuple(a / b for a, b in zip(self.seconds, other.seconds)))

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


def machine_line(device: str) -> str:
    """What the times were taken on."""
    threads = f", {torch.get_num_threads()} of {os.cpu_count()} cores" if device == "cpu" else ""
    return f"{device_name(device)}{threads}, torch {torch.__version__}"


def ratio_table(ratios: Sequence[Ratio]) -> str:
    """All ratios: median, 10th and 90th percentile of the rounds, and the goal where there is one."""
    rows = [{"ratio of times": ratio.what, "median (p10 to p90)": ratio.values, "rounds": len(ratio.values.values),
             "goal": "" if ratio.goal is None else f"at most {ratio.goal:g}"} for ratio in ratios]
    return tabulate(rows, headers="keys", disable_numparse=True)
