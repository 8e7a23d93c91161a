"""What all tables of a latency report share: cells as text, notes on machine and protocol, warnings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.common.text import format_count, format_number
from bench.metrics.statistics.timing import NOISE_FLOOR, Ratio, summarise_times
from bench.reports.page.table import Cell, Column, Table
from bench.results.labels import label_codecs
from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import BASE, Case, Conditions, LatencySelection
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
MOST_WARNINGS = 3


@dataclass(frozen=True)
class Context:
    """A device's rows with what every table says about them."""

    selection: LatencySelection
    labels: dict[str, str]

    @property
    def device(self) -> str:
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

    def table(self, name: str, subject: str, columns: Sequence[Column], rows: Iterable[tuple[Cell, ...]],
              used: Iterable[LatencyRow], notes: Sequence[str] = (),
              headings: Sequence[tuple[int, str]] = ()) -> Table:
        """Make a table of the rows ``used``, with their machine, protocol and warnings."""
        used = list(used)
        synthetic = (SYNTHETIC_NOTE,) if any(row.weights == SYNTHETIC for row in used) else ()
        table = Table(name, f"{subject}: {self.device}", tuple(columns), tuple(rows),
                      (*notes, PROTOCOL_NOTE, *synthetic, *machine_notes(used)), load_warnings(used), tuple(headings),
                      (("device", self.device), ("protocol", SHORT_PROTOCOL)))
        return table.without_empty_columns() if table.rows else table


def context_of(selection: LatencySelection) -> Context:
    """Give every variant a label of its own, which says "miniature" where it is one."""
    return Context(selection, label_codecs(selection.stored))


def base_note(label: str) -> str:
    """How ratios to the base are made."""
    return (f"vs {label}: ratio of medians and its 95 % interval, over the rounds in which both took turns (bootstrap "
            "of rounds; below six rounds Student's t on logarithms); \"≈\": no difference beyond the interval and the "
            f"noise floor of {100 * NOISE_FLOOR:g} %.")


def machine_notes(rows: Iterable[LatencyRow]) -> tuple[str, ...]:
    """A sentence for each setting of the machine that ``rows`` were measured with."""
    return tuple(dict.fromkeys(f"Machine: {_machine(row)}." for row in rows))


def _machine(row: LatencyRow) -> str:
    made = row.provenance
    parts = [row.device]
    if made.threads is not None:
        parts.append(f"{format_count(made.threads, 'thread')} of {format_count(made.cpus or 0, 'CPU')}")
    if made.deterministic is not None:
        parts.append("deterministic algorithms" if made.deterministic else "any algorithms")
    parts += [made.system] if made.system else []
    parts += [f"Python {made.python}"] if made.python else []
    parts += [f"{name} {made.libraries[name]}" for name in ("torch", "compressai") if name in made.libraries]
    parts += ["freed memory kept"] if made.freed_memory_kept else []
    parts += [f"CUDA {made.cuda}"] if made.cuda else []
    parts += [f"cuDNN {made.cudnn}"] if made.cudnn else []
    if made.tf32 is not None:
        parts.append("TF32" if made.tf32 else "no TF32")
    parts += [f"driver {driver}"] if (driver := row.state.get("before", {}).get("gpu", {}).get("driver")) else []
    parts += [f"coder {row.identity['coder']}"] if row.identity.get("coder") else []
    return ", ".join(parts)


def load_warnings(rows: Iterable[LatencyRow]) -> tuple[str, ...]:
    """What disturbed the measurements, each text once; of many the first."""
    found = list(dict.fromkeys(str(text) for row in rows for text in row.state.get("warnings", ())))
    if not found:
        return ()
    more = f"; and {len(found) - MOST_WARNINGS} more, see the sessions" if len(found) > MOST_WARNINGS else ""
    return (f"while this was measured: {'; '.join(found[:MOST_WARNINGS])}{more}.",)


def conditions_text(conditions: Conditions, all_conditions: Iterable[Conditions]) -> str:
    """"768x512", with what tells ``conditions`` from the others of a report."""
    all_conditions = list(all_conditions)
    parts = [conditions.shape]
    parts += [format_count(conditions.batch, "image") + " a pass"] if conditions.batch > 1 else []
    if conditions.image != "photograph" or len({one.image for one in all_conditions}) > 1:
        parts.append(conditions.image)
    parts += [format_count(conditions.threads, "thread")] if len({one.threads for one in all_conditions}) > 1 else []
    if len({one.deterministic for one in all_conditions}) > 1:
        parts.append("deterministic" if conditions.deterministic else "any algorithms")
    return ", ".join(parts)


def condition_headings(cases: Sequence[Case], all_conditions: Iterable[Conditions]) -> list[tuple[int, str]]:
    """A heading before the first case of the same conditions, by which ``cases`` are ordered."""
    all_conditions = list(all_conditions)
    starts = [index for index, case in enumerate(cases) if not index or case.conditions != cases[index - 1].conditions]
    return [(index, conditions_text(cases[index].conditions, all_conditions)) for index in starts]


def text_column(key: str, title: str, unit: str = "") -> Column:
    """A column of numbers as text, aligned to the right."""
    return Column(key, title, unit, digits=0)


def number_text(value: float) -> str:
    """Three significant digits or more: "0.812", "8.12", "81.2", "812", "8123"."""
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return format_number(value, f".{decimals}f")


def times_text(row: LatencyRow | None) -> str | None:
    """"81.2 (80.9–83.5)": median, p10 and p90 in milliseconds."""
    if row is None:
        return None
    found = summarise_times(row.samples_s)
    low, high = number_text(1000 * found.p10), number_text(1000 * found.p90)
    return f"{number_text(1000 * found.median)} ({low}–{high})"


def ratio_text(found: Ratio | None) -> str | None:
    """"1.21 (1.19–1.23)", "≈ 1.01 (0.98–1.03)", without an interval where there is none."""
    if found is None:
        return None
    if found.low is None or found.high is None:
        return f"{found.value:.2f}"
    return f"{'' if found.differs else '≈ '}{found.value:.2f} ({found.low:.2f}–{found.high:.2f})"


def change_text(found: Ratio) -> str:
    """"+21.0 % (+19.2 to +23.1)", "≈" before what can't be told from no change."""
    value, low, high = (None if one is None else percent_text(one) for one in (found.value, found.low, found.high))
    interval = "" if low is None else f" ({low} to {high})"
    return f"{'' if found.differs or low is None else '≈ '}{value} %{interval}"


def percent_text(ratio: float) -> str:
    """A ratio as the change that it is: "+21.0"."""
    return format_number(100 * (ratio - 1), "+.1f")


def failure_text(row: LatencyRow | None) -> str | None:
    """Why a row holds no measurement."""
    if row is None or row.status == OK:
        return None
    return f"{row.status}: {row.reason or 'no reason stored'}"


def listed(texts: Iterable[str | None]) -> str | None:
    """The different texts, in order."""
    return "; ".join(dict.fromkeys(text for text in texts if text)) or None


def remark_text(case: Case) -> str | None:
    """What went wrong in either direction of a case."""
    mismatch = any(row.decode_matches is False for row in case.rows)
    return listed([*(failure_text(row) for row in case.rows),
                   "the decoded image differs from the encoder's own" if mismatch else None])
