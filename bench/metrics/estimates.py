"""What is known of one number: its value, intervals, and p-values that agree with the intervals.

A p-value of an estimate and its interval tell the same: ``p_above(x)`` is below 5 % where ``x`` lies below the interval
of 90 %, whose ends are the one-sided bounds of 95 %, and so on for each level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from bench.metrics.timing import FEWEST_TO_RESAMPLE, checked_times, log_ratio, resampled_ratios

LEVEL = 0.95
POWER = 0.8
BCA, PERCENTILE = "bca", "percentile"

_TAIL = 0.001  # share of the resamples on each side beyond which a normal tail takes their place
_SECOND_ORDER = 3.0  # standard errors up to which BCa's correction is meant; further out it stays as it is there
_NO_SPREAD = 1e-12  # relative: what differs by less differs by rounding


class Estimate(Protocol):
    """What is known of one number.

    Attributes:
        value: the best single value.
        n: images or rounds that it rests on.
        method: how the interval is made.
    """

    @property
    def value(self) -> float: ...

    @property
    def n(self) -> int: ...

    @property
    def method(self) -> str: ...

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the two-sided interval with equal tails; it holds the value."""

    def p_below(self, x: float) -> float:
        """Return the p-value of "the true value is at least x": small is evidence that it is below."""

    def p_above(self, x: float) -> float:
        """Return the p-value of "the true value is at most x": small is evidence that it is above."""

    def detectable(self, power: float = POWER, level: float = LEVEL) -> float:
        """Return the smallest effect that a one-sided test at ``level`` finds with this probability."""


@dataclass(frozen=True)
class Exact:
    """A number without uncertainty, such as a count."""

    value: float
    n: int = 1
    method: str = "exact"

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The value itself."""
        return self.value, self.value

    def p_below(self, x: float) -> float:
        """0 where the value is below x, else 1."""
        return 0.0 if self.value < x else 1.0

    def p_above(self, x: float) -> float:
        """0 where the value is above x, else 1."""
        return 0.0 if self.value > x else 1.0

    def detectable(self, power: float = POWER, level: float = LEVEL) -> float:
        """Any effect shows."""
        return 0.0


@dataclass(frozen=True)
class Student:
    """A number known from a few samples, by Student's t.

    Attributes:
        centre: where the interval is centred: the value, or a logarithm near that of the value.
        error: standard error of ``centre``; ``inf`` where a single sample says nothing about it.
        freedom: degrees of freedom.
        logarithmic: ``centre`` and ``error`` are of the natural logarithm.
    """

    value: float
    centre: float
    error: float
    freedom: float
    n: int
    logarithmic: bool = False
    method: str = field(default="Student's t", init=False)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Centre and t times the error on both sides, widened to hold the value."""
        reach = float(stdtrit(self.freedom, (1 + level) / 2)) * self.error
        low, high = self.centre - reach, self.centre + reach
        if self.logarithmic:
            low, high = math.exp(low), math.exp(high)
        return min(low, self.value), max(high, self.value)

    def p_below(self, x: float) -> float:
        """See :class:`Estimate`; at least 0.5 where the value is not below x, since the interval holds it."""
        p_value = 1.0 - self._share_below(x)
        return max(p_value, 0.5) if self.value >= x else p_value

    def p_above(self, x: float) -> float:
        """See :class:`Estimate`; at least 0.5 where the value is not above x, since the interval holds it."""
        p_value = self._share_below(x)
        return max(p_value, 0.5) if self.value <= x else p_value

    def detectable(self, power: float = POWER, level: float = LEVEL) -> float:
        """Quantiles of t for level and power times the error; on a logarithmic scale, as a rise of the value."""
        effect = float(stdtrit(self.freedom, level) + stdtrit(self.freedom, power)) * self.error
        return self.value * math.expm1(effect) if self.logarithmic else effect

    def _share_below(self, x: float) -> float:
        if self.logarithmic:
            x = math.log(x) if x > 0 else -math.inf
        distance = x - self.centre
        if self.error == 0:
            return 0.5 if distance == 0 else float(distance > 0)
        return float(stdtr(self.freedom, distance / self.error))


