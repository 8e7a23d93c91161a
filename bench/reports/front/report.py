"""The front page: the answer first, then the curves, the other reports, miniatures, and what was measured where."""

from __future__ import annotations

from collections.abc import Sequence

from bench.common.files import file_name
from bench.common.text import format_count, list_names
from bench.reports.front.answer import FILE, Answer
from bench.reports.front.assembly import make_answer
from bench.reports.front.sentence import make_sentence
from bench.reports.front.tables import (
    change_table,
    classical_table,
    dataset_table,
    device_table,
    miniature_table,
    spread_table,
    variant_table,
)
from bench.reports.front.text import format_answer, format_changes
from bench.reports.page.pages import Link, Picture, Report, Section
from bench.results.stored import StoredResults

TITLE = "Learned image codecs: rate, time, memory, claims"
OWN_TITLE = "Folders of your own: rate, time, memory"
LEADING_FIGURE = "figures/rd_psnr.png"  # of a report of rates


def make_front_report(results: StoredResults, links: Sequence[Link], own: bool = False) -> Report:
    """Return the front page of everything stored.

    Args:
        links: to the other reports.
        own: of the user's own folders of images; otherwise of the catalogue's sets.

    Raises:
        BenchError: a file of rows, an imported curve, variants.yaml, claims.yaml or the accepted state is wrong.
    """
    answer = results.derive(make_answer, own)
    miniatures, spreads = miniature_table(answer), spread_table(answer)
    leading = [variant_table(answer), classical_table(answer)]
    if own:  # where full-width codecs may be missing, or anything to compare with
        leading = [table for table in leading if table.rows and len(table.columns) > 1]
    sections = (
        Section("", tables=tuple(leading),
                pictures=_choose_pictures(answer, results)),
        Section("Reports", links=tuple(links)),
        Section("Averaged curves and single images", tables=() if spreads is None else (spreads,)),
        Section("Miniatures", tables=() if miniatures is None else (miniatures,)),
        Section("What was measured where", tables=(dataset_table(answer), device_table(answer))),
        Section("Changes since the accepted state", tables=(change_table(answer),) if answer.changes else (),
                text=() if answer.changes else (format_changes(answer),)),
    )
    name, title = ("local", OWN_TITLE) if own else ("front", TITLE)
    return Report(name, title, "answer", (state_answer(answer),), sections, _warn(answer),
                  summary=summarise_answer(answer), worse=bool(answer.worse), files={FILE: answer.to_bytes()},
                  kept=(FILE,))


def state_answer(answer: Answer) -> str:
    """Return the answer in one sentence, on the first benchmark that knows any."""
    claims = [claim for claim in answer.claims if not claim.miniature]
    if not any(dataset.benchmark for dataset in answer.datasets):
        measured = {row.name for row in answer.rows if row.rates}
        claims = [claim for claim in claims if claim.codec in measured]
    return make_sentence(answer.benchmarks, answer.rows, claims)


def summarise_answer(answer: Answer) -> str:
    """Return what a terminal prints of the page."""
    names = [dataset.name for dataset in answer.benchmarks]
    return f"{format_answer(answer, names)}\n\n{format_changes(answer)}"


def _choose_pictures(answer: Answer, results: StoredResults) -> tuple[Picture, ...]:
    """The curves of the first dataset that was measured."""
    measured = [dataset for dataset in answer.datasets if file_name(dataset.name) in results.datasets
                and any(rate.origin == "measured" for row in answer.rows if (rate := row.rates.get(dataset.name)))]
    if not measured:
        return ()
    first = measured[0]
    caption = (f"{first.title}, {format_count(first.images, 'image')}: PSNR of decoded 8-bit RGB over bits per pixel "
               "of the file, means over images. Solid: measured here; broken: anchors and published points.")
    return (Picture(f"{file_name(first.name)}/{LEADING_FIGURE}", caption),)


def _warn(answer: Answer) -> tuple[str, ...]:
    """What differs in another process or elsewhere, or is not the set's own, and what got worse."""
    texts = [f"{dataset.title}: {text}" for dataset in answer.datasets for text in dataset.warnings]
    wrong = [row.label for row in answer.rows if any(found.wrong for found in row.elsewhere.values())]
    if wrong:
        texts.append(f"Files came out wrong elsewhere, without an error, of {list_names(wrong)}.")
    if answer.worse:
        named = "; ".join(f"{change.kind} of {change.what}" for change in answer.worse)
        texts.append(f"{format_count(len(answer.worse), 'number')} got worse since the accepted state: {named}.")
    return tuple(texts)
