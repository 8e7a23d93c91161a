"""Puts the answer together from stored rows, published curves and claims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bench.claims.changes import compare_with_accepted
from bench.reports.claims.text import find_names
from bench.reports.front.answer import CLASSICAL, Answer, AnswerClaim, AnswerRow, Cost, Elsewhere, Rate
from bench.reports.front.costs import find_costs
from bench.reports.front.elsewhere import Configuration, find_elsewhere
from bench.reports.front.rates import describe_dataset, find_rates, list_datasets
from bench.reports.front.verdicts import count_verdicts, describe_judgement
from bench.reports.rate.curves import LEARNED
from bench.results.labels import label_codecs, mark_miniature
from bench.results.rows import Row
from bench.results.stored import StoredResults
from bench.variants import Variant, load_variants


def make_answer(results: StoredResults, own: bool = False) -> Answer:
    """Return the answer of everything stored; what other reports compute of it is computed once.

    Args:
        own: on the user's own folders of images; otherwise on the catalogue's sets.

    Raises:
        BenchError: a file of rows, an imported curve, variants.yaml, claims.yaml or the accepted state is wrong.
    """
    variants = load_variants()
    judged = results.derive(compare_with_accepted)
    names = find_names(variants.values())
    claims = tuple(describe_judgement(judgement, names) for judgement in judged.judgements)

    stored = list_datasets(results, own)
    datasets = [describe_dataset(results, name) for name in stored]
    rates = {dataset.name: find_rates(results, name) for dataset, name in zip(datasets, stored)}
    costs = find_costs(results, variants.values())
    elsewhere = find_elsewhere(results, own)

    rows = tuple(_make_row(row, rates, costs, elsewhere, claims) for row in _list_codecs(results, stored, variants))
    known = tuple(row for row in rows if row.rates or row.costs or row.elsewhere or not row.miniature)
    return Answer(datasets=tuple(datasets), rows=known, claims=claims,
                  changes=judged.changes, compared=bool(judged.compared))


def _list_codecs(results: StoredResults, datasets: Iterable[str],
                 variants: Mapping[str, Variant]) -> Iterator[AnswerRow]:
    """Every codec without its figures: variants, other learned codecs, classical ones, miniatures."""
    measured: dict[str, Row] = {row.name: row for name in datasets for row in results.rows(name)}
    labels = label_codecs(measured.values())
    others = [AnswerRow(name=name, label=labels[name], line="" if row.codec == LEARNED else CLASSICAL,
                        miniature=row.miniature) for name, row in measured.items() if name not in variants]
    known = [AnswerRow(name=name, label=mark_miniature(one.label, one.miniature), line=one.line,
                       miniature=one.miniature) for name, one in variants.items()]

    yield from (row for row in known if not row.miniature)
    yield from sorted((row for row in others if not row.miniature), key=lambda row: row.line == CLASSICAL)
    yield from (row for row in (*known, *others) if row.miniature)


def _make_row(codec: AnswerRow, rates: Mapping[str, Mapping[str, Rate]], costs: Mapping[str, tuple[Cost, ...]],
              elsewhere: Mapping[str, dict[Configuration, Elsewhere]], claims: Iterable[AnswerClaim]) -> AnswerRow:
    known = {dataset: found[codec.name] for dataset, found in rates.items() if codec.name in found}
    return AnswerRow(name=codec.name, label=codec.label, line=codec.line, miniature=codec.miniature, rates=known,
                     costs=costs.get(codec.name, ()), elsewhere=elsewhere.get(codec.name, {}),
                     **count_verdicts(claims, codec.name))
