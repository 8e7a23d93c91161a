"""Verdicts in plain words that a reviewer can quote."""

from __future__ import annotations

from bench.claims.catalogue import Claim
from bench.claims.result import Judgement
from bench.common.text import format_number
from bench.metrics.statistics.verdicts import REFUTED, REPRODUCED, SUPPORTED

DIGITS = {"%": 1, "dB": 2, "M": 2, "GB": 2, "kMAC/pixel": 2, "ms": 1, "h": 1}
SIGNED = ("%", "dB")


def figure(claim: Claim, value: float) -> str:
    """A value in the claim's unit: "−4.1 %", "+0.12 dB", "68.51 M"."""
    digits = 2 if claim.metric == "bd_rate" else DIGITS.get(claim.unit, 3)
    sign = "+" if claim.unit in SIGNED and claim.versus is not None else ""
    return f"{format_number(value, f'{sign}.{digits}f')} {claim.unit}".strip()


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


def rounding_of(value: float) -> float:
    """Half a unit of the last digit that a claimed figure is given with: 0.5 for 4, 0.05 for 1.8."""
    decimals = repr(value).partition(".")[2].rstrip("0")
    return 0.5 * 10.0 ** -len(decimals)


def reason_of(judgement: Judgement, tolerance: float | None) -> str:
    """One or two sentences: what was measured, what was claimed, and what follows."""
    claim = judgement.claim
    at_most = "at most" if claim.lower_is_better else "at least"
    start = f"measured {measured(judgement)}, claimed {claimed(claim)}"
    if judgement.verdict == REPRODUCED:
        return f"{start}: the same within {_plain(claim, tolerance)}, from {judgement.evidence}"
    end = figure(claim, claim.weaker_end)
    if judgement.verdict in (SUPPORTED, REFUTED):
        holds = judgement.verdict == SUPPORTED
        follows = f"it is {at_most} {end}{_beyond(judgement)}" if holds else (
            f"it is {'above' if claim.lower_is_better else 'below'} {end}{_direction(judgement)}")
        return f"{start}: {follows}{_bounds(judgement)}"
    if judgement.interval is None:
        return f"{start}: {judgement.evidence} gives no interval over images to decide by"
    return (f"{start}: whether it is {at_most} {end} stays open{_bounds(judgement)}; a distance of "
            f"{_plain(claim, judgement.detectable)} from there would have been found in four of five cases")


def _plain(claim: Claim, value: float) -> str:
    return figure(claim, value).lstrip("+")


def _bounds(judgement: Judgement) -> str:
    """The bounds that decided, with the noise floor that they hold."""
    if judgement.bounds is None:
        return ""
    claim = judgement.claim
    low, high = (figure(claim, bound) for bound in judgement.bounds)
    floor = f", a noise floor of {_plain(claim, judgement.floor)} included" if judgement.floor else ""
    return f" (one-sided 95 % bounds {low} and {high}{floor})"


def _beyond(judgement: Judgement) -> str:
    """Say so where it is beyond all of the claimed range."""
    low, high = judgement.claim.bounds
    least, most = judgement.bounds or (judgement.value, judgement.value)
    beyond = most < low if judgement.claim.lower_is_better else least > high
    return ", beyond all of the claimed range" if beyond else ""


def _direction(judgement: Judgement) -> str:
    """Say so where a claimed gain is not only smaller, but a loss."""
    claim = judgement.claim
    if claim.versus is None or claim.weaker_end == 0:
        return ""
    least, most = judgement.bounds or (judgement.value, judgement.value)
    gain_claimed = claim.weaker_end < 0 if claim.lower_is_better else claim.weaker_end > 0
    loss = least > 0 if claim.lower_is_better else most < 0
    return ", and a loss" if gain_claimed and loss else ""