@dataclass(frozen=True, eq=False)
class Resampled:
    """A number with a bootstrap distribution.

    With ``acceleration`` the statistic is taken for a smooth one, such as a mean. Its default interval is BCa (Efron,
    J. Am. Stat. Assoc. 82, 1987). With n images plain levels cover too little, since resamples spread by
    sqrt(1 - 1/n) too little and the spread itself is estimated; normal quantiles z give way to t sqrt(n / (n - 1))
    with n - 1 degrees of freedom (the expanded percentiles of Hesterberg, The American Statistician 69, 2015,
    section 5.3). In the outermost 0.1 % a normal tail continues the resamples.

    Without it, as for a median, which is not smooth, the interval is the plain percentile one, within the resamples.

    Attributes:
        value: of the full sample.
        resamples: values of the resamples, finite, one or more.
        n: images or rounds.
        acceleration: Efron's a: how fast the standard error changes with the value.
    """

    value: float
    resamples: np.ndarray = field(repr=False)
    n: int
    acceleration: float | None = None

    @property
    def method(self) -> str:
        """"BCa bootstrap" or "percentile bootstrap"."""
        return "percentile bootstrap" if self.acceleration is None else "BCa bootstrap"

    def interval(self, level: float = LEVEL, method: str | None = None) -> tuple[float, float]:
        """Return the interval with equal tails, widened to hold the value.

        Args:
            method: :data:`BCA` or :data:`PERCENTILE`; None for BCa where there is an acceleration.

        Raises:
            ValueError: there is no such method, or no acceleration for BCa.
        """
        method = method or (PERCENTILE if self.acceleration is None else BCA)
        if method not in (BCA, PERCENTILE) or (method == BCA and self.acceleration is None):
            raise ValueError(f"no interval by '{method}' for a {self.method}")
        if self._constant:
            return self.value, self.value
        z = self._expanded((1 + level) / 2)
        low, high = (self._quantile(self._corrected(end) if method == BCA else end) for end in (-z, z))
        return min(low, self.value), max(high, self.value)

    def p_below(self, x: float) -> float:
        """See :class:`Estimate`; at least 0.5 where the value is not below x, since the interval holds it."""
        if self._constant:
            return Exact(self.value).p_below(x)
        p_value = self._one_sided(-self._position(x, "left"))
        return max(p_value, 0.5) if self.value >= x else p_value

    def p_above(self, x: float) -> float:
        """See :class:`Estimate`; at least 0.5 where the value is not above x, since the interval holds it."""
        if self._constant:
            return Exact(self.value).p_above(x)
        p_value = self._one_sided(self._position(x, "right"))
        return max(p_value, 0.5) if self.value <= x else p_value

    def detectable(self, power: float = POWER, level: float = LEVEL) -> float:
        """Normal quantiles of level and power times the standard error."""
        return float(ndtri(level) + ndtri(power)) * self.standard_error

    @property
    def standard_error(self) -> float:
        """Spread of the resamples, for a smooth statistic times sqrt(n / (n - 1)), which they lack."""
        return self._spread * (1.0 if self.acceleration is None else math.sqrt(self.n / (self.n - 1)))

    @cached_property
    def _sorted(self) -> np.ndarray:
        return np.sort(self.resamples)

    @cached_property
    def _spread(self) -> float:
        return 0.0 if self._constant else float(np.std(self.resamples))

    @cached_property
    def _constant(self) -> bool:
        return bool(np.abs(self.resamples - self.value).max() <= _NO_SPREAD * max(1.0, abs(self.value)))

    @cached_property
    def _bias(self) -> float:
        """Efron's z0: where the value lies among the resamples, as a normal quantile."""
        left, right = (np.searchsorted(self._sorted, self.value, side) for side in ("left", "right"))
        return float(ndtri(_inside((left + right) / 2 / len(self._sorted), len(self._sorted))))

    def _expanded(self, share: float) -> float:
        """The quantile that stands for the normal one of ``share``."""
        if self.acceleration is None:
            return float(ndtri(share))
        return float(stdtrit(self.n - 1, share)) * math.sqrt(self.n / (self.n - 1))

    def _one_sided(self, z: float) -> float:
        """The share whose expanded quantile is ``z``."""
        if self.acceleration is None:
            return float(ndtr(z))
        return float(stdtr(self.n - 1, z / math.sqrt(self.n / (self.n - 1))))

    def _corrected(self, z: float) -> float:
        """BCa's correction of a normal quantile."""
        w = self._bias + z
        side = math.copysign(_SECOND_ORDER, w)
        if abs(w) < _SECOND_ORDER / (1 + self.acceleration * side):
            return self._bias + w / (1 - self.acceleration * w)
        return self._bias + w * (1 + self.acceleration * side)

    def _position(self, x: float, side: str) -> float:
        """The quantile z whose bound is ``x``, the inverse of the interval; of equal resamples, the end on ``side``."""
        z = self._place(x, side)
        if self.acceleration is None:
            return z
        v = z - self._bias
        return v / (1 + self.acceleration * max(-_SECOND_ORDER, min(v, _SECOND_ORDER))) - self._bias

    def _quantile(self, z: float) -> float:
        """Of the resamples, at a normal quantile; linear between them."""
        edge = float(ndtri(1 - _TAIL))
        if self.acceleration is not None and abs(z) > edge:
            low_or_high = np.quantile(self._sorted, _TAIL if z < 0 else 1 - _TAIL)
            return float(low_or_high) + (z - math.copysign(edge, z)) * self._spread
        return float(np.quantile(self._sorted, ndtr(z)))

    def _place(self, x: float, side: str) -> float:
        """The inverse of :meth:`_quantile`."""
        values, last = self._sorted, len(self._sorted) - 1
        if self.acceleration is not None:
            edge = float(ndtri(1 - _TAIL))
            low, high = np.quantile(values, (_TAIL, 1 - _TAIL))
            if x < low or x > high:
                return float((x - low) / self._spread - edge if x < low else (x - high) / self._spread + edge)
        left, right = (int(np.searchsorted(values, x, end)) for end in ("left", "right"))
        if left < right:
            index = float(left if side == "left" else right - 1)
        elif 0 < left <= last:
            index = left - 1 + (x - values[left - 1]) / (values[left] - values[left - 1])
        else:
            index = float(min(left, last))
        return float(ndtri(_inside(index / max(last, 1), len(values))))


def _inside(share: float, count: int) -> float:
    """Keep a share of ``count`` resamples off 0 and 1, which they can't attest."""
    return min(max(share, 1 / (count + 1)), count / (count + 1))


def ratio_estimate(a: Sequence[float], b: Sequence[float], paired: bool) -> Resampled | Student:
    """Return the median of ``a`` over that of ``b``, with the intervals of :func:`bench.metrics.timing.ratio`.

    That is a percentile bootstrap from six samples on a side, below Student's t on logarithms, and an unbounded
    interval with a single sample.

    Args:
        a, b: positive times in one unit.
        paired: a[i] and b[i] are of one round of interleaved measurements.

    Raises:
        ValueError: no samples, a sample that is not positive and finite, or pairs without a partner.
    """
    first, second = checked_times(a, b, paired)
    value, n = float(np.median(first) / np.median(second)), min(len(first), len(second))
    if n >= FEWEST_TO_RESAMPLE:
        return Resampled(value, resampled_ratios(first, second, paired), n)
    if n < 2:
        return Student(value, math.log(value), math.inf, 1.0, n, logarithmic=True)
    return Student(value, *log_ratio(first, second, paired), n, logarithmic=True)
