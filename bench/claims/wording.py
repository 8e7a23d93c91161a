"""Verdicts in plain words that a reviewer can quote."""

from __future__ import annotations

from bench.claims.catalogue import COST_UNITS, Claim
from bench.claims.result import Judgement
from bench.common.text import format_number
from bench.metrics.statistics.verdicts import REFUTED, REPRODUCED, SUPPORTED

DIGITS = {"%": 1, "M": 2, "GB": 2, "kMAC/pixel": 2, "ms": 1, "h": 1}  # of measured values


def format_measured(claim: Claim, value: float) -> str:
    """A measured value in the claim's unit: "−4.1 %", "+0.12 dB", "68.51 M"."""
    return f"{_format_value(claim, value)} {claim.unit}".strip()


def format_range(claim: Claim, interval: tuple[float, float]) -> str:
    """Both ends of a measured interval, without the unit: "−16.10 to −14.80"."""
    return " to ".join(_format_value(claim, end) for end in interval)


def format_claimed(claim: Claim, *figures: float) -> str:
    """Figures of a claim with the digits that its authors give: "+10 to +15 %", "81.3 ms", "68.5 M"."""
    sign = "+" if claim.value is None else ""
    texts = [format_number(figure, f"{sign}.10g") for figure in dict.fromkeys(figures)]
    return f"{' to '.join(texts)} {claim.unit}".strip()


def _format_value(claim: Claim, value: float) -> str:
    if claim.metric == "bd_rate":
        digits = 2
    elif claim.metric in ("bd_quality", "quality"):
        scale = claim.quality_metric.scale if claim.metric == "quality" else claim.quality_metric.on_curves
        digits = scale.digits
    else:
        digits = DIGITS.get(claim.unit, 3)
    sign = "+" if claim.value is None else ""
    return format_number(value, f"{sign}.{digits}f")


def find_rounding(value: float) -> float:
    """Half a unit of the last digit that a claimed figure is given with: 0.5 for 4, 0.05 for 1.8."""
    decimals = repr(value).partition(".")[2].rstrip("0")
    return 0.5 * 10.0 ** -len(decimals)


def explain_verdict(judgement: Judgement, tolerance: float | None) -> str:
    """One or two sentences: what was measured, what was claimed, and what follows."""
    claim = judgement.claim
    start = f"measured {_measured_text(judgement)}, claimed {format_claimed(claim, *claim.bounds)}"
    end = format_claimed(claim, claim.weaker_end)
    holding, failing = ("at most", "above") if claim.lower_is_better else ("at least", "below")
    if judgement.verdict == REPRODUCED:
        return f"{start}: the same within {tolerance:g} {claim.unit} ({judgement.evidence})"
    if judgement.verdict == SUPPORTED:
        return f"{start}: it is {holding} {end}{_beyond_text(judgement)}{_bounds_text(judgement)}"
    if judgement.verdict == REFUTED:
        return f"{start}: it is {failing} {end}{_loss_text(judgement)}{_bounds_text(judgement)}"

    if judgement.parted:
        averaged, images = judgement.parted
        return (f"{start}: whether it is {holding} {end} stays open, as averaged curves alone give {averaged}, the "
                f"mean over single images {images}{_gap_text(judgement)}")
    if judgement.interval is not None and judgement.detectable is not None:
        distance = format_measured(claim, judgement.detectable).lstrip("+")
        return (f"{start}: whether it is {holding} {end} stays open{_bounds_text(judgement)}; a distance of {distance} "
                "from there would have been found in four of five cases")
    if claim.metric in COST_UNITS:
        return f"{start}: whether it is {holding} {end} stays open, within what two measurements differ by"
    return f"{start}: {judgement.evidence} gives no interval over images to decide by"


def ask_for_sign(judgement: Judgement) -> str:
    """What is asked where the claimed figure was measured with the other sign."""
    claim = judgement.claim
    saving = " Savings are negative changes here." if claim.lower_is_better else ""
    claimed = format_claimed(claim, *claim.bounds)
    return (f"measured {_measured_text(judgement)}, claimed {claimed}: the same figure with the sign turned; "
            f"is the sign of the claim meant?{saving}")


def _measured_text(judgement: Judgement) -> str:
    """The measured value with its interval and what it goes by."""
    claim, value, interval = judgement.claim, judgement.value, judgement.interval
    text = "" if value is None else format_measured(claim, value)
    if interval is None:
        return text
    told = f"{text} (95 % interval {format_range(claim, interval)}, {judgement.n} {judgement.what_n})"
    spread = judgement.spread
    if spread is None or spread.mean is None or spread.mean_interval is None:
        return told
    return (f"{told}, mean over single images {format_measured(claim, spread.mean)} "
            f"({format_range(claim, spread.mean_interval)})")


def _gap_text(judgement: Judgement) -> str:
    """Why both numbers part, where they do by more than chance."""
    spread = judgement.spread
    return f" ({spread.remark.partition(': ')[2]})" if spread is not None and spread.remark else ""


def _bounds_text(judgement: Judgement) -> str:
    """The bounds that decided, with the noise floor that they hold."""
    if judgement.bounds is None:
        return ""
    low, high = (format_measured(judgement.claim, bound) for bound in judgement.bounds)
    floor = f", a noise floor of {judgement.floor:g} {judgement.claim.unit} included" if judgement.floor else ""
    return f" (one-sided 95 % bounds {low} and {high}{floor})"


def _ends_to_decide_by(judgement: Judgement) -> tuple[float, float]:
    """The bounds that decided, or twice the value where it is exact."""
    if judgement.bounds is not None:
        return judgement.bounds
    assert judgement.value is not None, "only what was measured is given a reason"
    return judgement.value, judgement.value


def _beyond_text(judgement: Judgement) -> str:
    """Say so where it is beyond all of the claimed range."""
    low, high = judgement.claim.bounds
    least, most = _ends_to_decide_by(judgement)
    beyond = most < low if judgement.claim.lower_is_better else least > high
    return ", beyond all of the claimed range" if beyond else ""


def _loss_text(judgement: Judgement) -> str:
    """Say so where a claimed gain is not only smaller, but a loss."""
    claim = judgement.claim
    if claim.versus is None or claim.weaker_end == 0:
        return ""
    least, most = _ends_to_decide_by(judgement)
    gain_claimed = claim.weaker_end < 0 if claim.lower_is_better else claim.weaker_end > 0
    loss = least > 0 if claim.lower_is_better else most < 0
    return ", and a loss" if gain_claimed and loss else ""
