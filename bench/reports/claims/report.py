"""The report of claims: what they came to, in a folder of files."""

from __future__ import annotations

from collections.abc import Sequence

from bench.claims.changes import compare_with_accepted
from bench.claims.result import ClaimsResult, Judgement
from bench.metrics.statistics.verdicts import NOT_MEASURED
from bench.reports.claims.pair_overview import plot_overview
from bench.reports.claims.plots import plot_forest
from bench.reports.claims.summary import summary_text
from bench.reports.claims.tables import (
    MINIATURES,
    changes_table,
    line_table,
    pairs_table,
    value_table,
    verdict_counts,
    worse_statement,
)
from bench.reports.claims.text import Names, find_names, make_slug
from bench.reports.page.figures import Figure
from bench.reports.page.pages import Report, Section
from bench.reports.page.render import to_csv, to_latex
from bench.reports.page.table import Table
from bench.results.stored import StoredResults
from bench.variants import load_variants

INTRO = (
    "What the authors of the variants say, beside what was measured here. A claim is decided by its weaker end: the "
    "end of its range that is easier to satisfy. Every verdict names the numbers that decide it and the command that "
    "repeats or settles it."
)


def make_claims_report(results: StoredResults) -> Report:
    """Return the report of all claims, compared with the accepted state.

    Raises:
        BenchError: claims.yaml, variants.yaml, a file of rows or the accepted state is wrong.
    """
    result = results.derive(compare_with_accepted)
    return assemble_claims(result, find_names(load_variants().values()))


def assemble_claims(result: ClaimsResult, names: Names) -> Report:
    """Make all tables and figures."""
    full, miniature = ([one for one in result.judgements if one.miniature == wanted] for wanted in (False, True))
    measured = [one for one in miniature if one.verdict != NOT_MEASURED]  # what is not is left to the full models

    sections = [
        Section("Verdicts", (verdict_counts(result, names),)),
        Section("Changes against the accepted state", (changes_table(result),)),
        *(Section(line, (line_table(line, found, names),), tuple(_list_forests(line, found, names)))
          for line, found in names.by_line(full).items()),
        *_pair_sections(result, miniature=False),
    ]
    if measured:
        forests = [figure for line, found in names.by_line(measured).items()
                   for figure in _list_forests(line, found, names, miniature=True)]
        sections.append(Section(MINIATURES, tuple(_line_tables(measured, names, miniature=True)), tuple(forests)))
    sections += _pair_sections(result, miniature=True)

    tables = [*_line_tables(full, names), *_line_tables(miniature, names, miniature=True)]
    return Report("claims", "Claims and what they came to", "verdicts", (INTRO,), tuple(sections),
                  worse_statement(result), summary=summary_text(result), worse=bool(result.worse), files={
                      "claims.csv": to_csv(value_table(result.judgements, names)).encode(),
                      "claims.tex": "\n".join(map(to_latex, tables)).encode()})


def _line_tables(judgements: Sequence[Judgement], names: Names, miniature: bool = False) -> list[Table]:
    return [line_table(line, found, names, miniature) for line, found in names.by_line(judgements).items()]


def _list_forests(line: str, judgements: Sequence[Judgement], names: Names, miniature: bool = False) -> list[Figure]:
    stem, title = ("forest_miniatures", f"{MINIATURES}: {line}") if miniature else ("forest", line)
    return plot_forest(f"{stem}_{make_slug(line)}", title, judgements, names)


def _pair_sections(result: ClaimsResult, miniature: bool) -> list[Section]:
    pairs = [pair for pair in result.pairs if pair.miniature == miniature]
    if not pairs:
        return []
    title = f"{MINIATURES}: curves compared" if miniature else "Curves compared"
    table = pairs_table(pairs, miniature)
    return [Section(title, (table,), (plot_overview(table.name, pairs),))]
