"""The report of crosschecks on one dataset: rows in, a folder of files out."""

from __future__ import annotations

from collections.abc import Sequence

from bench.common.errors import BenchError
from bench.reports.crosscheck.blocks import Block, letter_machines, split_blocks
from bench.reports.crosscheck.plots import plot_outcomes
from bench.reports.crosscheck.tables import (
    codecs_table,
    counts_table,
    decodings_table,
    differing_table,
    machines_table,
    matrix_table,
    settings_table,
)
from bench.reports.crosscheck.text import (
    HOW_LATENTS_COUNT,
    HOW_OUTCOMES_COUNT,
    state_block,
    state_limits,
    state_pixels,
    warn_of_faults,
)
from bench.reports.page.pages import Report, Section
from bench.reports.page.render import to_csv, to_text
from bench.results.crosschecks import Crosscheck
from bench.results.labels import MINIATURE_NOTE
from bench.results.stored import StoredResults

ABOUT = (
    "Files were encoded once, then decoded in other processes whose settings choose other code of the same libraries, "
    "or on other machines: floating-point sums then come out otherwise in their last bits, and a decoder whose tables "
    "or predictions move by them reads another stream. python -m bench crosscheck --help measures it."
)


def make_crosscheck_report(results: StoredResults, dataset: str) -> Report:
    """Return the report of one dataset.

    Args:
        dataset: name of the folder of its rows.

    Raises:
        BenchError: the folder holds no row that this version reads, or a file of rows is damaged.
    """
    rows = results.crosschecks(dataset)
    if not rows:
        raise BenchError(f"there are no crosschecks of '{dataset}' in {results.root}",
                         "measure some first: python -m bench crosscheck --help")
    return assemble_crosscheck(dataset, rows)


def assemble_crosscheck(name: str, rows: Sequence[Crosscheck]) -> Report:
    """Make all tables and the figure.

    Args:
        name: of the report's folder.
        rows: that count, at least one.
    """
    blocks, letters = split_blocks(rows), letter_machines(rows)
    subject = rows[0].dataset
    best_first = list(reversed(blocks))
    matrices = tuple(matrix_table(block, subject, letters) for block in best_first)
    answer = [state_block(block) for block in best_first]

    today, before = ([block for block in blocks if block.is_before == wanted] for wanted in (False, True))
    sections = (
        Section("Encoder by decoder", matrices, (plot_outcomes(blocks, subject, letters),),
                text=(HOW_OUTCOMES_COUNT, HOW_LATENTS_COUNT)),
        Section("Codecs", (codecs_table(best_first, subject),)),
        Section("What did not come out as it was coded", _list_differing("differing", today, subject, letters),
                text=() if _differ(today) else ("Of files as they are written today: nothing.",)),
        Section("What did not come out as it was coded, before",
                _list_differing("differing_before", before, subject, letters), collapsed=True),
        Section("Every count by codec", (counts_table(best_first, subject),), collapsed=True),
        Section("Settings and machines", (settings_table(rows, letters), machines_table(rows, letters))),
    )
    intro = (*answer, state_pixels(today), state_limits(rows), ABOUT,
             MINIATURE_NOTE if any(row.miniature for row in rows) else "")
    return Report(name, f"Decoded elsewhere: {subject}", matrices[0].name, intro, sections, warn_of_faults(blocks),
                  summary="\n\n".join([*answer, *map(to_text, matrices)]),
                  files={"tables/decodings.csv": to_csv(decodings_table(blocks)).encode()})


def _differ(blocks: Sequence[Block]) -> bool:
    return any(block.portability.differing for block in blocks)


def _list_differing(name: str, blocks: Sequence[Block], subject: str, letters: dict[str, str]) -> tuple:
    table = differing_table(name, blocks, subject, letters)
    return (table,) if table.rows else ()
