"""How much trainings that differ in nothing but their seed differ in what they reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.95  # two-sided


@dataclass(frozen=True)
class RunNoise:
    """Spread of one number over runs with different seeds, all in the number's own unit.

    Attributes:
        runs: how many runs there are.
        deviation: standard deviation of a single run, n - 1 in the denominator.
        half_width: of the 95 % interval of the difference between two single runs, t·√2·deviation with t of n - 1
            degrees of freedom: a smaller difference may be the seeds' alone.
    """

    runs: int
    mean: float
    deviation: float
    low: float
    high: float
    half_width: float

    def holds(self, value: float) -> bool:
        """Whether ``value`` lies within the range of the runs."""
        return self.low <= value <= self.high


def run_noise(values: Sequence[float], level: float = LEVEL) -> RunNoise:
    """Return the spread of ``values``, one for each run.

    Raises:
        ValueError: fewer than two runs, or a value that is not finite.
    """
    runs = np.asarray(values, dtype=float)
    if runs.ndim != 1 or len(runs) < 2 or not np.isfinite(runs).all():
        raise ValueError("noise between runs needs the finite values of two runs or more")
    deviation = float(runs.std(ddof=1))
    half_width = float(stdtrit(len(runs) - 1, (1 + level) / 2)) * math.sqrt(2) * deviation
    return RunNoise(len(runs), float(runs.mean()), deviation, float(runs.min()), float(runs.max()), half_width)
