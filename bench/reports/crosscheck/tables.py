"""Tables of what decoding elsewhere came to: encoder by decoder, codecs, what differed, settings, machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from bench.common.text import EXACT_SUFFIX, list_names
from bench.reports.crosscheck.blocks import Block, Crossing, count_outcomes, name_place, order_setting
from bench.reports.page.table import Cell, Column, Table, group_records
from bench.results.crosschecks import FAILED, IDENTICAL, LATENTS, OFF_BY_ONE, WRONG, Crosscheck, Outcome
from bench.results.decoding_settings import SETTINGS, DecodingSetting, label_setting
from bench.results.labels import label_codecs
from bench.results.portability import (
    FEWEST_FILES,
    FEWEST_SETTINGS,
    Portability,
    decodes_alike,
    find_portability,
    identify_file,
    name_variant,
)

Letters = Mapping[str, str]  # machine to its letter
Rows = Sequence[Crosscheck]
Faults = Sequence[tuple[Block, Crosscheck]]

TITLES: dict[Outcome, str] = {
    IDENTICAL: "identical", OFF_BY_ONE: "off by one", LATENTS: "latents identical", FAILED: "failed with an error",
    WRONG: "wrong without one",
}
DECODES = {True: "yes", False: "no", None: "too few tried"}
DECODES_NOTE = (
    f"\"Decodes elsewhere\" is said where {FEWEST_FILES} files or more were decoded under {FEWEST_SETTINGS} other "
    "settings or more, with identical latents each time; one that differs or fails is enough for \"no\"."
)
SHOWN = 3  # files that a line names


@dataclass(frozen=True)
class MatrixCell:
    """The decodings of one way through the matrix."""

    crossing: Crossing
    rows: Rows


def _outcome_columns(rows_of: Callable[..., Rows]) -> list[Column]:
    """How many decodings came out in each way."""
    def count(outcome: Outcome) -> Callable[..., Cell]:
        return lambda record: count_outcomes(rows_of(record), (outcome,))[0]

    shown = (FAILED, WRONG, IDENTICAL, OFF_BY_ONE, LATENTS)  # faults first, where a narrow page shows them
    return [Column(outcome.replace(" ", "_"), TITLES[outcome], digits=0, of=count(outcome)) for outcome in shown]


def _place_columns(letters: Letters, crossings: Iterable[Crossing],
                   crossing_of: Callable[..., Crossing]) -> list[Column]:
    """Where files were decoded and, where that is not the same for all, encoded."""
    def name_side(machine: int, setting: int) -> Callable[..., Cell]:
        return lambda record: name_place(crossing_of(record)[setting], crossing_of(record)[machine], letters)

    columns = [Column("decoded", "Decoded under", of=name_side(2, 3)),
               Column("encoded", "Encoded under", of=name_side(0, 1))]
    return columns if len({crossing[:2] for crossing in crossings}) > 1 else columns[:1]


def matrix_table(block: Block, subject: str, letters: Letters) -> Table:
    """Encoder by decoder: a line for each way that files of ``block`` went."""
    cells = [MatrixCell(crossing, rows) for crossing, rows in block.crossings.items()]
    places = _place_columns(letters, block.crossings, attrgetter("crossing"))
    columns: list[Column[MatrixCell]] = [
        *places, Column("latents_alike", "Latents alike", digits=0, of=lambda cell: sum(map(decodes_alike, cell.rows))),
        *_outcome_columns(attrgetter("rows")),
        Column("decodings", "Decodings", digits=0, of=lambda cell: len(cell.rows)),
    ]
    notes = []
    if len(places) == 1:
        machine, setting = cells[0].crossing[:2]
        notes.append(f"All were encoded under {name_place(setting, machine, letters)}.")
    untold = sum(row.latents_match is None and row.failure is None for row in block.rows)
    if untold:
        notes.append(f"{untold} decodings don't tell their latents.")
    return Table.from_records(f"matrix_{block.slug}", f"{block.title}: {subject}", columns, cells, notes=notes)


def codecs_table(blocks: Sequence[Block], subject: str) -> Table:
    """A line for each codec: what its files came to elsewhere, ways of writing them side by side."""
    labels = label_codecs(row for block in blocks for row in block.rows)
    names = sorted({name_variant(row) for block in blocks for row in block.rows})
    columns: list[Column[str]] = [
        Column("codec", "Codec", of=lambda name: labels.get(name) or labels[name + EXACT_SUFFIX])]
    for block in blocks:
        columns += _portability_columns(block)
    notes = (DECODES_NOTE, "\"24/24\": files with identical latents under all other settings, of those tried; failed "
             "and wrong are decodings. What was decoded as it was encoded is left out.")
    return Table.from_records("codecs", f"Codecs: {subject}", columns, names, notes=notes)


def _portability_columns(block: Block) -> list[Column[str]]:
    groups = group_records(block.rows, name_variant)
    found = {name: find_portability(rows) for name, rows in groups.items()}

    def take(value_of: Callable[[Portability], Cell]) -> Callable[[str], Cell]:
        return lambda name: value_of(found[name]) if name in found else None

    return [Column(f"{block.slug}_decodes", f"{block.title}: decodes elsewhere",
                   of=take(lambda one: DECODES[one.decodes])),
            Column(f"{block.slug}_files", "files", digits=0, of=take(lambda one: f"{one.files_alike}/{one.files}")),
            Column(f"{block.slug}_failed", "failed", digits=0, of=take(lambda one: len(one.failed))),
            Column(f"{block.slug}_wrong", "wrong", digits=0, of=take(lambda one: len(one.wrong)))]


def counts_table(blocks: Iterable[Block], subject: str) -> Table:
    """A line for each codec and way of writing files: every count."""
    lines = [(block, find_portability(rows), rows) for block in blocks for rows in block.codecs.values()]
    labels = label_codecs(row for _, _, rows in lines for row in rows)
    columns: list[Column[tuple[Block, Portability, Rows]]] = [
        Column("codec", "Codec", of=lambda line: labels[line[2][0].name]),
        Column("files_written", "Files", of=lambda line: line[0].title),
        Column("files", "Files tried", digits=0, of=lambda line: line[1].files),
        Column("files_alike", "with identical latents everywhere", digits=0, of=lambda line: line[1].files_alike),
        Column("settings", "Other settings", digits=0, of=lambda line: line[1].settings),
        Column("decodings", "Decodings", digits=0, of=lambda line: len(line[1].rows)),
        *_outcome_columns(lambda line: line[1].rows),
    ]
    return Table.from_records("counts", f"Every count: {subject}", columns, lines)


def differing_table(name: str, blocks: Iterable[Block], subject: str, letters: Letters) -> Table:
    """What did not come out as it was coded: a line for each way and kind of fault."""
    faults = [(block, row) for block in blocks for row in block.rows if not decodes_alike(row)]
    groups = group_records(faults, lambda pair: (pair[0].slug, pair[1].crossing, pair[1].outcome, pair[1].failure))
    columns: list[Column[Faults]] = [
        Column("files_written", "Files", of=lambda group: group[0][0].title),
        *_place_columns(letters, (row.crossing for _, row in faults), lambda group: group[0][1].crossing),
        Column("outcome", "Outcome", of=lambda group: TITLES[group[0][1].outcome]),
        Column("decodings", "Decodings", digits=0, of=len),
        Column("codecs", "Codecs", digits=0, of=lambda group: len({row.name for _, row in group})),
        Column("largest_difference", "Largest difference", "levels", digits=0, of=_find_largest),
        Column("error", "Error", wide=True, of=lambda group: _describe_fault(group[0][1])),
        Column("examples", "For instance", wide=True, of=lambda group: list_names(
            (f"{row.name} {row.point} {row.image}" for _, row in group), SHOWN)),
    ]
    return Table.from_records(name, f"What did not come out as it was coded: {subject}", columns, groups.values())


def _find_largest(group: Faults) -> int | None:
    known = [row.decode_max_abs_difference for _, row in group if row.decode_max_abs_difference is not None]
    return max(known, default=None)


def _describe_fault(row: Crosscheck) -> str | None:
    return ": ".join(filter(None, (row.failure, row.reason))) or None


def settings_table(rows: Rows, letters: Letters) -> Table:
    """What each setting sets, and where it was tried."""
    groups = group_records(rows, attrgetter("decoder_setting"))
    encoders = {row.encoder_setting for row in rows}
    names = sorted({*groups, *encoders}, key=lambda name: (order_setting(name), name))
    columns: list[Column[str]] = [
        Column("setting", "Setting", of=str),
        Column("means", "Means", of=label_setting),
        Column("sets", "Sets in the decoder's process", wide=True, of=_describe_setting),
        Column("decodings", "Decodings", digits=0, of=lambda name: len(groups.get(name, ()))),
        Column("machines", "Decoded on", of=lambda name: ", ".join(
            sorted({letters[row.decoder_machine] for row in groups.get(name, ())})) or None),
    ]
    notes = ("\"same\" is the encoder's own setting, in a process of its own.",)
    return Table.from_records("settings", "Settings", columns, names, notes=notes)


def _describe_setting(name: str) -> str | None:
    if name not in SETTINGS:
        return None
    setting: DecodingSetting = SETTINGS.get(name)
    parts = [f"{variable}={value}" for variable, value in setting.environment.items()]
    parts += [f"threads {setting.threads}"] if setting.threads else []
    parts += [f"device {setting.device}"] if setting.device else []
    return ", ".join(parts) or None


def machines_table(rows: Rows, letters: Letters) -> Table:
    """What encoded and decoded: processor or GPU, libraries, code."""
    decoded = group_records(rows, attrgetter("decoder_machine"))
    encoded = group_records(rows, attrgetter("encoder_machine"))

    def join_from(text_of: Callable[[Crosscheck], str]) -> Callable[[str], str | None]:
        return lambda name: "; ".join(sorted({text_of(row) for row in decoded.get(name, ())} - {""})) or None

    columns: list[Column[str]] = [
        Column("letter", "Machine", of=letters.__getitem__),
        Column("name", "is", of=lambda name: name or "not stated"),
        Column("encoded", "Files encoded", digits=0,
               of=lambda name: len(set(map(identify_file, encoded.get(name, ()))))),
        Column("decodings", "Decodings", digits=0, of=lambda name: len(decoded.get(name, ()))),
        Column("system", "System", of=join_from(attrgetter("provenance.system"))),
        Column("libraries", "Libraries", wide=True, of=join_from(lambda row: ", ".join(
            f"{library} {version}" for library, version in sorted(row.provenance.libraries.items())))),
        Column("operators", "Operators", wide=True, of=join_from(lambda row: row.provenance.operators or "")),
        Column("code", "Code", wide=True, of=join_from(attrgetter("code_version"))),
        Column("first", "First", of=lambda name: min((row.measured_at for row in decoded.get(name, ())), default=None)),
        Column("last", "Last", of=lambda name: max((row.measured_at for row in decoded.get(name, ())), default=None)),
    ]
    return Table.from_records("machines", "Machines", columns, letters).without_empty_columns()


def decodings_table(blocks: Iterable[Block]) -> Table:
    """Every decoding, for a CSV file."""
    keys = ("name", "exact", "format", "point", "image", "encoder_machine", "encoder_setting", "decoder_machine",
            "decoder_setting", "outcome", "latents_match", "checked", "decode_max_abs_difference", "pixels_differing",
            "pixels_total", "failure", "reason", "stream_sha256", "code_version", "measured_at")
    columns = [Column(key, key, of=attrgetter(key)) for key in keys]
    return Table.from_records("decodings", "Every decoding", columns, (row for block in blocks for row in block.rows))
