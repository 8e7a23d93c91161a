"""What was measured on one device, and what every table of it says about machine, protocol and doubts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.common.text import format_count
from bench.reports.page.table import Column, Table
from bench.results.labels import label_codecs
from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import BASE, DEFAULT, Case, LatencySelection
from bench.results.rows import OK

PROTOCOL = (
    "From 8-bit pixels to the bytes of a file, and from these to 8-bit pixels; host clock, synchronised at both ends; "
    "warm-up until the medians of two windows agree, or for two seconds; then all variants in turns (A B A B). First "
    "calls at a size stand apart. Stages, memory and operations come from passes of their own."
)
SHORT_PROTOCOL = "8-bit pixels to bytes and back, host clock, after warm-up, variants in turns"
PROTOCOL_NOTE = f"Protocol: {SHORT_PROTOCOL}; stages, memory and operations from passes of their own."
SYNTHETIC_NOTE = (
    "Synthetic weights are random ones with a realistic rate; they cost what trained ones cost, and their bpp is no "
    "result."
)
SYNTHETIC = "synthetic"
ALGORITHMS = {True: "deterministic algorithms", False: "any algorithms", None: ""}
TF32 = {True: "TF32", False: "no TF32", None: ""}
MOST_WARNINGS = 3

Record = TypeVar("Record")


@dataclass(frozen=True)
class MeasuredDevice:
    """A device's rows, with a label for each variant."""

    selection: LatencySelection
    labels: dict[str, str]

    @classmethod
    def from_selection(cls, selection: LatencySelection) -> MeasuredDevice:
        """Give every variant a label of its own, which says "miniature" where it is one."""
        return cls(selection, label_codecs(selection.stored))

    @property
    def name(self) -> str:
        """As rows call it; several where a folder holds several."""
        return "; ".join(dict.fromkeys(row.device for row in self.selection.stored))

    @property
    def has_base(self) -> bool:
        """Whether the base was ever measured."""
        return any(row.name == BASE and row.status == OK for row in self.selection.stored)

    @property
    def base_label(self) -> str:
        """How the base is called, also where it was not measured."""
        return self.labels.get(BASE, BASE)

    @property
    def default_cases(self) -> list[Case]:
        """All cases of the default configuration."""
        return [case for case in self.selection.cases if case.configuration == DEFAULT]

    @property
    def headline_cases(self) -> list[Case]:
        """Of every variant the measured case under the first conditions: the usual shape, else the smallest."""
        chosen: dict[str, Case] = {}
        for case in self.default_cases:
            if any(row.status == OK for row in case.rows):
                chosen.setdefault(case.name, case)
        return list(chosen.values())

    def find_base(self, case: Case) -> Case | None:
        """The base's case under the same conditions; None for the base itself."""
        return None if case.name == BASE else self.selection.case(case.conditions, BASE)

    def make_table(self, name: str, subject: str, columns: Sequence[Column[Record]], records: Iterable[Record],
                   used: Iterable[LatencyRow], notes: Sequence[str] = (),
                   headings: Sequence[tuple[int, str]] = ()) -> Table:
        """Make a table that goes by the rows ``used``, with their machine, protocol and warnings."""
        used = list(used)
        synthetic = (SYNTHETIC_NOTE,) if any(row.weights == SYNTHETIC for row in used) else ()
        table = Table.from_records(
            name, f"{subject}: {self.name}", columns, records,
            notes=(*notes, PROTOCOL_NOTE, *synthetic, *machine_notes(used)), warnings=load_warnings(used),
            headings=headings, constants=(("device", self.name), ("protocol", SHORT_PROTOCOL)))
        return table.without_empty_columns() if table.rows else table


def rows_of_cases(cases: Iterable[Case]) -> list[LatencyRow]:
    """The rows of both directions of all ``cases``."""
    return [row for case in cases for row in case.rows]


def machine_notes(rows: Iterable[LatencyRow]) -> tuple[str, ...]:
    """A sentence for each setting of the machine that ``rows`` were measured with."""
    return tuple(dict.fromkeys(f"Machine: {_machine_text(row)}." for row in rows))


def _machine_text(row: LatencyRow) -> str:
    made = row.provenance
    threads = None
    if made.threads is not None:
        threads = f"{format_count(made.threads, 'thread')} of {format_count(made.cpus or 0, 'CPU')}"
    software = {"Python": made.python, **{name: made.libraries.get(name) for name in ("torch", "compressai")}}
    hardware = {"CUDA": made.cuda, "cuDNN": made.cudnn}
    rest = {"driver": row.state.get("before", {}).get("gpu", {}).get("driver"), "coder": row.identity.get("coder")}

    parts = [row.device, threads, ALGORITHMS[made.deterministic], made.system, *_name_known(software),
             "freed memory kept" if made.freed_memory_kept else None, *_name_known(hardware), TF32[made.tf32],
             *_name_known(rest)]
    return ", ".join(part for part in parts if part)


def _name_known(values: Mapping[str, object]) -> list[str]:
    return [f"{name} {value}" for name, value in values.items() if value]


def load_warnings(rows: Iterable[LatencyRow]) -> tuple[str, ...]:
    """What disturbed the measurements, each text once; of many the first."""
    texts = list(dict.fromkeys(str(text) for row in rows for text in row.state.get("warnings", ())))
    if not texts:
        return ()
    more = f"; and {len(texts) - MOST_WARNINGS} more, see the sessions" if len(texts) > MOST_WARNINGS else ""
    return (f"while this was measured: {'; '.join(texts[:MOST_WARNINGS])}{more}.",)
