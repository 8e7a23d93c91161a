"""The answer in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.common.text import format_count, format_number, list_names
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

    Learned codecs go before classical ones. Where none of ``rows`` has a BD-rate but a baseline's own, it says so.

    >>> make_sentence([], [], [])
    'No BD-rate is known yet; no claim is about it.'
    """
    learned = [row for row in rows if row.line != CLASSICAL]
    for describe, shown in ((_describe_rates, learned), (_describe_rates, rows), (_describe_baselines, rows)):
        for dataset in datasets:
            if parts := describe(shown, dataset):
                return f"On {dataset.title}, {'; '.join([*parts, _describe_claims(claims)])}."
    return f"No BD-rate is known yet; {_describe_claims(claims)}."


def _describe_rates(rows: Sequence[AnswerRow], dataset: AnswerDataset) -> list[str]:
    """The best of the full-width codecs, and of the miniatures; nothing of those without a BD-rate."""
    full, miniatures = ([row for row in rows if row.miniature == wanted] for wanted in (False, True))
    return list(filter(None, (_describe_best(full, dataset), _describe_best_miniature(miniatures, dataset))))


def _describe_baselines(rows: Sequence[AnswerRow], dataset: AnswerDataset) -> list[str]:
    """What others are compared with, and what can't be compared with it."""
    known = [row for row in rows if dataset.name in row.rates]
    baselines = [row.label for row in known if _is_baseline(row, dataset)]
    others = [row.label for row in known if row.label not in baselines]
    parts = [f"{list_names(baselines)} {'is' if len(baselines) == 1 else 'are'} what others are compared with"]
    return [*(parts if baselines else []), *([f"no BD-rate is known of {list_names(others)}"] if others else [])]


def _is_baseline(row: AnswerRow, dataset: AnswerDataset) -> bool:
    """Whether the dataset's other codecs are compared with ``row``."""
    if row.miniature:
        return row.label == dataset.base_miniature
    return row.label == dataset.anchor or row.label == shorten_label(dataset.base)


def _describe_best(rows: Sequence[AnswerRow], dataset: AnswerDataset) -> str:
    """The lowest BD-rate against the anchor, or else, where there is none, against the baseline alone."""
    known = _list_bd_rates(rows, dataset, "versus_anchor", dataset.anchor)
    if known:
        row, rate, bd_rate = min(known, key=lambda one: one[2].percent)
        addition = " (published points)" if rate.origin == "published" else ""
        best = f"{row.label} {_describe_saving(bd_rate)} {shorten_label(dataset.anchor)}{addition}"
        return ", ".join(filter(None, (best, _describe_beside_base(row, rate, dataset))))

    known = _list_bd_rates(rows, dataset, "versus_base", shorten_label(dataset.base))
    if not known:
        return ""
    row, rate, _ = min(known, key=lambda one: one[2].percent)
    return f"{row.label} {_describe_beside_base(row, rate, dataset)}"


def _list_bd_rates(rows: Sequence[AnswerRow], dataset: AnswerDataset, field: str,
                   baseline: str) -> list[tuple[AnswerRow, Rate, BDRate]]:
    """BD-rates by PSNR of all but the baseline itself; where any codec was measured here, of those."""
    known = [(row, rate, bd_rate) for row in rows if row.label != baseline and (rate := row.rates.get(dataset.name))
             and (bd_rate := getattr(rate, field)) and not bd_rate.by]
    return [one for one in known if one[1].origin == "measured"] or known


def _describe_beside_base(row: AnswerRow, rate: Rate, dataset: AnswerDataset) -> str:
    """Rate and decode time against the baseline, of another codec than that."""
    base = shorten_label(dataset.base)
    if rate.versus_base is None or rate.versus_base.by or row.label == base:
        return ""
    addition = " (published points)" if rate.versus_base.published and rate.origin == "measured" else ""
    text = f"{_describe_saving(rate.versus_base)} {base}{addition}"
    cost = choose_cost(row)
    ratio = None if cost is None else cost.decode_ratio
    return text if ratio is None else f"{text} and takes {format_number(ratio, '.2f')} times its time to decode"


def _describe_best_miniature(rows: Sequence[AnswerRow], dataset: AnswerDataset) -> str:
    known = _list_bd_rates(rows, dataset, "versus_base", dataset.base_miniature)
    if not known:
        return ""
    row, _, bd_rate = min(known, key=lambda one: one[2].percent)
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
