"""What the claims came to in short, for a terminal and for CI systems."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from bench.claims.change import Change
from bench.claims.judgement import is_marked
from bench.claims.result import ClaimsResult, Judgement
from bench.common.text import format_count
from bench.metrics.statistics.verdicts import REFUTED, REPRODUCED, SUPPORTED, VERDICTS
from bench.reports.claims.tables import MINIATURES, claim_columns
from bench.reports.claims.text import MARK_NOTE, Names
from bench.reports.page.render import to_text
from bench.reports.page.table import Column, Table

ACCEPTED = "results/baseline"
DECIDED = (REPRODUCED, SUPPORTED, REFUTED)
DECIDED_KEYS = ("claim", "where", "claimed", "measured", "interval", "verdict")


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
    columns = [column for column in claim_columns(Names({}, {})) if column.key in DECIDED_KEYS]
    notes = (MARK_NOTE,) if any(map(is_marked, decided)) else ()
    return Table.from_records("decided", title, columns, decided, notes=notes)


def change_text(change: Change) -> str:
    """"0.500 bpp before, 0.505 bpp now: rate rose on 24 images"."""
    return f"{change.before} before, {change.after} now: {change.reason}"


def summary_text(result: ClaimsResult) -> str:
    """Return the summary for a terminal: decided claims, verdicts counted, what got worse or better."""
    tables = [*decided_tables(result), counts_table(result)]
    notes = dict.fromkeys(note for table in tables for note in table.notes)
    changes = [f"{'WORSE' if change.worse else 'better'}: {change.kind} of {change.what}: {change_text(change)}"
               for change in result.changes]
    questions = explain_open([one for one in result.judgements if one.sign_in_doubt])
    return "\n\n".join(filter(None, [*map(to_text, tables), "\n".join(notes), questions, *changes,
                                      comparison_text(result)]))


def explain_open(judgements: Sequence[Judgement]) -> str:
    """Return a line for each claim that is not decided: why, and what would settle it."""
    lines = []
    for one in judgements:
        if one.verdict not in DECIDED:
            where = f", {one.where}" if one.where else ""
            command = f"; {one.command}" if one.command and not one.sign_in_doubt else ""
            lines.append(f"{one.claim.name}{where}: {one.verdict}: {one.reason}{command}")
    return "\n".join(lines)


def comparison_text(result: ClaimsResult) -> str:
    """Say what was compared with the accepted state, and what came of it; nothing where nothing was."""
    if not result.compared:
        return ""
    better, worse = len(result.changes) - len(result.worse), len(result.worse)
    found = (f"{format_count(worse, 'number')} got worse, {better} better" if result.changes
             else "unchanged, nothing got better or worse beyond its uncertainty")
    return f"Accepted state ({ACCEPTED}): {found}; compared: {result.compared}."
