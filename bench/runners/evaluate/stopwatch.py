"""What a unit spends its time on: measured in the worker, told beside the rows, stored nowhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

STARTING, CODING, SCORING, FILES = "start-up", "coding", "metrics", "hashing and files"
PARTS = (CODING, SCORING, FILES, STARTING)


def describe_seconds(seconds: Mapping[str, float]) -> str:
    """Return which share of the time each part took: "coding 71 %, metrics 20 %, ..."."""
    whole = sum(seconds.values()) or 1.0
    return ", ".join(f"{part} {100 * seconds.get(part, 0.0) / whole:.0f} %" for part in PARTS)


class Stopwatch:
    """Counts the seconds of one part at a time, so that none are left out or counted twice.

    The first metrics that a process computes load libraries: they count as start-up.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._part, self._since = STARTING, clock()
        self._counted_as = {SCORING: STARTING}
        self._seconds = dict.fromkeys(PARTS, 0.0)

    def begin(self, part: str) -> None:
        """From now on count seconds of ``part``."""
        now = self._clock()
        self._seconds[self._counted_as.get(self._part, self._part)] += now - self._since
        if part != self._part:
            self._counted_as.pop(self._part, None)
        self._part, self._since = part, now

    def take(self) -> dict[str, float]:
        """Return the seconds of each part since they were taken last."""
        self.begin(self._part)
        taken, self._seconds = self._seconds, dict.fromkeys(PARTS, 0.0)
        return taken
