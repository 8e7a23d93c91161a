"""What a benchmark is, what it reports, and how functions are timed side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate

import bench
from bench.common.errors import EXIT_DONE, BenchError
from bench.runners.machine import configure_torch, device_name, keep_freed_memory, time_call
from bench.runners.profile.protocol import Protocol, Turns
from bench.runners.profile.subjects import make_picture

Tell = Callable[[str], None]  # says what is being timed


def tell_nothing(what: str) -> None:
    """Say nothing of what is being timed."""

@dataclass(frozen=True)
class Spread:
    """A number in each of several rounds; as text its median, and the 10th and 90th percentiles."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """In the unit of the values."""
        return float(np.median(self.values))

    def __str__(self) -> str:
        median, low, high = map(self._text, np.percentile(self.values, [50, 10, 90]))
        return f"{median} ({low} to {high})"

    def _text(self, value: float) -> str:
        return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


class CallTimes(Spread):
    """Wall-clock seconds of one function; as text in milliseconds."""

    def over(self, other: CallTimes) -> Spread:
        """This time over another one of the same rounds, round by round, so that slow changes of the machine cancel."""
        return Spread(tuple(a / b for a, b in zip(self.values, other.values)))

    def _text(self, value: float) -> str:
        return milliseconds(value)


@dataclass(frozen=True)
class SideBySide:
    """Two times beside each other, for the table of all ratios.

    Attributes:
        what: what is compared.
        ratios: of each round, ours over the other's: less is better.
        goal: what the median shall be at most; None where there is no such goal.
    """

    what: str
    ratios: Spread
    goal: float | None = None

    @property
    def is_reached(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        return None if self.goal is None else self.ratios.median <= self.goal


@dataclass(frozen=True)
class BenchmarkReport:
    """What a benchmark found: text to print, and its ratios."""

    text: str
    ratios: Sequence[SideBySide] = ()


def milliseconds(seconds: float) -> str:
    """Seconds as text in milliseconds, with three digits or whole."""
    return f"{seconds * 1e3:.3g}" if seconds < 0.1 else f"{seconds * 1e3:.0f}"


def time_together(functions: Mapping[str, Callable[[], object]], repeats: int = 20,
                  budget_s: float = 20.0, tell: Tell = tell_nothing) -> dict[str, CallTimes]:
    """Time functions in turns, each called once to warm up, then once a round.

    Args:
        functions: name to function.
        repeats: rounds.
        budget_s: seconds after which no further round starts, but not before three rounds.
        tell: gets the name of each function before it is called.

    Raises:
        Exception: whatever a function raises.
    """
    turns = Turns(functions, report=tell).measure(Protocol(repeats, budget_s, least=3, warmup_s=0))
    for samples in turns.values():
        if samples.failure is not None:
            raise samples.failure
    return {name: CallTimes(tuple(samples.samples_s)) for name, samples in turns.items()}


def set_up_codecs(quick: bool) -> np.ndarray:
    """Set torch and memory up as `evaluate` does, and return the picture to code: 768x512, or 256x256."""
    configure_torch(threads=None, deterministic=True)
    keep_freed_memory()
    return make_picture(256, 256) if quick else make_picture(768, 512)


def machine_line(device: str) -> str:
    """What the times were taken on."""
    threads = f", {torch.get_num_threads()} of {os.cpu_count()} cores" if device == "cpu" else ""
    return f"{device_name(device)}{threads}, torch {torch.__version__}"


def make_report(head: str, rows: Sequence[Mapping[str, Any]], notes: str,
                ratios: Sequence[SideBySide] = ()) -> BenchmarkReport:
    """Return a report of a table between two texts."""
    return BenchmarkReport("\n".join([head, tabulate(rows, headers="keys", disable_numparse=True), notes]), ratios)


def ratio_table(ratios: Sequence[SideBySide]) -> str:
    """All ratios: median, 10th and 90th percentile of the rounds, and the goal where there is one."""
    reached = {None: "", True: "yes", False: "NO"}
    rows = [{"ratio of times": one.what, "median (p10 to p90)": one.ratios, "rounds": len(one.ratios.values),
             "goal": "" if one.goal is None else f"at most {one.goal:g}", "reached": reached[one.is_reached]}
            for one in ratios]
    return tabulate(rows, headers="keys", disable_numparse=True)


def run_python(arguments: Sequence[str], folder: Path, *, exit_codes: Sequence[int] = (EXIT_DONE,),
               **variables: str) -> tuple[str, float]:
    """Run Python with ``arguments`` in ``folder``; returns what it printed and the seconds it took.

    Args:
        exit_codes: that do not count as a failure.
        variables: of the environment, beside this process' own.

    Raises:
        BenchError: it failed.
    """
    root = str(Path(bench.__file__).resolve().parents[1])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    call = partial(subprocess.run, cwd=folder, capture_output=True, text=True,
                   env={**os.environ, "PYTHONPATH": paths, **variables})
    done, seconds = time_call(call, [sys.executable, *arguments])
    if done.returncode not in exit_codes:
        raise BenchError(f"{' '.join(arguments[:3])} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout, seconds
