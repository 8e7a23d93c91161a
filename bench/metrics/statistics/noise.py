"""How much trainings that differ in nothing but their seed differ in what they reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from bench.metrics.statistics.timing import LEVEL


@dataclass(frozen=True)
class RunNoise:
    """Spread of one number over runs with different seeds, all in the number's own unit.

    Attributes:
        runs: how many runs there are.
        mean, low, high: of the runs.
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
        """Say whether a number lies within the range of the runs.

        Args:
            value: in the unit of the runs' numbers.
        """
        return self.low <= value <= self.high


def run_noise(values: Sequence[float], level: float = LEVEL) -> RunNoise:
    """Return the spread of a number over runs that differ in their seed only.

    Args:
        values: one for each run, in any unit.
        level: of the interval that :attr:`RunNoise.half_width` is of.

    Returns:
        The spread, in that unit.

    Raises:
        ValueError: fewer than two runs, or a value that is not finite.

    >>> noise = run_noise([0.0, 1.4, 0.4])
    >>> f"mean {noise.mean:.2f}, deviation {noise.deviation:.2f}, differences below {noise.half_width:.1f} say nothing"
    'mean 0.60, deviation 0.72, differences below 4.4 say nothing'
    """
    runs = np.asarray(values, dtype=float)
    if runs.ndim != 1 or len(runs) < 2 or not np.isfinite(runs).all():
        raise ValueError("noise between runs needs the finite values of two runs or more")

    deviation = float(runs.std(ddof=1))
    half_width = float(scipy.special.stdtrit(len(runs) - 1, (1 + level) / 2)) * math.sqrt(2) * deviation
    return RunNoise(len(runs), float(runs.mean()), deviation, float(runs.min()), float(runs.max()), half_width)
