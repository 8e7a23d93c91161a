"""What the claims come to: findings, judgements, the comparisons of curves behind them, and what changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from bench.claims.catalogue import Claim
from bench.claims.change import Change
from bench.curves.rd_curve import RDCurve
from bench.metrics.statistics.estimates import Estimate
from bench.metrics.statistics.image_spread import ImageSpread

MINIATURE = "_mini"  # what the name of a variant's miniature ends with
Interval = tuple[float, float]


@dataclass(frozen=True)
class Finding:
    """What was measured for a claim, or why nothing was.

    Attributes:
        estimate: the measured value with its uncertainty, in the claim's unit, or a ratio where ``is_ratio``; None
            without one.
        value: the measured value where its uncertainty is not known, in the claim's unit.
        of_images: the mean over single images, where ``estimate`` is of averaged curves; both have to agree.
        spread: both numbers side by side, where single images are known.
        is_ratio: ``estimate`` is a ratio that the claim states as a change in percent.
        floor: what two measurements of the same thing differ by, in the estimate's unit.
        tolerance: how far a value that the authors measured may be off and still count as found again, in the claim's
            unit; None where finding the value again is not what the evidence can do.
        published: the value is made of published figures alone, so that it refutes the claim if it is not found again.
        missing: why nothing was measured.
        fault: the precondition that is broken.
        place: dataset or device, whether measured or not; empty for what is the same everywhere.
        where: the same with size or rate.
        evidence: what was compared.
        what_n: what the estimate's n counts: "images", "rounds".
        command: what would settle the claim, or check it again.
    """

    estimate: Estimate | None = None
    value: float | None = None
    of_images: Estimate | None = None
    spread: ImageSpread | None = None
    is_ratio: bool = False
    floor: float = 0.0
    tolerance: float | None = None
    published: bool = False
    missing: str = ""
    fault: str = ""
    place: str = ""
    where: str = ""
    evidence: str = ""
    what_n: str = ""
    command: str = ""


@dataclass(frozen=True)
class Judgement:
    """One claim, judged by one kind of evidence.

    Attributes:
        verdict: one of :data:`bench.metrics.statistics.verdicts.VERDICTS`.
        miniature: judged on miniatures; such a verdict never settles the claim about the authors' model.
        value: in the claim's unit; None where there is none.
        interval: 95 %, two-sided; None for exact values.
        bounds: one-sided 95 % bounds that decided, moved apart by ``floor``; None where nothing was tested.
        floor: what two measurements of the same thing differ by, in the claim's unit.
        spread: of a comparison of curves whose single images are known, averaged curves and mean over images.
        parted: verdicts that averaged curves and mean over images give on their own, where these differ.
        n: how many images or rounds ``value`` goes by, ``what_n``; 0 where that doesn't apply.
        detectable: the smallest effect that would have been found in 80 % of cases, in the claim's unit.
        p_value: one-sided, of the test that decided; None where nothing was tested.
        adjusted_p: the same, corrected for all claims tested together (Holm).
        place: dataset or device, the same before and after it is measured; empty for what is the same everywhere.
        where: dataset, or device and shape.
        reason: what decided, in words.
        command: what would settle it, or check it again.
        sign_in_doubt: the measured figure is the claimed one with the sign turned; ``reason`` asks.
        evidence: what was compared.
    """

    claim: Claim
    verdict: str
    reason: str
    command: str = ""
    miniature: bool = False
    value: float | None = None
    interval: Interval | None = None
    bounds: Interval | None = None
    floor: float = 0.0
    spread: ImageSpread | None = None
    parted: tuple[str, ...] = ()
    n: int = 0
    what_n: str = ""
    detectable: float | None = None
    p_value: float | None = None
    adjusted_p: float | None = None
    place: str = ""
    where: str = ""
    evidence: str = ""
    sign_in_doubt: bool = False


@dataclass(frozen=True)
class PairComparison:
    """Two curves over the same images, or published averages, of which single images are not known.

    Attributes:
        metric: name of the quality metric that both are compared by.
        images: names, in the order of ``per_image_percent`` (NaN where an image has no BD-rate); empty where single
            images are not known, and then there are no intervals, no mean over images and no share.
        value_percent: BD-rate of the averaged curves.
        spread: it beside the mean over single images, with intervals.
        drop_one: lowest and highest BD-rate with one λ left out; None where that leaves too few points.
        share_improved: of the images with a value, how many need fewer bits: 0 to 1.
        remarks: overlap, other intervals and interpolations, what was left out.
    """

    title: str
    dataset: str
    metric: str
    anchor: RDCurve
    test: RDCurve
    value_percent: float
    images: tuple[str, ...] = ()
    per_image_percent: tuple[float, ...] = ()
    spread: ImageSpread | None = None
    drop_one: Interval | None = None
    share_improved: float | None = None
    remarks: tuple[str, ...] = ()
    miniature: bool = False

    @property
    def interval(self) -> Interval | None:
        """Of the averaged curves, at 95 %, over images."""
        return None if self.spread is None else self.spread.interval


@dataclass(frozen=True)
class ClaimsResult:
    """Everything that a report of claims shows.

    Attributes:
        multiplicity: how the verdicts account for being many.
        compared: what of the accepted state ``changes`` are against; empty where none was accepted.
    """

    judgements: tuple[Judgement, ...]
    pairs: tuple[PairComparison, ...] = ()
    changes: tuple[Change, ...] = ()
    remarks: tuple[str, ...] = ()
    multiplicity: str = ""
    compared: str = ""

    @cached_property
    def counts(self) -> Counter[str]:
        """How many claims about the authors' own models have each verdict."""
        return Counter(one.verdict for one in self.judgements if not one.miniature)

    @property
    def worse(self) -> list[Change]:
        """What got worse since the accepted state."""
        return [change for change in self.changes if change.worse]
