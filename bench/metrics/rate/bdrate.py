"""BD-rate and BD-quality between two curves (Bjøntegaard, VCEG-M33, 2001).

The difference of log10 rate is averaged over the common interval of quality (BD-rate), or the difference of
quality over the common interval of log10 rate (BD-quality). Integrals are exact and nothing is extrapolated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import scipy

from bench.common.registry import Registry
from bench.common.text import format_number
from bench.metrics.rate.curves import Curve, find_curve_fault, measure_overlap

MINIMUM_OVERLAP = 0.5  # share of the union below which there is no number
COMFORTABLE_OVERLAP = 0.75  # share of the union below which there is a warning
LARGEST_SPREAD_POINTS = 0.3  # between interpolations; beyond this the curve itself is doubtful

Integral = Callable[[float, float], float]
Interpolator = Callable[[np.ndarray, np.ndarray], Integral]  # of x, which rises strictly, and y

DEFAULT_METHOD = "pchip"


def _interpolate(interpolator: str, x: np.ndarray, y: np.ndarray) -> Integral:
    curve = getattr(scipy.interpolate, interpolator)(x, y)  # by name: scipy is slow to load, and help needs none of it
    return lambda low, high: float(curve.integrate(low, high))


def _fit_cubic(x: np.ndarray, y: np.ndarray) -> Integral:
    """One polynomial of degree 3, as in VCEG-M33: beyond four points a least-squares fit."""
    antiderivative = np.poly1d(np.polyfit(x, y, 3)).integ()
    return lambda low, high: float(antiderivative(high) - antiderivative(low))


METHODS: Registry[Interpolator] = Registry("BD interpolation", {
    # monotone piecewise cubic (Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5, 1984)
    "pchip": partial(_interpolate, "PchipInterpolator"),
    "akima": partial(_interpolate, "Akima1DInterpolator"),  # piecewise cubic (J. ACM 17, 1970)
    "cubic": _fit_cubic,
})


@dataclass(frozen=True)
class BDResult:
    """One Bjøntegaard delta, or the reason why there is none.

    Attributes:
        value: BD-rate in percent (negative: the test needs fewer bits) or BD-quality in the unit of the curves'
            quality (positive: the test is better); None without one.
        reason: why ``value`` is None.
        method: name in :data:`METHODS`.
        overlap: common part of both curves' ranges as a share of their union; None for an unusable curve.
        interval: (low, high) that was integrated, in quality units for BD-rate and log10 rate for BD-quality.
        warnings: what makes the value doubtful.
    """

    value: float | None
    method: str
    reason: str | None = None
    overlap: float | None = None
    interval: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class MethodSpread:
    """BD-rates of one pair by every method.

    Attributes:
        results: by method.
        points: largest less smallest BD-rate in percentage points; None where a method gives no number.
        warnings: one if ``points`` is over 0.3.
    """

    results: dict[str, BDResult]
    points: float | None
    warnings: tuple[str, ...] = ()


def bd_rate(
    anchor: Curve, test: Curve, method: str = DEFAULT_METHOD, min_overlap: float = MINIMUM_OVERLAP
) -> BDResult:
    """Return the average rate change of ``test`` against ``anchor`` at equal quality (Bjøntegaard, VCEG-M33, 2001).

    Args:
        anchor, test: four points or more each.
        method: how curves are interpolated, a name in :data:`METHODS`.
        min_overlap: share of the union of both quality ranges below which no number is given.

    Returns:
        The change in percent, or the reason why there is none.

    Raises:
        ConfigurationError: no such method.

    A codec that needs 10 % fewer bits everywhere:

    >>> anchor = Curve([0.2, 0.4, 0.8, 1.2], [30, 33, 36.5, 38.5])
    >>> test = Curve([0.18, 0.36, 0.72, 1.08], [30, 33, 36.5, 38.5])
    >>> f"{bd_rate(anchor, test).value:.3f}"
    '-10.000'

    No number without enough in common:

    >>> bd_rate(anchor, Curve([0.9, 1.2, 1.5, 1.8], [37, 39, 40, 41])).reason
    'the curves share only 13.6% of their joint range of quality, and below 50% no number is given'
    """
    result = _average_difference(anchor, test, "quality", method, min_overlap)
    if result.value is None:
        return result
    return replace(result, value=(10.0**result.value - 1.0) * 100.0)


def bd_quality(
    anchor: Curve, test: Curve, method: str = DEFAULT_METHOD, min_overlap: float = MINIMUM_OVERLAP
) -> BDResult:
    """Return the average quality gain of ``test`` over ``anchor`` at equal rate (Bjøntegaard, VCEG-M33, 2001).

    Args:
        anchor, test: four points or more each.
        method: how curves are interpolated, a name in :data:`METHODS`.
        min_overlap: share of the union of both ranges of log10 rate below which no number is given.

    Returns:
        The gain in the unit of the curves' quality, or the reason why there is none.

    Raises:
        ConfigurationError: no such method.

    A codec that is 0.5 dB better everywhere:

    >>> anchor = Curve([0.2, 0.4, 0.8, 1.2], [30, 33, 36.5, 38.5])
    >>> test = Curve([0.2, 0.4, 0.8, 1.2], [30.5, 33.5, 37, 39])
    >>> f"{bd_quality(anchor, test).value:.3f}"
    '0.500'
    """
    return _average_difference(anchor, test, "log rate", method, min_overlap)


def method_spread(anchor: Curve, test: Curve, min_overlap: float = MINIMUM_OVERLAP) -> MethodSpread:
    """Return the BD-rates by all methods; a spread over 0.3 points is a warning about the curves.

    Args:
        anchor, test, min_overlap: as for :func:`bd_rate`.

    Returns:
        Every method's BD-rate in percent, and their spread in percentage points.

    >>> anchor = Curve([0.2, 0.4, 0.8, 1.2], [30, 33, 36.5, 38.5])
    >>> test = Curve([0.2, 0.35, 0.7, 1.1], [30.5, 33, 36.5, 39])
    >>> spread = method_spread(anchor, test)
    >>> {method: f"{result.value:.2f}" for method, result in spread.results.items()}
    {'pchip': '-12.65', 'akima': '-12.60', 'cubic': '-12.72'}
    >>> f"{spread.points:.2f}"
    '0.12'
    """
    results = {method: bd_rate(anchor, test, method, min_overlap) for method in METHODS}
    values = {method: result.value for method, result in results.items() if result.value is not None}
    if len(values) < len(results):
        return MethodSpread(results, None)

    points = max(values.values()) - min(values.values())
    if points <= LARGEST_SPREAD_POINTS:
        return MethodSpread(results, points)

    listed = ", ".join(f"{method} {format_number(value, '+.2f')} %" for method, value in values.items())
    return MethodSpread(results, points, (f"interpolations differ by {points:.2f} points: {listed}",))


def _find_axes(curve: Curve, x_name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return x, which rises, and y: quality and log10 rate, or the other way."""
    rate, quality = np.array(curve.points()).T
    log_rate = np.log10(rate)
    return (quality, log_rate) if x_name == "quality" else (log_rate, quality)


def _average_difference(
    anchor: Curve, test: Curve, x_name: str, method: str, min_overlap: float
) -> BDResult:
    """Return y of ``test`` less y of ``anchor``, averaged over the common interval of x."""
    interpolate = METHODS.get(method)

    faults = [reason for reason in (find_curve_fault(anchor), find_curve_fault(test)) if reason]
    if faults:
        return BDResult(None, method, "; ".join(faults))

    (anchor_x, anchor_y), (test_x, test_y) = _find_axes(anchor, x_name), _find_axes(test, x_name)
    low, high, share = measure_overlap(anchor_x, test_x)
    if low >= high:
        return BDResult(None, method, f"the curves have no range of {x_name} in common", share)

    interval = (low, high)
    shared = f"the curves share only {share:.1%} of their joint range of {x_name}"
    if share < min_overlap:
        reason = f"{shared}, and below {min_overlap:.0%} no number is given"
        return BDResult(None, method, reason, share, interval)

    warnings = (shared,) if share < COMFORTABLE_OVERLAP else ()
    area = interpolate(test_x, test_y)(*interval) - interpolate(anchor_x, anchor_y)(*interval)
    return BDResult(area / (high - low), method, None, share, interval, warnings)
