"""The protocol of latency measurements: first call apart, warm-up until medians agree, then turns, A B A B.

Nothing here knows of models: it times functions. Whatever else the machine does falls on all functions of a round
alike, so that their ratios hold even where single times don't.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from bench.metrics.statistics.timing import is_stable
from bench.runners.machine import time_call

K = TypeVar("K", bound=Hashable)
Timer = Callable[[Callable[[], object]], tuple[object, float]]


@dataclass(frozen=True)
class Protocol:
    """How often functions are called.

    Attributes:
        repeats: rounds that are sampled.
        budget_s: after so many seconds of sampling no further round starts, but not before ``least`` rounds.
        least: rounds that are sampled in any case.
        warmup_s: a function counts as warm when its times are stable, or when it has run so long, or
            ``warmup_calls`` times.
        warmup_calls: see above.
    """

    repeats: int = 10
    budget_s: float = float("inf")
    least: int = 6
    warmup_s: float = 2.0
    warmup_calls: int = 30


@dataclass
class Samples:
    """Seconds of each call of one function, in order; ``failure`` ended it early.

    ``warm_because`` says what ended the warm-up: "stable", "time" or "calls".
    """

    warmup_s: list[float] = field(default_factory=list)
    warm_because: str = ""
    samples_s: list[float] = field(default_factory=list)
    failure: Exception | None = None


class Turns(Generic[K]):
    """Times functions in turns.

    Args:
        functions: by name, in the order of a round. One that raises drops out of all further rounds.
        timer: calls a function and returns its result and the seconds it took, both ends synchronised.
        clock: seconds, for the budget.
        report: is told the name before each call.

    Attributes:
        samples: of each function, as far as they got; whole rounds only after :meth:`measure` has returned.
    """

    def __init__(self, functions: Mapping[K, Callable[[], object]], timer: Timer = time_call,
                 clock: Callable[[], float] = time.monotonic, report: Callable[[K], None] = lambda name: None) -> None:
        self._functions, self._timer, self._clock, self._report = dict(functions), timer, clock, report
        self.samples: dict[K, Samples] = {name: Samples() for name in functions}

    def measure(self, protocol: Protocol) -> dict[K, Samples]:
        """Warm up, sample, and return the samples."""
        self._warm_up(protocol)
        start = self._clock()
        for done in range(protocol.repeats):
            if done >= protocol.least and self._clock() - start >= protocol.budget_s:
                break
            for name in self._running():
                self._call(name, self.samples[name].samples_s)
        return self.samples

    def _warm_up(self, protocol: Protocol) -> None:
        cold = self._running()
        while cold:
            for name in cold:
                self._call(name, self.samples[name].warmup_s)
            for name in cold:
                self.samples[name].warm_because = self._why_warm(self.samples[name].warmup_s, protocol)
            cold = [name for name in cold if self.samples[name].failure is None and not self.samples[name].warm_because]

    @staticmethod
    def _why_warm(taken: Sequence[float], protocol: Protocol) -> str:
        if is_stable(taken):
            return "stable"
        if sum(taken) >= protocol.warmup_s:
            return "time"
        return "calls" if len(taken) >= protocol.warmup_calls else ""

    def _running(self) -> Sequence[K]:
        return [name for name in self._functions if self.samples[name].failure is None]

    def _call(self, name: K, seconds: list[float]) -> None:
        self._report(name)
        try:
            seconds.append(self._timer(self._functions[name])[1])
        except Exception as error:
            self.samples[name].failure = error
