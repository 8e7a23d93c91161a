"""The answer for a terminal: a sentence, the table, the claims about chosen codecs, and what changed."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from bench.common.text import align_columns, format_count, format_number, list_names
from bench.reports.front.answer import CLASSICAL, Answer, AnswerClaim, AnswerDataset, AnswerRow, Rate, choose_cost
from bench.reports.front.cells import (
    MEAN_NOTE,
    NO_BD_RATE,
    PUBLISHED_NOTE,
    bd_rate_text,
    claims_text,
    decode_kmac_cell,
    decode_ratio_text,
    describe_places,
    list_costs_of_others,
    name_anchor,
    shorten_label,
)
from bench.reports.front.sentence import make_sentence
from bench.results.machines import Machine

WIDTH = 100  # characters of a line
MINIATURES = "Miniatures: small models trained on a CPU, which say nothing about the authors' models"
MINIATURE_SUFFIX = " (miniature)"
MOST_BETTER = 10  # changes for the better that are listed


@dataclass(frozen=True)
class TextColumn:
    """A column of the terminal's table.

    Attributes:
        optional: left out where the table would be too wide, the largest number first; 0 stays.
    """

    heading: str
    of: Callable[[AnswerRow], str | None]
    optional: int = 0


def format_answer(answer: Answer, datasets: Sequence[str], codecs: Collection[str] = (),
                  machine: Machine = "") -> str:
    """Return the answer on ``datasets`` for a terminal.

    Args:
        datasets: names of datasets, shown in this order; those that nothing is known of are passed over.
        codecs: show only these, with the claims about them; all by default.
        machine: whose times go before those of others.
    """
    shown = [found for name in datasets if (found := answer.find_dataset(name)) is not None]
    rows = [row for row in answer.rows if (row.name in codecs if codecs else _is_told(row, shown))]
    claims = [claim for claim in answer.claims if (claim.codec in codecs if codecs else not claim.miniature)]
    warnings = [f"warning: {dataset.title}: {text}" for dataset in shown for text in dataset.warnings]
    blocks = [_wrap(make_sentence(shown, rows, claims)), "\n".join(map(_wrap, warnings))]
    for miniature in (False, True):
        members = [row for row in rows if row.miniature == miniature]
        if members:
            table = _format_rows(members, shown, machine)
            blocks.append(f"{MINIATURES}\n\n{table}" if miniature else table)
    blocks.append(_format_legend(rows, shown, machine))
    if codecs:
        blocks += [_format_remarks(rows, shown), *(_format_claims(answer, name) for name in codecs)]
    return "\n\n".join(filter(None, blocks))


def _is_told(row: AnswerRow, datasets: Sequence[AnswerDataset]) -> bool:
    """Whether anything is known of a codec on ``datasets``; of benchmarks also where it is only costs or claims."""
    benchmark = any(dataset.benchmark for dataset in datasets)
    if any(dataset.name in row.rates for dataset in datasets):
        return True
    return benchmark and bool(row.costs)


def _format_rows(rows: Sequence[AnswerRow], datasets: Sequence[AnswerDataset], machine: Machine) -> str:
    """Return the table of ``rows``, within :data:`WIDTH`."""
    columns = [column for column in _list_columns(rows[0].miniature, datasets, machine) if any(map(column.of, rows))]
    if len(columns) == 1:
        return _wrap(f"{', '.join(map(_name_row, rows))}: measured, but there is nothing to compare with on these "
                     "images, as VVenC would be; rates and qualities are in the report of the dataset.")
    while True:
        text = _write_table(columns, rows)
        excess = max(map(len, text.splitlines())) - WIDTH
        optional = max(column.optional for column in columns)
        if excess <= 0 or not optional:
            break
        columns = [column for column in columns if column.optional < optional]
    if excess <= 0:
        return text
    longest = max(len(_name_row(row)) for row in rows) - excess
    return _write_table([TextColumn("", lambda row: _cut(_name_row(row), longest)), *columns[1:]], rows)


def _write_table(columns: Sequence[TextColumn], rows: Sequence[AnswerRow]) -> str:
    """Align all cells, below headings of as many lines as the longest has."""
    headings = [column.heading.split("\n") for column in columns]
    tallest = max(map(len, headings))
    cells = [[*([""] * (tallest - len(heading))), *heading] for heading in headings]
    lines = [*zip(*cells), *([column.of(row) or "–" for column in columns] for row in rows)]
    aligned = [line[2:] for line in align_columns(lines, left=1)]
    return "\n".join([*aligned[:tallest], "-" * max(map(len, aligned)), *aligned[tallest:]])


def _list_columns(miniature: bool, datasets: Sequence[AnswerDataset], machine: Machine) -> list[TextColumn]:
    def take(name: str, digits: int, scale: float = 1.0) -> Callable[[AnswerRow], str | None]:
        def find(row: AnswerRow) -> str | None:
            value = getattr(choose_cost(row, machine), name, None)
            return None if value is None else format_number(value / scale, f".{digits}f")
        return find

    def take_kmac(row: AnswerRow) -> str | None:
        cell = decode_kmac_cell(choose_cost(row, machine))
        return cell if cell is None or isinstance(cell, str) else format_number(cell, ".0f")

    single = len(datasets) == 1
    rates = [column for dataset in datasets for column in _list_rate_columns(dataset, miniature, single)]
    return [TextColumn("", _name_row), *rates,
            TextColumn("decode\ntime", lambda row: decode_ratio_text(choose_cost(row, machine))),
            TextColumn("MB", take("peak_bytes", 0, 1e6), optional=1),
            TextColumn("kMAC/\npixel", take_kmac, optional=2),
            TextColumn("claims\n+/−/?", lambda row: (claims_text(row) or "").replace(" ", "") or None)]


def _list_rate_columns(dataset: AnswerDataset, miniature: bool, single: bool) -> list[TextColumn]:
    """BD-rates against anchor and baseline; where several datasets are shown, briefly and without intervals."""
    def write(row: AnswerRow, field: str, versus: str) -> str | None:
        rate = row.rates.get(dataset.name)
        text = bd_rate_text(rate, getattr(rate, field, None), versus, brief=True)
        if text is None or single:
            return text
        return re.sub(r" \[.*\]| (?=\*)", "", text)

    base = dataset.base_miniature if miniature else dataset.base
    title, base_name = dataset.name, "base"
    anchor_name = name_anchor(dataset)
    if single:
        title, anchor_name, base_name = f"{dataset.heading}, %", shorten_label(dataset.anchor), shorten_label(base)
    versus_base = TextColumn(f"{title}\nvs {base_name}", lambda row: write(row, "versus_base", base))
    if miniature:  # of which only differences mean anything
        return [versus_base]
    return [TextColumn(f"{title}\nvs {anchor_name}", lambda row: write(row, "versus_anchor", dataset.anchor)),
            versus_base]


def _name_row(row: AnswerRow) -> str:
    return row.label.removesuffix(MINIATURE_SUFFIX) if row.miniature else row.label


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[:letters - 1]}…"


def _format_legend(rows: Sequence[AnswerRow], datasets: Sequence[AnswerDataset], machine: Machine) -> str:
    """Say what the columns are and where costs were measured."""
    rates = [rate for row in rows for dataset in datasets if (rate := row.rates.get(dataset.name)) is not None]
    lines = []
    if rates and any(one.anchor or one.base or one.base_miniature for one in datasets):
        lines.append(f"BD-rate by PSNR in %, [95 % over images], {MEAN_NOTE}; negative: fewer bits; "
                     f"{NO_BD_RATE}: too little quality in common, or values of one side alone.")
    if len(datasets) > 1:
        anchors = "; ".join(f"{dataset.name} {dataset.anchor}" for dataset in datasets if dataset.benchmark)
        vvc = f"VVC, by published points: {anchors}; " if anchors else ""
        lines.append(f"{vvc}base: HPCM-Base, for miniatures its miniature.")
    for dataset in datasets:
        if dataset.coverage and len(datasets) > 1:
            lines.append(f"{dataset.name}: {dataset.coverage}.")
    parted = [row.label for row in rows if any(_has_parted(row.rates.get(dataset.name)) for dataset in datasets)]
    if parted:
        lines.append(f"Averaged curves and single images part by more than the interval or 3 points: "
                     f"{list_names(parted)}; bdrate says why.")
    if any(bd_rate.published for rate in rates for bd_rate in (rate.versus_anchor, rate.versus_base) if bd_rate):
        lines.append(PUBLISHED_NOTE)
    labels = {row.name: row.label for row in rows}
    places = describe_places(rows, machine)
    if places:
        lines.append(f"Decode time against the baseline's, peak memory, operations of a decode: {places}.")
    for model, others in list_costs_of_others(rows).items():
        lines.append(f"{', '.join(others)}: costs of {labels.get(model, model)}, whose model they have.")
    if any(row.supported or row.refuted or row.open for row in rows):
        lines.append("Claims: supported / refuted / open.")
    return "\n".join(map(_wrap, lines))


def _has_parted(rate: Rate | None) -> bool:
    """Whether averaged curves and single images say different things."""
    return rate is not None and any(one is not None and one.remark for one in (rate.versus_anchor, rate.versus_base))


def _format_remarks(rows: Sequence[AnswerRow], datasets: Sequence[AnswerDataset]) -> str:
    """Say of each codec on each dataset what has to be said."""
    return "\n".join(_wrap(f"{row.label} on {dataset.title}: {rate.remark}") for row in rows for dataset in datasets
                     if (rate := row.rates.get(dataset.name)) is not None and rate.remark)


def _format_claims(answer: Answer, codec: str) -> str:
    """List the claims about ``codec``, decided ones first."""
    about = [claim for claim in answer.claims if claim.codec == codec]
    row = next((row for row in answer.rows if row.name == codec), AnswerRow(name=codec, label=codec))
    label = row.label
    if not about:
        return "" if row.miniature or row.line == CLASSICAL else f"No claim is about {label}."
    ordered = sorted(about, key=lambda claim: (claim.verdict == "NOT MEASURED", claim.verdict))
    counts = Counter(claim.name for claim in about)
    lines = (_format_claim(claim, claim.where if counts[claim.name] > 1 else "") for claim in ordered)
    return "\n".join([f"Claims about {label}:", *lines])


def _format_claim(claim: AnswerClaim, where: str) -> str:
    versus = f" vs {claim.versus}" if claim.versus else ""
    measured = f", measured {claim.measured}" if claim.measured else ""
    interval = f" ({claim.interval})" if claim.interval else ""
    images = f"; single images: mean {claim.of_images}" if claim.of_images else ""
    place = f" on {where}" if where else ""
    return _wrap(f"  {claim.verdict:<12}  {claim.name}{place}: {claim.what}{versus}, claimed {claim.claimed}{measured}"
                 f"{interval}{images}", indent=16)


def _wrap(text: str, indent: int = 2) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def format_changes(answer: Answer, codecs: Collection[str] = ()) -> str:
    """Return what got worse or better since the accepted state, worse first.

    Args:
        codecs: only of these, and of what all have in common; all by default.
    """
    if not answer.compared:
        return "No state was accepted yet, so that nothing is compared: python -m bench claims --accept"
    changes = answer.choose_changes(codecs)
    if not changes:
        return "Since the accepted state nothing got better or worse beyond its uncertainty."

    worse, better = ([change for change in changes if change.worse == wanted] for wanted in (True, False))
    lines = [f"Since the accepted state {format_count(len(worse), 'number')} got worse, {len(better)} better:"]
    for word, listed in (("WORSE", worse), ("better", better[:MOST_BETTER])):
        lines += [_wrap(f"  {word}: {change.kind} of {change.what}: {change.before} before, {change.after} now: "
                        f"{change.reason}", indent=4) for change in listed]
    if len(better) > MOST_BETTER:
        lines.append(_wrap(f"  and better: {list_names(change.what for change in better[MOST_BETTER:])}", indent=4))
    return "\n".join(lines)
