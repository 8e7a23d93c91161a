"""Tables of the claims' report: verdicts counted, claims by line, changes, pairs of curves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.claims.catalogue import MEASURED, PREDICTED
from bench.claims.judgement import is_marked
from bench.claims.result import ClaimsResult, Judgement, PairComparison
from bench.common.text import format_count
from bench.metrics.statistics.verdicts import VERDICTS
from bench.reports.claims.text import (
    MARK_NOTE,
    MEANINGS,
    Names,
    claimed_text,
    detectable_text,
    interval_text,
    measured_text,
    over_text,
    p_text,
    percent_text,
    range_text,
    slug,
    verdict_text,
    what_text,
)
from bench.reports.page.table import Cell, Column, Table
from bench.results.labels import MINIATURE_NOTE

PREDICTED_NOTE = (
    "Claims are of the authors' documents (claims.yaml). \"Predicted\" ones were never measured by them; what is "
    "measured here are the variants as they are in this suite."
)
INTERVAL_NOTE = (
    "Intervals are 95 %, two-sided: over images for rates, over rounds for times; a value without one is exact. "
    "Verdicts go by one-sided 95 % bounds and the end of the claimed range that is easier to satisfy."
)
KIND_TEXTS = {PREDICTED: "predicted", MEASURED: "measured by the authors"}
MINIATURES = "Miniatures, not the authors' models"
LINE_COLUMNS = (
    Column("claim", "Claim"), Column("variant", "Variant"), Column("what", "What"), Column("versus", "against"),
    Column("where", "Measured on"), Column("claimed", "Claimed"), Column("kind", "Kind"),
    Column("measured", "Measured here"), Column("interval", "95 % interval"), Column("over", "over"),
    Column("evidence", "from"), Column("verdict", "Verdict"), Column("adjusted_p", "p, corrected"),
    Column("detectable", "Detectable"), Column("reason", "Why", wide=True), Column("note", "Note", wide=True),
    Column("contradicts", "Contradicts"),
    Column("command", "What settles or repeats it", wide=True), Column("source", "Source", wide=True),
)
VALUE_COLUMNS = (
    "claim", "line", "variant", "versus", "metric", "part", "setting", "miniature", "where", "unit", "claimed_low",
    "claimed_high", "kind", "value", "interval_low", "interval_high", "bound_low", "bound_high", "floor", "n", "what_n",
    "detectable", "p_value",
    "adjusted_p", "verdict", "evidence", "reason", "contradicts", "command", "source", "note",
)


def verdict_counts(result: ClaimsResult, names: Names) -> Table:
    """How many claims have each verdict, by line; miniatures in a column of their own, outside the sum."""
    full = names.by_line(one for one in result.judgements if not one.miniature)
    miniatures = [one.verdict for one in result.judgements if one.miniature]
    columns = [Column("verdict", "Verdict"), *(Column(slug(line), line, digits=0) for line in full),
               Column("all", "All lines", digits=0)]
    columns += [Column("miniatures", "Miniatures, apart", digits=0)] if miniatures else []
    columns.append(Column("meaning", "Meaning", wide=True))
    rows: list[tuple[Cell, ...]] = []
    for verdict in VERDICTS:
        row = [verdict, *(sum(one.verdict == verdict for one in line) for line in full.values()),
               result.counts[verdict]]
        row += [miniatures.count(verdict)] if miniatures else []
        rows.append((*row, MEANINGS[verdict]))
    said = [text for text in (result.multiplicity, *result.remarks) if text]
    notes = ("A claim counts once for each dataset that it is about, or device that it was measured on.", *said)
    return Table("verdicts", "Verdicts on the claims", tuple(columns), tuple(rows), notes)


def line_table(line: str, judgements: Sequence[Judgement], names: Names, miniature: bool = False) -> Table:
    """The claims about one line of variants with what decided them."""
    rows = tuple(_line_row(one, names) for one in judgements)
    name, title = f"claims_{slug(line)}", f"Claims about {line}"
    if miniature:
        name, title = f"miniatures_{slug(line)}", f"{MINIATURES}: claims about {line}"
    notes = (PREDICTED_NOTE, INTERVAL_NOTE, *([MARK_NOTE] if any(map(is_marked, judgements)) else []))
    warnings = (MINIATURE_NOTE,) if miniature else ()
    return Table(name, title, LINE_COLUMNS, rows, notes, warnings).without_empty_columns()


def _line_row(one: Judgement, names: Names) -> tuple[Cell, ...]:
    claim = one.claim
    return (
        claim.name, names.label(claim.variant), what_text(claim),
        None if claim.versus is None else names.label(claim.versus), one.where or None, claimed_text(claim),
        KIND_TEXTS[claim.kind], measured_text(one), interval_text(one), over_text(one), one.evidence or None,
        verdict_text(one), p_text(one.adjusted_p), detectable_text(one), one.reason, claim.note or None,
        ", ".join(claim.contradicts) or None, one.command or None, claim.source,
    )


def value_table(judgements: Iterable[Judgement], names: Names) -> Table:
    """Every judgement with numbers as they are, for a CSV file."""
    rows = []
    for one in judgements:
        claim = one.claim
        low, high = one.interval or (None, None)
        bounds = one.bounds or (None, None)
        rows.append((
            claim.name, names.line(claim), claim.variant, claim.versus, claim.metric, claim.part, claim.setting,
            one.miniature, one.where, claim.unit, *claim.bounds, claim.kind, one.value, low, high, *bounds,
            one.floor or None, one.n or None, one.what_n, one.detectable, one.p_value, one.adjusted_p, one.verdict,
            one.evidence, one.reason,
            ", ".join(claim.contradicts), one.command, claim.source, claim.note,
        ))
    return Table("claims", "Every claim", tuple(map(_plain_column, VALUE_COLUMNS)), tuple(rows))


def _plain_column(key: str) -> Column:
    return Column(key, key)


def changes_table(result: ClaimsResult) -> Table:
    """What differs from the accepted state, what got worse first."""
    columns = (Column("effect", "Effect"), Column("kind", "What changed"), Column("what", "Of"),
               Column("before", "Accepted"), Column("after", "Now"), Column("reason", "Which term", wide=True))
    ordered = sorted(result.changes, key=lambda change: not change.worse)
    rows = tuple(("worse" if one.worse else "better", one.kind, one.what, one.before, one.after, one.reason)
                 for one in ordered)
    notes = ("Only what is beyond its uncertainty; the accepted state is results/baseline, "
             "set with python -m bench claims --accept.",)
    return Table("changes", "Changes against the accepted state", columns, rows, notes)


def pairs_table(pairs: Sequence[PairComparison], miniature: bool = False) -> Table:
    """BD-rates of every pair of curves that was compared."""
    columns = (
        Column("pair", "Pair"), Column("dataset", "Dataset"), Column("images", "Images", digits=0),
        Column("bd_rate", "BD-rate"), Column("interval", "95 % interval"), Column("mean", "Mean over images"),
        Column("mean_interval", "95 % interval of the mean"), Column("drop_one", "One λ left out"),
        Column("improved", "Images improved"), Column("remarks", "Remarks", wide=True),
    )
    rows = tuple(_pair_row(one) for one in pairs)
    notes = ("BD-rate of the averaged curves, by PCHIP over the common interval of quality, and the mean of single "
             "images' BD-rates; negative: fewer bits. \"One λ left out\": lowest and highest BD-rate without one of "
             "the rate points.",)
    name, title = ("pairs", "Curves compared")
    if miniature:
        name, title = ("pairs_miniatures", f"{MINIATURES}: curves compared")
    return Table(name, title, columns, rows, notes, (MINIATURE_NOTE,) if miniature else ()).without_empty_columns()


def _pair_row(one: PairComparison) -> tuple[Cell, ...]:
    mean, share = one.per_image_mean_percent, one.share_improved
    return (one.title, one.dataset, len(one.images) or None, percent_text(one.value_percent), range_text(one.interval),
            None if mean is None else percent_text(mean), range_text(one.per_image_interval),
            range_text(one.drop_one), None if share is None else f"{100 * share:.0f} %", "; ".join(one.remarks) or None)


def worse_statement(result: ClaimsResult) -> tuple[str, ...]:
    """A warning that names what got worse, or nothing."""
    if not result.worse:
        return ()
    named = "; ".join(f"{one.kind} of {one.what}" for one in result.worse)
    return (f"{format_count(len(result.worse), 'number')} got worse since the accepted state: {named}.",)
