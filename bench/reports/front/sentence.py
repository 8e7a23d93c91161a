"""The answer in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.common.text import format_count, format_number
from bench.reports.front.answer import (
    CLASSICAL,
    AnswerClaim,
    AnswerDataset,
    AnswerRow,
    BDRate,
    Rate,
    choose_cost,
    summarise_verdict,
)
from bench.reports.front.cells import shorten_label


def make_sentence(datasets: Sequence[AnswerDataset], rows: Sequence[AnswerRow], claims: Sequence[AnswerClaim]) -> str:
    """Say which row saves most on the first dataset that knows any BD-rate, and what the claims came to.

    >>> make_sentence([], [], [])
    'No BD-rate is known yet; no claim is about it.'
    """
    models = [row for row in rows if row.line != CLASSICAL] or rows
    full, miniatures = ([row for row in models if row.miniature == wanted] for wanted in (False, True))
    for dataset in datasets:
        parts = list(filter(None, (_describe_best(full, dataset), _describe_best_miniature(miniatures, dataset))))
        if parts:
            return f"On {dataset.title}, {'; '.join([*parts, _describe_claims(claims)])}."
    return f"No BD-rate is known yet; {_describe_claims(claims)}."


def _describe_best(rows: Sequence[AnswerRow], dataset: AnswerDataset) -> str:
    """The lowest BD-rate against the anchor of those measured here, or else of those published."""
    known = [(row, rate, rate.versus_anchor) for row in rows
             if (rate := row.rates.get(dataset.name)) and rate.versus_anchor]
    known = [one for one in known if one[1].origin == "measured"] or known
    if not known:
        return ""

    row, rate, bd_rate = min(known, key=lambda one: one[2].percent)
    addition = " (published points)" if rate.origin == "published" else ""
    best = f"{row.label} {_describe_saving(bd_rate)} {shorten_label(dataset.anchor)}{addition}"
    return f"{best}{_describe_beside_base(row, rate, shorten_label(dataset.base))}"


def _describe_beside_base(row: AnswerRow, rate: Rate, base: str) -> str:
    """Rate and decode time against the baseline, of another codec than that."""
    if rate.versus_base is None or rate.versus_base.percent == 0:
        return ""
    text = f", {_describe_saving(rate.versus_base)} {base}"
    cost = choose_cost(row)
    ratio = None if cost is None else cost.decode_ratio
    return text if ratio is None else f"{text} and takes {format_number(ratio, '.2f')} times its time to decode"


def _describe_best_miniature(rows: Sequence[AnswerRow], dataset: AnswerDataset) -> str:
    known = [(row, rate.versus_base) for row in rows if row.label != dataset.base_miniature
             and (rate := row.rates.get(dataset.name)) and rate.versus_base]
    if not known:
        return ""
    row, bd_rate = min(known, key=lambda pair: pair[1].percent)
    return f"{row.label} {_describe_saving(bd_rate)} {dataset.base_miniature}"


def _describe_saving(bd_rate: BDRate) -> str:
    amount = f"{format_number(abs(bd_rate.percent), '.1f')} %"
    return f"needs {amount} more rate than" if bd_rate.percent > 0 else f"saves {amount} of the rate of"


def _describe_claims(claims: Sequence[AnswerClaim]) -> str:
    counts = Counter(summarise_verdict(claim.verdict) for claim in claims)
    if not claims:
        return "no claim is about it"
    listed = ", ".join(f"{counts[word]} {word}" for word in ("supported", "refuted", "open"))
    return f"{format_count(len(claims), 'claim')}: {listed}"
