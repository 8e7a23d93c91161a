"""What the claims came to in short, for a terminal and for CI systems."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter, itemgetter

from bench.claims.judgement import is_marked
from bench.claims.result import Change, ClaimsResult, Judgement
from bench.metrics.statistics.verdicts import REFUTED, REPRODUCED, SUPPORTED, VERDICTS
from bench.reports.claims.tables import MINIATURES
from bench.reports.claims.text import MARK_NOTE, claimed_text, interval_text, measured_text, verdict_text
from bench.reports.page.render import to_text
from bench.reports.page.table import Column, Table

DECIDED = (REPRODUCED, SUPPORTED, REFUTED)
DECIDED_COLUMNS: tuple[Column[Judgement], ...] = (
    Column("claim", "Claim", of=attrgetter("claim.name")),
    Column("where", "Measured on", of=lambda one: one.where or None),
    Column("claimed", "Claimed", of=lambda one: claimed_text(one.claim)),
    Column("measured", "Measured", of=measured_text),
    Column("interval", "95 % interval", of=interval_text),
    Column("verdict", "Verdict", of=verdict_text),
)


def counts_table(result: ClaimsResult) -> Table:
    """How many claims about the authors' own models have each verdict, in one row."""
    columns = [Column(verdict, verdict, digits=0, of=itemgetter(verdict)) for verdict in VERDICTS]
    notes = tuple(text for text in (result.multiplicity, *result.remarks) if text)
    return Table.from_records("counts", "Verdicts", columns, [result.counts], notes=notes)


def decided_tables(result: ClaimsResult) -> list[Table]:
    """The claims that hold or don't, with what decided them; those about miniatures in a table of their own."""
    decided = [one for one in result.judgements if one.verdict in DECIDED]
    miniatures = [one for one in decided if one.miniature]
    tables = [_decided_table("Decided", [one for one in decided if not one.miniature])]
    return tables + ([_decided_table(f"{MINIATURES}: decided", miniatures)] if miniatures else [])


def _decided_table(title: str, decided: Sequence[Judgement]) -> Table:
    notes = (MARK_NOTE,) if any(map(is_marked, decided)) else ()
    return Table.from_records("decided", title, DECIDED_COLUMNS, decided, notes=notes)


def change_text(change: Change) -> str:
    """"0.500 bpp before, 0.505 bpp now: rate rose on 24 images"."""
    return f"{change.before} before, {change.after} now: {change.reason}"


def summary_text(result: ClaimsResult) -> str:
    """Return the summary for a terminal: decided claims, verdicts counted, what got worse or better."""
    tables = [*decided_tables(result), counts_table(result)]
    parts = [to_text(table) for table in tables]
    parts += ["\n".join(notes)] if (notes := dict.fromkeys(note for table in tables for note in table.notes)) else []
    parts += [f"{'WORSE' if one.worse else 'better'}: {one.kind} of {one.what}: {change_text(one)}"
              for one in result.changes]
    return "\n\n".join(parts)
