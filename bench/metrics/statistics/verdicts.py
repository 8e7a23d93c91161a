"""Decides a claim from what is known of one number.

Every claim has a weaker end: the end of its range that is easier to satisfy. A claim is supported where the one-sided
95 % bound lies on the right side of that end, refuted where it lies on the wrong side, and undecided where the interval
holds it. Being different from nothing and being big enough are separate questions; this one is the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.metrics.statistics.estimates import Estimate

INVALID, REPRODUCED, SUPPORTED, REFUTED, UNDECIDED, NOT_MEASURED = VERDICTS = (
    "INVALID", "REPRODUCED", "SUPPORTED", "REFUTED", "UNDECIDED", "NOT MEASURED")

LEVEL = 0.95  # of one-sided bounds
TWO_SIDED = 2 * LEVEL - 1  # the interval whose ends are those bounds


@dataclass(frozen=True)
class Decision:
    """A verdict with the numbers that decide it.

    Attributes:
        verdict: SUPPORTED, REFUTED or UNDECIDED.
        bounds: one-sided 95 % bounds of the measured value, below and above, moved apart by ``floor``.
        p_value: of the test that the verdict goes by: small is evidence for it. For UNDECIDED, the smaller of both.
        detectable: smallest distance from the weaker end, the floor included, that would be found in 80 % of cases.
    """

    verdict: str
    bounds: tuple[float, float]
    p_value: float
    detectable: float


def decide_claim(estimate: Estimate, weaker_end: float, lower_is_better: bool, floor: float = 0.0) -> Decision:
    """Compare ``estimate`` with the weaker end of a claim.

    Args:
        estimate: of what was claimed.
        weaker_end: in the estimate's unit; reaching it exactly supports the claim.
        lower_is_better: whether smaller values are further on the claim's right side.
        floor: differences from the weaker end up to this are within what two measurements of the same thing differ
            by, whatever the interval says.

    Returns:
        The verdict, with bounds and detectable distance in the estimate's unit.

    Claimed were 8 to 12 % fewer bits, so that -8 % is the weaker end; measured were -10 % give or take 0.5 %:

    >>> from bench.metrics.statistics.estimates import Student
    >>> decision = decide_claim(Student(-10, -10, error=0.5, freedom=23, n=24), weaker_end=-8, lower_is_better=True)
    >>> low, high = decision.bounds
    >>> f"{decision.verdict}: {low:.2f} to {high:.2f}, p = {decision.p_value:.4f}"
    'SUPPORTED: -10.86 to -9.14, p = 0.0003'
    """
    low, high = estimate.interval(TWO_SIDED)
    bounds = (low - floor, high + floor)
    below, above = estimate.p_below(weaker_end - floor), estimate.p_above(weaker_end + floor)
    right_p, wrong_p = (below, above) if lower_is_better else (above, below)

    right = bounds[1] <= weaker_end if lower_is_better else bounds[0] >= weaker_end
    wrong = bounds[0] > weaker_end if lower_is_better else bounds[1] < weaker_end
    if right:
        verdict, p_value = SUPPORTED, right_p
    elif wrong:
        verdict, p_value = REFUTED, wrong_p
    else:
        verdict, p_value = UNDECIDED, min(right_p, wrong_p)

    return Decision(verdict, bounds, p_value, estimate.detectable() + floor)


def require_both(first: Decision, second: Decision) -> Decision:
    """Return the decision that two numbers of one comparison allow together: theirs where they agree.

    Args:
        first: whose bounds are told.
        second: by another convention, in the same unit.

    Returns:
        The same verdict with the larger p-value, as either has to be significant; UNDECIDED where they differ.

    >>> from bench.metrics.statistics.estimates import Student
    >>> averaged, single = (decide_claim(Student(value, value, error=0.5, freedom=23, n=24), -8, lower_is_better=True)
    ...                     for value in (-10, -7))
    >>> averaged.verdict, single.verdict, require_both(averaged, single).verdict
    ('SUPPORTED', 'REFUTED', 'UNDECIDED')
    """
    if first.verdict == second.verdict:
        return replace(first, p_value=max(first.p_value, second.p_value),
                       detectable=max(first.detectable, second.detectable))
    contrary = UNDECIDED not in (first.verdict, second.verdict)
    return replace(first, verdict=UNDECIDED, p_value=1.0 if contrary else max(first.p_value, second.p_value))


def is_reproduced(value: float, claimed: tuple[float, float], tolerance: float) -> bool:
    """Return whether a published value is found again: within its range, widened by ``tolerance`` on both sides.

    Args:
        value, claimed, tolerance: in one unit.

    >>> is_reproduced(-15.43, claimed=(-15.31, -15.31), tolerance=0.15)
    True
    """
    return claimed[0] - tolerance <= value <= claimed[1] + tolerance


def has_turned_sign(value: float, claimed: tuple[float, float], tolerance: float) -> bool:
    """Return whether a value is the claimed one with the other sign, so that one of both may be a slip.

    Args:
        value, claimed, tolerance: in one unit. A range that holds zero has no sign.

    >>> has_turned_sign(-11.13, claimed=(11.1, 11.1), tolerance=0.05)
    True
    >>> has_turned_sign(-11.13, claimed=(-11.1, -11.1), tolerance=0.05)
    False
    """
    low, high = claimed
    return low * high > 0 and value * low < 0 and is_reproduced(-value, claimed, tolerance)


def adjust_by_holm(p_values: Sequence[float]) -> np.ndarray:
    """Return adjusted p-values (Holm, Scand. J. Statist. 6, 1979), in the order given.

    Rejecting where the adjusted one is at most 5 % rejects any true null in at most 5 % of cases, however the tests
    depend on each other.

    Args:
        p_values: of tests of one family.

    Returns:
        (tests,), each at least as large as the one given.

    Raises:
        ValueError: a p-value is not within 0 and 1.

    >>> adjust_by_holm([0.04, 0.01, 0.03, 0.5])
    array([0.09, 0.04, 0.09, 0.5 ])
    """
    given = np.asarray(p_values, dtype=float)
    if not ((given >= 0) & (given <= 1)).all():
        raise ValueError("p-values must lie within 0 and 1")

    order = np.argsort(given, kind="stable")
    steps = (len(given) - np.arange(len(given))) * given[order]
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
