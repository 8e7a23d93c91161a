"""The answer in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.common.text import format_count, format_number
from bench.reports.front.answer import CLASSICAL, AnswerClaim, AnswerDataset, AnswerRow, BDRate, summarise_verdict
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
    known = [(row, rate.origin, rate.versus_anchor) for row in rows
             if (rate := row.rates.get(dataset.name)) and rate.versus_anchor]
    known = [one for one in known if one[1] == "measured"] or known
    if not known:
        return ""
    row, origin, bd_rate = min(known, key=lambda one: one[2].percent)
    addition = " by published points, none being measured here" if origin == "published" else ""
    return f"{_describe_saving(row.label, bd_rate, shorten_label(dataset.anchor))}{addition}"


def _describe_best_miniature(rows: Sequence[AnswerRow], dataset: AnswerDataset) -> str:
    known = [(row, rate.versus_base) for row in rows if (rate := row.rates.get(dataset.name)) and rate.versus_base]
    if not known:
        return ""
    row, bd_rate = min(known, key=lambda pair: pair[1].percent)
    return _describe_saving(row.label, bd_rate, dataset.base_miniature)


def _describe_saving(label: str, bd_rate: BDRate, versus: str) -> str:
    amount = f"{format_number(abs(bd_rate.percent), '.1f')} %"
    if bd_rate.percent > 0:
        return f"{label} needs {amount} more rate than {versus}"
    return f"{label} saves {amount} of the rate of {versus}"


def _describe_claims(claims: Sequence[AnswerClaim]) -> str:
    counts = Counter(summarise_verdict(claim.verdict) for claim in claims)
    if not claims:
        return "no claim is about it"
    return (f"of {format_count(len(claims), 'claim')} {counts['supported']} hold, {counts['refuted']} are refuted and "
            f"{counts['open']} are open")
