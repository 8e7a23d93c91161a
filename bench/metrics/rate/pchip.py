"""Monotone piecewise cubics of many curves at once.

Equal to ``scipy.interpolate.PchipInterpolator`` curve by curve. Arrays are (points, curves): curves lie beside each
other, so that each operation is one pass over all of them.
"""

from __future__ import annotations

import numpy as np


def find_pchip_slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the slope at each point (Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5, 1984).

    Inside it is a weighted harmonic mean of the secants on both sides, or 0 where these differ in sign. At the ends it
    is the three-point formula, limited so that the curve keeps its shape (Moler, Numerical Computing with MATLAB,
    2004, section 3.6), as in scipy.

    Args:
        x: (points, curves), rising strictly along the points, of which there are three or more.
        y: (points, curves).

    Returns:
        (points, curves), change of y for one of x.

    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> find_pchip_slopes(x, 2 * x + 1).ravel()
    array([2., 2., 2., 2.])
    >>> find_pchip_slopes(x, np.array([[0.0], [1.0], [0.0], [1.0]])).ravel()  # no overshoot where it turns
    array([2., 0., 0., 2.])
    """
    steps = np.diff(x, axis=0)
    secants = np.diff(y, axis=0) / steps

    before, after = secants[:-1], secants[1:]
    weight_before, weight_after = steps[:-1] + 2 * steps[1:], 2 * steps[:-1] + steps[1:]
    with np.errstate(divide="ignore", invalid="ignore"):  # secants of 0, which the condition leaves out
        means = (weight_before + weight_after) / (weight_before / before + weight_after / after)

    found = np.empty_like(x, dtype=float)
    found[1:-1] = np.where(before * after > 0, means, 0.0)
    found[0] = _end_slope(steps[0], steps[1], secants[0], secants[1])
    found[-1] = _end_slope(steps[-1], steps[-2], secants[-1], secants[-2])
    return found


def _end_slope(step: np.ndarray, next_step: np.ndarray, secant: np.ndarray, next_secant: np.ndarray) -> np.ndarray:
    slope = ((2 * step + next_step) * secant - step * next_secant) / (step + next_step)
    turns = np.sign(slope) != np.sign(secant)
    too_steep = (np.sign(secant) != np.sign(next_secant)) & (np.abs(slope) > 3 * np.abs(secant))

    return np.select([turns, too_steep], [0.0, 3 * secant], slope)


def integrate_pchip(x: np.ndarray, y: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the integral of each curve from ``low`` to ``high``, exact but for rounding.

    Args:
        x, y: as for :func:`find_pchip_slopes`.
        low, high: (curves), within the range of x.

    Returns:
        (curves), in the unit of x times that of y.

    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> integrate_pchip(x, 2 * x, low=np.array([0.5]), high=np.array([3.0]))
    array([8.75])
    """
    steps, slope = np.diff(x, axis=0), find_pchip_slopes(x, y)
    secants = np.diff(y, axis=0) / steps
    bend = (3 * secants - 2 * slope[:-1] - slope[1:]) / steps
    twist = (slope[:-1] + slope[1:] - 2 * secants) / steps**2

    start, end = (np.clip(bound, x[:-1], x[1:]) - x[:-1] for bound in (low, high))

    def antiderivative(t: np.ndarray) -> np.ndarray:
        return t * (y[:-1] + t * (slope[:-1] / 2 + t * (bend / 3 + t * twist / 4)))

    return (antiderivative(end) - antiderivative(start)).sum(axis=0)
