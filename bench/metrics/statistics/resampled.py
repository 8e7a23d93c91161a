"""A number known by its values on bootstrap resamples."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist

import numpy as np
import scipy

from bench.metrics.statistics.timing import LEVEL

POWER = 0.8
BCA, PERCENTILE = "bca", "percentile"

_TAIL = 0.001  # share of the resamples on each side beyond which a normal tail takes their place
_EDGE = NormalDist().inv_cdf(1 - _TAIL)  # in standard deviations
_SECOND_ORDER = 3.0  # standard errors up to which BCa's correction is meant; further out it stays as it is there
_NO_SPREAD = 1e-12  # relative: what differs by less differs by rounding


@dataclass(frozen=True, eq=False)
class Resampled:
    """A number with a bootstrap distribution.

    With ``left_out`` the statistic is taken for a smooth one, such as a mean, and its default interval is BCa (Efron,
    J. Am. Stat. Assoc. 82, 1987). With few images plain levels cover too little: resamples of a mean spread by
    sqrt(1 - 1/n) too little, and the spread itself is estimated. Normal quantiles z therefore give way to t
    sqrt(n / (n - 1)) (the expanded percentiles of Hesterberg, The American Statistician 69, 2015). Where
    a few images weigh most, as in a mean of rates, even that is too little; so the factor is the jackknife's standard
    error over the resamples', which for a mean is the same, and the degrees of freedom, n - 1 for normal values,
    shrink with the kurtosis of the jackknife's (Satterthwaite, Biometrics Bulletin 2, 1946). In the outermost 0.1 % a
    normal tail continues the resamples.

    Without ``left_out``, as for a median, which is not smooth, the interval is the plain percentile one, within the
    resamples.

    Attributes:
        value: of the full sample.
        resamples: values of the resamples, finite, one or more.
        n: images or rounds, two or more.
        left_out: (n,) values of the sample with one image left out, finite.

    A mean of eight values and what is known of it:

    >>> values = np.array([1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 7.0])
    >>> drawn = np.random.default_rng(0).choice(values, (10_000, 8)).mean(axis=1)
    >>> mean = Resampled(values.mean(), drawn, 8, left_out=(values.sum() - values) / 7)
    >>> low, high = mean.interval()
    >>> f"{mean.value:.2f} ({low:.2f} to {high:.2f}) by {mean.method}, p of being below 4.5: {mean.p_below(4.5):.3f}"
    '3.50 (2.19 to 5.38) by BCa bootstrap, p of being below 4.5: 0.120'
    """

    value: float
    resamples: np.ndarray = field(repr=False)
    n: int
    left_out: np.ndarray | None = field(default=None, repr=False)

    @property
    def method(self) -> str:
        """"BCa bootstrap" or "percentile bootstrap"."""
        return "percentile bootstrap" if self.left_out is None else "BCa bootstrap"

    def interval(self, level: float = LEVEL, method: str | None = None) -> tuple[float, float]:
        """Return the interval with equal tails, widened to hold the value.

        Args:
            level: probability that it is to hold the true value with.
            method: :data:`BCA` or :data:`PERCENTILE`; None for BCa where the statistic is smooth.

        Returns:
            Both ends in the value's unit.

        Raises:
            ValueError: there is no such method, or BCa can't be had.
        """
        known = (PERCENTILE,) if self.left_out is None else (BCA, PERCENTILE)
        method = method or known[0]
        if method not in known:
            raise ValueError(f"no interval by '{method}' for a {self.method}")
        if self._constant:
            return self.value, self.value

        z = self._expanded((1 + level) / 2)
        ends = (-z, z) if method == PERCENTILE else (self._corrected(-z), self._corrected(z))
        low, high = (self._quantile(end) for end in ends)
        return min(low, self.value), max(high, self.value)

    def p_below(self, x: float) -> float:
        """Return the one-sided p-value of "below ``x``"; at least 0.5 where the value is not, as the interval holds it.

        Args:
            x: in the value's unit.

        Returns:
            0 to 1.
        """
        if self._constant:
            return float(self.value >= x)

        p_value = self._one_sided(-self._position(x, "left"))
        return max(p_value, 0.5) if self.value >= x else p_value

    def p_above(self, x: float) -> float:
        """Return the one-sided p-value of "above ``x``"; at least 0.5 where the value is not, as the interval holds it.

        Args:
            x: in the value's unit.

        Returns:
            0 to 1.
        """
        if self._constant:
            return float(self.value <= x)

        p_value = self._one_sided(self._position(x, "right"))
        return max(p_value, 0.5) if self.value <= x else p_value

    def detectable(self, power: float = POWER, level: float = LEVEL) -> float:
        """Return normal quantiles of level and power times the standard error.

        Args:
            power: probability that the effect is to be found with.
            level: one-sided, of the test.

        Returns:
            In the value's unit.
        """
        return float(scipy.special.ndtri(level) + scipy.special.ndtri(power)) * self.standard_error

    @cached_property
    def standard_error(self) -> float:
        """The jackknife's for a smooth statistic (Tukey, Ann. Math. Stat. 29, 1958), else the resamples' spread."""
        if self._constant:
            return 0.0
        if self.left_out is None:
            return self._spread
        return math.sqrt((self.n - 1) * np.var(self.left_out))

    @cached_property
    def acceleration(self) -> float:
        """Efron's a (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, 14.15); 0 if not smooth."""
        if self.left_out is None:
            return 0.0
        distances = self.left_out.mean() - self.left_out
        return float((distances**3).sum() / (6 * (distances**2).sum() ** 1.5))

    @cached_property
    def freedom(self) -> float:
        """Degrees of freedom of the standard error, 1 to n - 1 for a smooth statistic; else infinitely many."""
        if self.left_out is None:
            return math.inf
        distances = self.left_out - self.left_out.mean()
        kurtosis = (distances**4).mean() / (distances**2).mean() ** 2
        return max(1.0, min(self.n - 1.0, float(2 * self.n / (kurtosis - 1 + 2 / (self.n - 1)))))

    @cached_property
    def _sorted(self) -> np.ndarray:
        return np.sort(self.resamples)

    @cached_property
    def _spread(self) -> float:
        return float(np.std(self.resamples))

    @cached_property
    def _constant(self) -> bool:
        return bool(np.abs(self.resamples - self.value).max() <= _NO_SPREAD * max(1.0, abs(self.value)))

    @cached_property
    def _bias(self) -> float:
        """Efron's z0: where the value lies among the resamples, as a normal quantile."""
        left, right = self._ranks(self.value)
        return float(scipy.special.ndtri(_inside((left + right) / 2 / len(self._sorted), len(self._sorted))))

    def _ranks(self, x: float) -> tuple[int, int]:
        """How many resamples are below ``x``, and how many are not above it."""
        left, right = (np.searchsorted(self._sorted, x, side) for side in ("left", "right"))
        return int(left), int(right)

    def _expanded(self, share: float) -> float:
        """The quantile that stands for the normal one of ``share``."""
        if self.left_out is None:
            return float(scipy.special.ndtri(share))
        return float(scipy.special.stdtrit(self.freedom, share)) * self.standard_error / self._spread

    def _one_sided(self, z: float) -> float:
        """The share whose expanded quantile is ``z``."""
        if self.left_out is None:
            return float(scipy.special.ndtr(z))
        return float(scipy.special.stdtr(self.freedom, z * self._spread / self.standard_error))

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
        if self.left_out is None:
            return z

        v = z - self._bias
        return v / (1 + self.acceleration * max(-_SECOND_ORDER, min(v, _SECOND_ORDER))) - self._bias

    def _quantile(self, z: float) -> float:
        """Of the resamples, at a normal quantile; linear between them."""
        if self.left_out is not None and abs(z) > _EDGE:
            low_or_high = np.quantile(self._sorted, _TAIL if z < 0 else 1 - _TAIL)
            return float(low_or_high) + (z - math.copysign(_EDGE, z)) * self._spread
        return float(np.quantile(self._sorted, scipy.special.ndtr(z)))

    def _place(self, x: float, side: str) -> float:
        """The inverse of :meth:`_quantile`."""
        values, last = self._sorted, len(self._sorted) - 1
        if self.left_out is not None:
            low, high = np.quantile(values, (_TAIL, 1 - _TAIL))
            if x < low:
                return float((x - low) / self._spread - _EDGE)
            if x > high:
                return float((x - high) / self._spread + _EDGE)

        left, right = self._ranks(x)
        if left < right:
            index = float(left if side == "left" else right - 1)
        elif 0 < left <= last:
            index = float(left - 1 + (x - values[left - 1]) / (values[left] - values[left - 1]))
        else:
            index = float(min(left, last))
        return float(scipy.special.ndtri(_inside(index / max(last, 1), len(values))))


def _inside(share: float, count: int) -> float:
    """Keep a share of ``count`` resamples off 0 and 1, which they can't attest."""
    return min(max(share, 1 / (count + 1)), count / (count + 1))
