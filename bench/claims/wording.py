"""Verdicts in plain words that a reviewer can quote."""

from __future__ import annotations

from bench.claims.catalogue import Claim
from bench.claims.result import Judgement
from bench.metrics.verdicts import REFUTED, REPRODUCED, SUPPORTED

DIGITS = {"%": 1, "dB": 2, "M": 2, "GB": 2, "kMAC/pixel": 2, "ms": 1, "h": 1}
SIGNED = ("%", "dB")


def figure(claim: Claim, value: float) -> str:
    """A value in the claim's unit: "−4.1 %", "+0.12 dB", "68.51 M"."""
    digits = 2 if claim.metric == "bd_rate" else DIGITS.get(claim.unit, 3)
    signed = claim.unit in SIGNED and claim.versus is not None
    return f"{value:{'+' if signed else ''}.{digits}f} {claim.unit}".replace("-", "−").strip()


def claimed(claim: Claim) -> str:
    """The claimed range: "−5.0 to −2.0 %"."""
    low, high = claim.bounds
    if low == high:
        return figure(claim, low)
    return f"{figure(claim, low).removesuffix(claim.unit).strip()} to {figure(claim, high)}"


def measured(judgement: Judgement) -> str:
    """The measured value with its interval and what it goes by."""
    claim = judgement.claim
    text = figure(claim, judgement.value)
    if judgement.interval is None:
        return text
    low, high = (figure(claim, bound).removesuffix(claim.unit).strip() for bound in judgement.interval)
    return f"{text} (95 % interval {low} to {high}, {judgement.n} {judgement.what_n})"


def reason_of(judgement: Judgement, tolerance: float | None) -> str:
    """One or two sentences: what was measured, what was claimed, and what follows."""
    claim = judgement.claim
    at_most = "at most" if claim.lower_is_better else "at least"
    start = f"measured {measured(judgement)}, claimed {claimed(claim)}"
    if judgement.verdict == REPRODUCED:
        return f"{start}: the same within {figure(claim, tolerance).lstrip('+')}"
    end = figure(claim, claim.weaker_end)
    if judgement.verdict == SUPPORTED:
        return f"{start}: it is {at_most} {end}, as claimed{_beyond(judgement)}"
    if judgement.verdict == REFUTED:
        return f"{start}: it is not {at_most} {end}{_direction(judgement)}"
    if judgement.interval is None:
        return (f"{start}: {judgement.evidence} are compared as averages, and without single images there is no "
                "interval to decide by")
    detectable = figure(claim, judgement.detectable).lstrip("+")
    return (f"{start}: the interval leaves open whether it is {at_most} {end}; a distance of {detectable} from there "
            "would have been found in four of five cases")


def _beyond(judgement: Judgement) -> str:
    """Say so where the value is beyond all of the claimed range."""
    low, high = judgement.claim.bounds
    beyond = judgement.value < low if judgement.claim.lower_is_better else judgement.value > high
    return ", and beyond all of the claimed range" if beyond else ""


def _direction(judgement: Judgement) -> str:
    """Say so where a claimed gain is not only smaller, but a loss."""
    claim, value = judgement.claim, judgement.value
    if claim.versus is None or claim.weaker_end == 0:
        return ""
    gain_claimed = claim.weaker_end < 0 if claim.lower_is_better else claim.weaker_end > 0
    loss = value > 0 if claim.lower_is_better else value < 0
    return ", and not even a gain" if gain_claimed and loss else ""
