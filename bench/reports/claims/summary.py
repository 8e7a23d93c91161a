"""What the claims came to in short, for a terminal and for CI systems."""

from __future__ import annotations

from collections.abc import Sequence

from bench.claims.judgement import is_marked
from bench.claims.result import Change, ClaimsResult, Judgement
from bench.metrics.statistics.verdicts import REFUTED, REPRODUCED, SUPPORTED, VERDICTS
from bench.reports.claims.tables import MINIATURES
from bench.reports.claims.text import MARK_NOTE, claimed_text, interval_text, measured_text, verdict_text
from bench.reports.page.render import to_text
from bench.reports.page.table import Column, Table

DECIDED = (REPRODUCED, SUPPORTED, REFUTED)


def counts_table(result: ClaimsResult) -> Table:
    """How many claims about the authors' own models have each verdict, in one row."""
    columns = tuple(Column(verdict, verdict, digits=0) for verdict in VERDICTS)
    notes = tuple(text for text in (result.multiplicity, *result.remarks) if text)
    return Table("counts", "Verdicts", columns, (tuple(result.counts[verdict] for verdict in VERDICTS),), notes)


def decided_tables(result: ClaimsResult) -> list[Table]:
    """The claims that hold or don't, with what decided them; those about miniatures in a table of their own."""
    decided = [one for one in result.judgements if one.verdict in DECIDED]
    miniatures = [one for one in decided if one.miniature]
    tables = [_decided_table("Decided", [one for one in decided if not one.miniature])]
    return tables + ([_decided_table(f"{MINIATURES}: decided", miniatures)] if miniatures else [])


def _decided_table(title: str, decided: Sequence[Judgement]) -> Table:
    columns = (Column("claim", "Claim"), Column("where", "Measured on"), Column("claimed", "Claimed"),
               Column("measured", "Measured"), Column("interval", "95 % interval"), Column("verdict", "Verdict"))
    rows = tuple((one.claim.name, one.where or None, claimed_text(one.claim), measured_text(one), interval_text(one),
                  verdict_text(one)) for one in decided)
    return Table("decided", title, columns, rows, (MARK_NOTE,) if any(map(is_marked, decided)) else ())


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
