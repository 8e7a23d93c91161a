"""Where the time of an encode or decode goes: what records the stages of a codec.

Every moment of a pass belongs to one stage, the innermost that is running, so that stages never count twice and always
add up to the whole. ``stage_marks.py`` tells a recorder of stages.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from bench.results.stages import REST

PROFILER_PREFIX = "bench stage: "

M = TypeVar("M")


class Recorder:
    """Is told of stages; a stage ends where another one begins, and goes on where that one is left.

    Args:
        changed: is told the innermost stage whenever another one may have become it.

    Attributes:
        calls: how often each stage was entered from another one.
    """

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._stack: list[str] = []
        self._changed = changed
        self.calls: Counter[str] = Counter()

    @property
    def depth(self) -> int:
        """How many stages are entered."""
        return len(self._stack)

    def enter(self, stage: str) -> None:
        """A stage begins inside the current one."""
        if not self._stack or self._stack[-1] != stage:
            self.calls[stage] += 1
        self._stack.append(stage)
        self._changed(stage)

    def leave(self) -> None:
        """The current stage ends; the one around it goes on."""
        self._stack.pop()
        self._changed(self._stack[-1] if self._stack else REST)

    def rename(self, depth: int, stage: str) -> None:
        """From now on the stage entered as number ``depth`` (0: the first) is another one."""
        if self._stack[depth] != stage:
            self.calls[stage] += 1
            self._stack[depth] = stage
            self._changed(self._stack[-1])


@dataclass(frozen=True)
class Breakdown:
    """What one pass showed.

    Attributes:
        seconds: of each stage that ran, without those inside it; they add up to ``total_s``, "rest" included.
        calls: how often each stage was entered from another one.
        total_s: of the whole pass.
    """

    seconds: dict[str, float]
    calls: dict[str, int]
    total_s: float


class Timeline(Recorder, Generic[M]):
    """A recorder that takes a mark wherever the stage changes.

    Args:
        mark: returns a mark of the moment.
        seconds_between: returns the seconds between two marks; called after the pass only.
    """

    def __init__(self, mark: Callable[[], M], seconds_between: Callable[[M, M], float]) -> None:
        super().__init__(self._add_mark)
        self._mark, self._seconds_between = mark, seconds_between
        self._marks: list[tuple[str, M]] = []  # the stage that begins, and when

    def breakdown(self, total_s: float | None = None) -> Breakdown:
        """Return what was recorded; what ``total_s`` has beyond the marks is "rest".

        Args:
            total_s: of the whole pass by another clock; by default what the marks span.
        """
        seconds: dict[str, float] = defaultdict(float)
        for (stage, start), (_, end) in zip(self._marks, self._marks[1:]):
            seconds[stage] += self._seconds_between(start, end)

        spanned_s = sum(seconds.values())
        if total_s is None:
            total_s = spanned_s
        else:
            seconds[REST] += total_s - spanned_s
        return Breakdown(dict(seconds), dict(self.calls), total_s)

    def _add_mark(self, stage: str) -> None:
        if not self._marks or self._marks[-1][0] != stage or not self._stack:
            self._marks.append((stage, self._mark()))


def host_timeline(clock: Callable[[], float] = time.perf_counter) -> Timeline[float]:
    """Marks by the host's clock, for work on a CPU."""
    return Timeline(clock, lambda start, end: end - start)


def cuda_timeline() -> Timeline[torch.cuda.Event]:
    """Marks as events in the GPU's queue, for work that runs there while the host is ahead of it.

    Synchronise before asking for the breakdown. Time in which the GPU waits for the host, as while symbols are
    coded there, belongs to the stage that the host is in.
    """
    def mark() -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    return Timeline(mark, lambda start, end: start.elapsed_time(end) / 1000)


@contextmanager
def profiler_marks() -> Iterator[Recorder]:
    """Make stages spans of torch.profiler, one after another: nested ones end where others begin."""
    spans: list[torch.profiler.record_function] = []

    def change(stage: str) -> None:
        if spans:
            spans.pop().__exit__(None, None, None)
        spans.append(torch.profiler.record_function(PROFILER_PREFIX + stage))
        spans[-1].__enter__()

    change(REST)
    try:
        yield Recorder(change)
    finally:
        spans.pop().__exit__(None, None, None)
