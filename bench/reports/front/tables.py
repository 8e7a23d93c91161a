"""Tables of the front page. Pure functions of the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from bench.claims.change import Change
from bench.reports.front.answer import CLASSICAL, Answer, AnswerDataset, AnswerRow, BDRate, Cost, choose_cost
from bench.reports.front.cells import (
    MEAN_NOTE,
    NO_BD_RATE,
    PUBLISHED_MARK,
    PUBLISHED_NOTE,
    bd_rate_text,
    claims_text,
    decode_kmac_cell,
    decode_ratio_text,
    describe_places,
    elsewhere_text,
    format_ends,
    list_costs_of_others,
    name_anchor,
    shorten_label,
)
from bench.reports.page.table import Cell, Column, Table
from bench.results.labels import MINIATURE_NOTE

RATE_NOTE = (f"BD-rate by PSNR of averaged curves (95 % over images, where single images of both are known), "
             f"{MEAN_NOTE}; by another metric where it is named; negative: fewer bits; {NO_BD_RATE}: too little "
             f"quality in common, or values of one side alone. {PUBLISHED_NOTE}")
SEED_NOTE = ("Intervals are over images alone. Another seed moves a miniature too: a set's report says by how much, "
             "and smaller differences say nothing about the variants.")
CLAIMS_NOTE = "Claims: supported or reproduced / refuted / open."
CHANGE_COLUMNS: tuple[Column[Change], ...] = (
    Column("effect", "Effect", of=lambda change: "worse" if change.worse else "better"),
    Column("kind", "What changed", of=attrgetter("kind")),
    Column("what", "Of", of=attrgetter("what")),
    Column("before", "Accepted", of=attrgetter("before")),
    Column("after", "Now", of=attrgetter("after")),
    Column("reason", "Which term", wide=True, of=attrgetter("reason")),
)


def variant_table(answer: Answer) -> Table:
    """Full-width variants of which anything is known: a line each, the benchmarks side by side.

    Where there is no benchmark, on a user's own folders, these are the ones that were measured there.
    """
    rows = [row for row in answer.rows if not row.miniature and row.line != CLASSICAL]
    known = [row for row in rows if row.rates or row.costs or row.elsewhere or row.supported or row.refuted or row.open]
    unknown = ", ".join(row.label for row in rows if row not in known)
    if not any(dataset.benchmark for dataset in answer.datasets):
        known, unknown = [row for row in rows if row.rates], ""
    columns = [CODEC, *_benchmark_columns(answer), *COST_COLUMNS, ELSEWHERE, CLAIMS]
    notes = (f"{RATE_NOTE} {_anchor_note(answer)}", _elsewhere_note(known),
             " ".join([*_cost_notes(known), CLAIMS_NOTE, f"Nothing is known yet of: {unknown}." if unknown else ""]))
    return _make_table("answer", "Variants, full width", columns, known, notes)


def classical_table(answer: Answer) -> Table:
    """Classical codecs, the benchmarks side by side."""
    rows = [row for row in answer.rows if not row.miniature and row.line == CLASSICAL]
    rests = any(rate.versus_base and rate.versus_base.published for row in rows for rate in row.rates.values())
    notes = [f"{PUBLISHED_MARK}: against the baseline's published points."] if rests else []
    return _make_table("answer_classical", CLASSICAL, [CODEC, *_benchmark_columns(answer)], rows, notes)


def _benchmark_columns(answer: Answer) -> list[Column[AnswerRow]]:
    """Against anchor and baseline; which these are is said in :func:`_anchor_note`."""
    return [column for dataset in answer.benchmarks for column in (
        _rate_column(dataset, "versus_anchor", dataset.anchor, f"{dataset.heading} vs {name_anchor(dataset)}"),
        _rate_column(dataset, "versus_base", dataset.base, f"{dataset.heading} vs base"))]


def _anchor_note(answer: Answer) -> str:
    datasets = answer.benchmarks
    anchors, bases = (dict.fromkeys(shorten_label(getattr(dataset, field)) for dataset in datasets
                                    if getattr(dataset, field)) for field in ("anchor", "base"))
    if not (anchors and bases):
        return ""
    vvc = f"VVC, by published points: {', '.join(anchors)}; " if datasets[0].benchmark else ""
    return f"{vvc}base: {', '.join(bases)}."


@dataclass(frozen=True)
class _Compared:
    """One BD-rate whose single images are known."""

    codec: str
    dataset: str
    versus: str
    rate: BDRate


def spread_table(answer: Answer) -> Table | None:
    """BD-rates of full-width and classical codecs by both conventions; None where no single images are known."""
    found = [_Compared(row.label, dataset.title, versus, bd_rate)
             for row in answer.rows if not row.miniature for dataset in answer.datasets
             if (rate := row.rates.get(dataset.name)) is not None
             for versus, bd_rate in ((dataset.anchor, rate.versus_anchor), (dataset.base, rate.versus_base))
             if bd_rate is not None and bd_rate.images_percent is not None]
    if not found:
        return None

    columns: tuple[Column[_Compared], ...] = (
        Column("codec", "Codec", of=attrgetter("codec")), Column("dataset", "Dataset", of=attrgetter("dataset")),
        Column("versus", "against", of=attrgetter("versus")),
        Column("percent", "Averaged curves", "%", digits=2, signed=True, of=attrgetter("rate.percent")),
        Column("interval", "95 %", of=lambda one: format_ends(one.rate.interval)),
        Column("without_one", "one image left out", of=lambda one: format_ends(one.rate.without_one)),
        Column("images_percent", "Mean over single images", "%", digits=2, signed=True,
               of=attrgetter("rate.images_percent")),
        Column("images_interval", "95 %", of=lambda one: format_ends(one.rate.images_interval)),
        Column("median_percent", "median", "%", digits=2, signed=True, of=attrgetter("rate.median_percent")),
        Column("remark", "Why they part", wide=True,
               of=lambda one: one.rate.remark.rpartition(": ")[2] or None),
    )
    notes = ("Averaged curves weigh an image by its bits, the mean counts each once; what is said of a codec holds "
             "where both agree. Those of miniatures are in the report of each set.",)
    title = "BD-rates of averaged curves and of single images"
    return Table.from_records("spread", title, columns, found, notes=notes).without_empty_columns()


def miniature_table(answer: Answer) -> Table | None:
    """Miniatures against that of the baseline, on every dataset they were measured on; None without any."""
    rows = [row for row in answer.rows if row.miniature]
    if not rows:
        return None
    columns = [CODEC, *(_rate_column(dataset, "versus_base", dataset.base_miniature,
                                     f"{dataset.heading} vs {dataset.base_miniature}") for dataset in answer.datasets),
               *COST_COLUMNS, ELSEWHERE, CLAIMS]
    return _make_table("answer_miniatures", "Miniatures against that of the baseline", columns, rows,
                       [MINIATURE_NOTE, RATE_NOTE, SEED_NOTE, *_cost_notes(rows), _elsewhere_note(rows), CLAIMS_NOTE])


def _make_table(name: str, title: str, columns: Sequence[Column[AnswerRow]], rows: Sequence[AnswerRow],
                notes: Sequence[str]) -> Table:
    table = Table.from_records(name, title, columns, rows, notes=tuple(filter(None, notes)))
    return table.without_empty_columns() if rows else table


def _rate_column(dataset: AnswerDataset, field: str, versus: str, title: str) -> Column[AnswerRow]:
    def write(row: AnswerRow) -> str | None:
        rate = row.rates.get(dataset.name)
        return bd_rate_text(rate, getattr(rate, field, None), versus)

    return Column(f"bd_rate_{dataset.name}_{field}_percent", title, "%", digits=0, of=write)


def _cost_column(key: str, title: str, unit: str, digits: int, of: Callable[[Cost], Cell]) -> Column[AnswerRow]:
    def find(row: AnswerRow) -> Cell:
        cost = choose_cost(row)
        return None if cost is None else of(cost)

    return Column(key, title, unit, digits=digits, of=find)


def _scale(field: str, unit: float) -> Callable[[Cost], Cell]:
    def find(cost: Cost) -> Cell:
        value = getattr(cost, field)
        return None if value is None else value / unit

    return find


CODEC: Column[AnswerRow] = Column("codec", "Codec", of=attrgetter("label"))
CLAIMS: Column[AnswerRow] = Column("claims", "Claims + / − / ?", digits=0, of=claims_text)
ELSEWHERE: Column[AnswerRow] = Column("elsewhere", "Decodes elsewhere", digits=0, of=elsewhere_text)
COST_COLUMNS: tuple[Column[AnswerRow], ...] = (
    _cost_column("decode_s", "Decode", "s", 2, attrgetter("decode_s")),
    _cost_column("decode_vs_base", "of base", "", 2, decode_ratio_text),
    _cost_column("peak_mb", "Memory", "MB", 0, _scale("peak_bytes", 1e6)),
    _cost_column("parameters_m", "Params", "M", 1, _scale("parameters", 1e6)),
    _cost_column("decode_kmac_per_pixel", "Decoder", "kMAC/px", 0, decode_kmac_cell),
)


def _cost_notes(rows: Sequence[AnswerRow]) -> list[str]:
    """Say where the costs of ``rows`` were measured, and which are another variant's."""
    places = describe_places(rows)
    notes = [f"Costs: {places}; decode time also as a ratio to the baseline's in turns."] if places else []
    labels = {row.name: row.label for row in rows}
    return notes + [f"{', '.join(others)}: costs of {labels.get(model, model)}, whose model they have."
                    for model, others in list_costs_of_others(rows).items()]


