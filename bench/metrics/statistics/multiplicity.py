"""Many tests at once: how small a p-value must be when it is one of many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Return adjusted p-values (Holm, Scand. J. Statist. 6, 1979), in the order given.

    Rejecting where the adjusted one is at most 5 % rejects any true null in at most 5 % of cases, however the tests
    depend on each other.

    Raises:
        ValueError: a p-value is not within 0 and 1.
    """
    given = np.asarray(p_values, dtype=float)
    if not ((given >= 0) & (given <= 1)).all():
        raise ValueError("p-values must lie within 0 and 1")
    order = np.argsort(given, kind="stable")
    steps = (len(given) - np.arange(len(given))) * given[order]
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
