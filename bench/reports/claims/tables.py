"""Tables of the claims' report: verdicts counted, claims by line, changes, pairs of curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

from bench.claims.catalogue import MEASURED, PREDICTED
from bench.claims.change import Change
from bench.claims.judgement import is_marked
from bench.claims.result import ClaimsResult, Interval, Judgement, PairComparison
from bench.common.text import format_count
from bench.metrics.statistics.image_spread import ImageSpread
from bench.metrics.statistics.verdicts import VERDICTS
from bench.reports.claims.text import (
    MARK_NOTE,
    MEANINGS,
    Names,
    claimed_text,
    detectable_text,
    images_text,
    interval_text,
    make_slug,
    measured_text,
    over_text,
    p_text,
    percent_text,
    range_text,
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
    "Verdicts go by one-sided 95 % bounds and the end of the claimed range that is easier to satisfy; those on rates "
    "whose single images are known are decided where averaged curves and mean over images agree."
)
KIND_TEXTS = {PREDICTED: "predicted", MEASURED: "measured by the authors"}
MINIATURES = "Miniatures, not the authors' models"
CHANGE_COLUMNS: tuple[Column[Change], ...] = (
    Column("effect", "Effect", of=lambda change: "worse" if change.worse else "better"),
    Column("kind", "What changed", of=attrgetter("kind")),
    Column("what", "Of", of=attrgetter("what")),
    Column("before", "Accepted", of=attrgetter("before")),
    Column("after", "Now", of=attrgetter("after")),
    Column("reason", "Which term", wide=True, of=attrgetter("reason")),
)


def _take_spread(of: Callable[[ImageSpread], Cell]) -> Callable[[Judgement | PairComparison], Cell]:
    """Of what goes by single images; None for all else."""
    return lambda one: None if one.spread is None else of(one.spread)


def _write_percent(value: float | None) -> str | None:
    return None if value is None else percent_text(value)


PAIR_COLUMNS: tuple[Column[PairComparison], ...] = (
    Column("pair", "Pair", of=attrgetter("title")),
    Column("dataset", "Dataset", of=attrgetter("dataset")),
    Column("images", "Images", digits=0, of=lambda pair: len(pair.images) or None),
    Column("bd_rate", "BD-rate", of=lambda pair: percent_text(pair.value_percent)),
    Column("interval", "95 % interval", of=lambda pair: range_text(pair.interval)),
    Column("mean", "Mean over images", of=_take_spread(lambda spread: _write_percent(spread.mean))),
    Column("mean_interval", "95 % interval of the mean",
           of=_take_spread(lambda spread: range_text(spread.mean_interval))),
    Column("median", "Median", of=_take_spread(lambda spread: _write_percent(spread.median))),
    Column("without_one", "One image left out", of=_take_spread(lambda spread: range_text(spread.without_one))),
    Column("drop_one", "One λ left out", of=lambda pair: range_text(pair.drop_one)),
    Column("improved", "Images improved",
           of=lambda pair: None if pair.share_improved is None else f"{100 * pair.share_improved:.0f} %"),
    Column("remarks", "Remarks", wide=True, of=lambda pair: "; ".join(pair.remarks) or None),
)


def claim_columns(names: Names) -> tuple[Column[Judgement], ...]:
    """What readers are told of a judgement."""
    return (
        Column("claim", "Claim", of=attrgetter("claim.name")),
        Column("variant", "Variant", of=lambda one: names.label(one.claim.variant)),
        Column("what", "What", of=lambda one: what_text(one.claim)),
        Column("versus", "against", of=lambda one: one.claim.versus and names.label(one.claim.versus)),
        Column("where", "Measured on", of=lambda one: one.where or None),
        Column("claimed", "Claimed", of=lambda one: claimed_text(one.claim)),
        Column("kind", "Kind", of=lambda one: KIND_TEXTS[one.claim.kind]),
        Column("measured", "Measured here", of=measured_text),
        Column("interval", "95 % interval", of=interval_text),
        Column("over", "over", of=over_text),
        Column("single_images", "Mean over single images", of=images_text),
        Column("evidence", "from", of=lambda one: one.evidence or None),
        Column("verdict", "Verdict", of=verdict_text),
        Column("adjusted_p", "p, corrected", of=lambda one: p_text(one.adjusted_p)),
        Column("detectable", "Detectable", of=detectable_text),
        Column("reason", "Why", wide=True, of=attrgetter("reason")),
        Column("note", "Note", wide=True, of=lambda one: one.claim.note or None),
        Column("contradicts", "Contradicts", of=lambda one: ", ".join(one.claim.contradicts) or None),
        Column("command", "What settles or repeats it", wide=True, of=lambda one: one.command or None),
        Column("source", "Source", wide=True, of=attrgetter("claim.source")),
    )


def value_columns(names: Names) -> tuple[Column[Judgement], ...]:
    """Everything about a judgement, numbers as they are."""
    cells: dict[str, Callable[[Judgement], Cell]] = {
        "claim": attrgetter("claim.name"), "line": lambda one: names.line(one.claim),
        **{key: attrgetter(f"claim.{key}") for key in ("variant", "versus", "metric", "part", "setting")},
        "miniature": attrgetter("miniature"), "where": attrgetter("where"), "unit": attrgetter("claim.unit"),
        "claimed_low": lambda one: one.claim.bounds[0], "claimed_high": lambda one: one.claim.bounds[1],
        "kind": attrgetter("claim.kind"), "value": attrgetter("value"),
        "interval_low": lambda one: _ends(one.interval)[0], "interval_high": lambda one: _ends(one.interval)[1],
        **{f"images_{key}": _take_spread(attrgetter(key)) for key in ("mean", "median")},
        "images_low": _take_spread(lambda spread: _ends(spread.mean_interval)[0]),
        "images_high": _take_spread(lambda spread: _ends(spread.mean_interval)[1]),
        "without_one_low": _take_spread(lambda spread: _ends(spread.without_one)[0]),
        "without_one_high": _take_spread(lambda spread: _ends(spread.without_one)[1]),
        "bound_low": lambda one: _ends(one.bounds)[0], "bound_high": lambda one: _ends(one.bounds)[1],
        "floor": lambda one: one.floor or None, "n": lambda one: one.n or None,
        **{key: attrgetter(key) for key in ("what_n", "detectable", "p_value", "adjusted_p", "verdict", "evidence",
                                            "reason")},
        "contradicts": lambda one: ", ".join(one.claim.contradicts),
        "command": attrgetter("command"), "source": attrgetter("claim.source"), "note": attrgetter("claim.note"),
    }
    return tuple(Column(key, key, of=of) for key, of in cells.items())


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    return interval or (None, None)


def verdict_counts(result: ClaimsResult, names: Names) -> Table:
    """How many claims have each verdict, by line; miniatures in a column of their own, outside the sum."""
    counts = {line: Counter(one.verdict for one in judgements) for line, judgements in names.by_line(
        one for one in result.judgements if not one.miniature).items()}
    miniatures = Counter(one.verdict for one in result.judgements if one.miniature)
    apart: Column[str] = Column("miniatures", "Miniatures, apart", digits=0, of=miniatures.__getitem__)
    columns: list[Column[str]] = [
        Column("verdict", "Verdict", of=str),
        *(Column(make_slug(line), line, digits=0, of=counted.__getitem__) for line, counted in counts.items()),
        Column("all", "All lines", digits=0, of=result.counts.__getitem__), *([apart] if miniatures else []),
        Column("meaning", "Meaning", wide=True, of=MEANINGS.__getitem__),
    ]

    said = [text for text in (result.multiplicity, *result.remarks) if text]
    notes = ("A claim counts once for each dataset that it is about, or device that it was measured on.", *said)
    return Table.from_records("verdicts", "Verdicts on the claims", columns, VERDICTS, notes=notes)


def line_table(line: str, judgements: Sequence[Judgement], names: Names, miniature: bool = False) -> Table:
    """The claims about one line of variants with what decided them."""
    stem, subject = ("miniatures", f"{MINIATURES}: claims") if miniature else ("claims", "Claims")
    notes = (PREDICTED_NOTE, INTERVAL_NOTE, *([MARK_NOTE] if any(map(is_marked, judgements)) else []))
    table = Table.from_records(f"{stem}_{make_slug(line)}", f"{subject} about {line}", claim_columns(names), judgements,
                               notes=notes, warnings=(MINIATURE_NOTE,) if miniature else ())
    return table.without_empty_columns()


def value_table(judgements: Iterable[Judgement], names: Names) -> Table:
    """Every judgement with numbers as they are, for a CSV file."""
    return Table.from_records("claims", "Every claim", value_columns(names), judgements)


def changes_table(result: ClaimsResult) -> Table:
    """What differs from the accepted state, what got worse first."""
    ordered = sorted(result.changes, key=lambda change: not change.worse)
    compared = f" Compared: {result.compared}." if result.compared else ""
    notes = ("Only what is beyond its uncertainty; the accepted state is results/baseline, "
             f"set with python -m bench claims --accept.{compared}",)
    return Table.from_records("changes", "Changes against the accepted state", CHANGE_COLUMNS, ordered, notes=notes)


def pairs_table(pairs: Sequence[PairComparison], miniature: bool = False) -> Table:
    """BD-rates of every pair of curves that was compared."""
    notes = ("BD-rate of the averaged curves, by PCHIP over the common interval of quality, and the mean of single "
             "images' BD-rates; negative: fewer bits. \"One image left out\", \"one λ left out\": lowest and highest "
             "BD-rate of the averaged curves without one of the images, or of the rate points.",)
    name, title = ("pairs_miniatures", f"{MINIATURES}: curves compared") if miniature else ("pairs", "Curves compared")
    return Table.from_records(name, title, PAIR_COLUMNS, pairs, notes=notes,
                              warnings=(MINIATURE_NOTE,) if miniature else ()).without_empty_columns()


def worse_statement(result: ClaimsResult) -> tuple[str, ...]:
    """A warning that names what got worse, or nothing."""
    if not result.worse:
        return ()
    named = "; ".join(f"{one.kind} of {one.what}" for one in result.worse)
    return (f"{format_count(len(result.worse), 'number')} got worse since the accepted state: {named}.",)