def _elsewhere_note(rows: Sequence[AnswerRow]) -> str:
    """Say what decoding elsewhere is, where any of ``rows`` tells it."""
    settings = [found.settings for row in rows for found in row.elsewhere.values()]
    if not settings:
        return ""
    number = " to ".join(map(str, sorted({min(settings), max(settings)})))
    return (f"Decodes elsewhere: of the files tried, by default and exact, those with identical latents under all "
            f"other settings of decoding ({number}); the report of decoding elsewhere names settings and faults.")


def dataset_table(answer: Answer) -> Table:
    """What is measured and published on each dataset, and where."""
    def count(origin: str) -> Callable[[AnswerDataset], int | None]:
        def find(dataset: AnswerDataset) -> int | None:
            rates = (row.rates.get(dataset.name) for row in answer.rows)
            return sum(rate is not None and rate.origin == origin for rate in rates) or None
        return find

    columns: tuple[Column[AnswerDataset], ...] = (
        Column("dataset", "Dataset", of=attrgetter("title")),
        Column("images", "Images measured", digits=0, of=lambda one: one.images or None),
        Column("total", "of", digits=0, of=attrgetter("total")),
        Column("measured", "Codecs measured", digits=0, of=count("measured")),
        Column("published", "from published points", digits=0, of=count("published")),
        Column("anchor", "Anchor", of=lambda one: one.anchor or None),
        Column("machines", "Rows made on", of=lambda one: "; ".join(one.machines) or None),
    )
    return Table.from_records("datasets", "Datasets", columns, answer.datasets)


def device_table(answer: Answer) -> Table:
    """Which variants were timed on each device."""
    timed = Counter((cost.device, cost.shape) for row in answer.rows for cost in row.costs if cost.model == row.name)
    columns: tuple[Column[tuple[tuple[str, str], int]], ...] = (
        Column("device", "Device", of=lambda one: one[0][0]), Column("shape", "Shape", of=lambda one: one[0][1]),
        Column("variants", "Variants timed", digits=0, of=lambda one: one[1]),
    )
    return Table.from_records("devices", "Devices that times were measured on", columns, timed.items())


def change_table(answer: Answer) -> Table:
    """What differs from the accepted state, what got worse first."""
    ordered = sorted(answer.changes, key=lambda change: not change.worse)
    notes = ("Only what is beyond its uncertainty; a state is accepted with python -m bench claims --accept.",)
    return Table.from_records("changes", "What got better or worse", CHANGE_COLUMNS, ordered, notes=notes)
