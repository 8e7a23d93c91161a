"""The claims of an answer: what each came to, and what changed since the accepted state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from bench.claims.result import MINIATURE, Judgement
from bench.reports.claims.text import Names, claimed_text, images_text, interval_text, measured_text, what_text
from bench.reports.front.answer import AnswerClaim, summarise_verdict


def describe_judgement(judgement: Judgement, names: Names) -> AnswerClaim:
    """Return what an answer says of a judgement."""
    claim, suffix = judgement.claim, MINIATURE if judgement.miniature else ""
    return AnswerClaim(
        name=claim.name, codec=claim.variant + suffix, what=what_text(claim),
        versus=names.label(claim.versus) if claim.versus else "", where=judgement.where, claimed=claimed_text(claim),
        measured=measured_text(judgement) or "", interval=interval_text(judgement) or "",
        of_images=images_text(judgement) or "", verdict=judgement.verdict, miniature=judgement.miniature)


def count_verdicts(claims: Iterable[AnswerClaim], codec: str) -> dict[str, int]:
    """Return how many claims about ``codec`` hold, are refuted, or neither, by the names of an answer's fields."""
    counts = Counter(summarise_verdict(claim.verdict) for claim in claims if claim.codec == codec)
    return {name: counts[name] for name in ("supported", "refuted", "open")}
