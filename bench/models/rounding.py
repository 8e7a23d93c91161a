"""float32 functions that are the same on every machine: correctly rounded.

IEEE 754 fixes sum, product, quotient and square root to the last bit; exp, log and their like differ between libraries
and vector units. In float64 they differ by some units in the last place, which rounding to float32 nearly always hides;
the few results that lie too near to the edge between two float32 numbers are decided by mpmath, which computes with
integers.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
LIBRARY_ERROR = 1e-14  # relative, of numpy's functions in float64, which promise 4 units in the last place: 1e-15
DIGITS = 50  # of the decision near an edge


class CorrectlyRounded:
    """A function of float32 arrays whose results are the float32 numbers nearest to the true ones.

    Args:
        name: of the function in mpmath.
        approximate: the same in float64.
        error: bound of ``approximate``'s relative error.

    Attributes:
        decisions: how many results mpmath has decided.
    """

    def __init__(self, name: str, approximate: Callable[..., Any], error: float = LIBRARY_ERROR) -> None:
        self._name, self._approximate, self._error = name, approximate, error
        self.decisions = 0

    def __call__(self, *arguments: Any) -> Array:
        """Compute the function.

        Args:
            *arguments: float32 or float64, broadcastable.

        Returns:
            float32, in their common shape.
        """
        wide = np.broadcast_arrays(*(np.asarray(argument, np.float64) for argument in arguments))
        with np.errstate(all="ignore"):
            values = np.asarray(self._approximate(*wide))
            one, other = (np.asarray(values * factor, np.float32) for factor in (1 - self._error, 1 + self._error))

        undecided = np.argwhere((one != other) & ~np.isnan(values))
        for place in map(tuple, undecided):
            one[place] = self._decide(min(one[place], other[place]), max(one[place], other[place]),
                                      *(argument[place] for argument in wide))
        self.decisions += len(undecided)
        return one

    def _decide(self, low: np.float32, high: np.float32, *arguments: np.float64) -> np.float32:
        """Which of two neighbouring numbers is nearer to the function's true value."""
        mpmath = importlib.import_module("mpmath")  # rarely needed
        with mpmath.workdps(DIGITS):
            edge = (mpmath.mpf(float(low)) + mpmath.mpf(float(high))) / 2
            value = getattr(mpmath, self._name)(*(mpmath.mpf(float(argument)) for argument in arguments))
            return high if value >= edge else low


exp = CorrectlyRounded("exp", np.exp)
expm1 = CorrectlyRounded("expm1", np.expm1)
log = CorrectlyRounded("log", np.log)
log1p = CorrectlyRounded("log1p", np.log1p)
tanh = CorrectlyRounded("tanh", np.tanh)
power = CorrectlyRounded("power", np.power)
