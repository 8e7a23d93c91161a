"""What is known of one number: its value, intervals, and p-values that agree with the intervals.

A p-value of an estimate and its interval tell the same: ``p_above(x)`` is below 5 % where ``x`` lies below the interval
of 90 %, whose ends are the one-sided bounds of 95 %, and so on for each level. Every estimate has these members:

* ``value``, the best single value; ``n``, images or rounds that it rests on; ``method``, how the interval is made;
* ``interval``, two-sided with equal tails, which holds the value;
* ``p_below(x)``, the p-value of "the true value is at least x": small is evidence that it is below; ``p_above(x)``;
* ``detectable``, the smallest effect that a one-sided test at a level finds with a probability, its power.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import scipy

from bench.metrics.statistics.resampled import POWER, Resampled
from bench.metrics.statistics.timing import LEVEL


@dataclass(frozen=True)
class Exact:
    """A number without uncertainty, such as a count.

    >>> Exact(68.5).interval(), Exact(68.5).p_below(70)
    ((68.5, 68.5), 0.0)
    """

    value: float
    n: int = 1
    method: str = "exact"

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the value itself.

        Args:
            level: probability that it is to hold the true value with.

        Returns:
            Both ends in the value's unit.
        """
        return self.value, self.value

    def p_below(self, x: float) -> float:
        """Return the one-sided p-value of "below ``x``": 0 where the value is below x, else 1.

        Args:
            x: in the value's unit.

        Returns:
            0 to 1.
        """
        return 0.0 if self.value < x else 1.0

    def p_above(self, x: float) -> float:
        """Return the one-sided p-value of "above ``x``": 0 where the value is above x, else 1.

        Args:
            x: in the value's unit.

        Returns:
            0 to 1.
        """
        return 0.0 if self.value > x else 1.0

    def detectable(self, power: float = POWER, level: float = LEVEL) -> float:
        """Return the smallest effect that a test finds: any effect shows.

        Args:
            power: probability that the effect is to be found with.
            level: one-sided, of the test.

        Returns:
            In the value's unit.
        """
        return 0.0


@dataclass(frozen=True)
class Student:
    """A number known from a few samples, by Student's t.

    Attributes:
        centre: where the interval is centred: the value, or a logarithm near that of the value.
        error: standard error of ``centre``; ``inf`` where a single sample says nothing about it.
        freedom: degrees of freedom.
        n: samples.
        logarithmic: ``centre`` and ``error`` are of the natural logarithm.

    >>> mean = Student(value=10.0, centre=10.0, error=1.0, freedom=4.0, n=5)
    >>> low, high = mean.interval()
    >>> f"{low:.2f} to {high:.2f}, p of being below 13: {mean.p_below(13):.3f}"
    '7.22 to 12.78, p of being below 13: 0.020'
    """

    value: float
    centre: float
    error: float
    freedom: float
    n: int
    logarithmic: bool = False
    method: str = field(default="Student's t", init=False)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the centre and t times the error on both sides, widened to hold the value.

        Args:
            level: probability that it is to hold the true value with.

        Returns:
            Both ends in the value's unit.
        """
        reach = float(scipy.special.stdtrit(self.freedom, (1 + level) / 2)) * self.error
        low, high = self.centre - reach, self.centre + reach
        if self.logarithmic:
            low, high = math.exp(low), math.exp(high)

        return min(low, self.value), max(high, self.value)

    def p_below(self, x: float) -> float:
        """Return the one-sided p-value of "below ``x``"; at least 0.5 where the value is not, as the interval holds it.

        Args:
            x: in the value's unit.

        Returns:
            0 to 1.
        """
        p_value = float(scipy.special.stdtr(self.freedom, -self._distance(x)))
        return max(p_value, 0.5) if self.value >= x else p_value

    def p_above(self, x: float) -> float:
        """Return the one-sided p-value of "above ``x``"; at least 0.5 where the value is not, as the interval holds it.

        Args:
            x: in the value's unit.

        Returns:
            0 to 1.
        """
        p_value = float(scipy.special.stdtr(self.freedom, self._distance(x)))
        return max(p_value, 0.5) if self.value <= x else p_value

    def detectable(self, power: float = POWER, level: float = LEVEL) -> float:
        """Return quantiles of t for level and power times the error; on a logarithmic scale, as a rise of the value.

        Args:
            power: probability that the effect is to be found with.
            level: one-sided, of the test.

        Returns:
            In the value's unit.
        """
        quantiles = scipy.special.stdtrit(self.freedom, level) + scipy.special.stdtrit(self.freedom, power)
        effect = float(quantiles) * self.error
        return self.value * math.expm1(effect) if self.logarithmic else effect

    def _distance(self, x: float) -> float:
        """From the centre to ``x``, in standard errors."""
        if self.logarithmic:
            if x <= 0:
                return -math.inf
            x = math.log(x)

        distance = x - self.centre
        if self.error == 0:
            return math.copysign(math.inf, distance) if distance else 0.0
        return distance / self.error


Estimate = Exact | Student | Resampled
