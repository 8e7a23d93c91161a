"""How far a run of steps of known expected length is: a line every few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from bench.common.text import duration

LINE_EVERY_S = 5.0
PRIOR_S = 20.0  # how long the plan's estimate is trusted over what the run has shown so far


class Countdown:
    """Tells the time left: the plan's, scaled by how the run has fared against it so far.

    Args:
        expected_s: of all steps.
    """

    def __init__(self, expected_s: float, stream: TextIO | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._expected_s, self._begun_s, self._passed_s = expected_s, 0.0, 0.0
        self._stream, self._clock = stream or sys.stderr, clock
        self._start = clock()
        self._last_line = -LINE_EVERY_S

    def step(self, what: str, expected_s: float) -> None:
        """A step begins that is expected to take ``expected_s``; the step before it is over."""
        self._passed_s, self._begun_s = self._begun_s, self._begun_s + expected_s
        now = self._clock()
        if now - self._last_line >= LINE_EVERY_S:
            self._last_line = now
            print(f"{duration(self.left_s())} left ({what})", file=self._stream, flush=True)

    def left_s(self) -> float:
        elapsed = self._clock() - self._start
        pace = (elapsed + PRIOR_S) / (self._passed_s + PRIOR_S)
        return pace * max(0.0, self._expected_s - self._passed_s)
