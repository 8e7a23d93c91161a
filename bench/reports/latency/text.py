"""Cells of a latency report as text: times, ratios, conditions, what went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.common.text import format_count, format_number
from bench.metrics.statistics.ratios import Ratio
from bench.metrics.statistics.timing import NOISE_FLOOR, summarise_times
from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import Case, Conditions
from bench.results.rows import OK

MB = 1e6  # bytes


def to_mb(size_bytes: int | None) -> float | None:
    """Return a size in MB, which is 10⁶ bytes; None where it is not known."""
    return None if size_bytes is None else size_bytes / MB


def base_note(label: str) -> str:
    """How ratios to the base are made."""
    return (f"vs {label}: ratio of medians and its 95 % interval, over the rounds in which both took turns (bootstrap "
            "of rounds; below six rounds Student's t on logarithms); \"≈\": no difference beyond the interval and the "
            f"noise floor of {100 * NOISE_FLOOR:g} %.")


def conditions_text(conditions: Conditions, all_conditions: Sequence[Conditions]) -> str:
    """"768x512", with what tells ``conditions`` from the others of a report."""
    differing = {name for name in ("image", "threads", "deterministic")
                 if len({getattr(one, name) for one in all_conditions}) > 1}
    parts = (
        (conditions.shape, True),
        (format_count(conditions.batch, "image") + " a pass", conditions.batch > 1),
        (conditions.image, conditions.image != "photograph" or "image" in differing),
        (format_count(conditions.threads, "thread"), "threads" in differing),
        ("deterministic" if conditions.deterministic else "any algorithms", "deterministic" in differing),
    )
    return ", ".join(text for text, told in parts if told)


def condition_headings(lines: Sequence[Conditions], all_conditions: Sequence[Conditions]) -> list[tuple[int, str]]:
    """A heading before the first line of the same conditions, by which lines of a table are ordered."""
    starts = [index for index, one in enumerate(lines) if not index or one != lines[index - 1]]
    return [(index, conditions_text(lines[index], all_conditions)) for index in starts]


def number_text(value: float) -> str:
    """Three significant digits or more: "0.812", "8.12", "81.2", "812", "8123"."""
    decimals = sum(abs(value) < limit for limit in (1, 10, 100))
    return format_number(value, f".{decimals}f")


def times_text(row: LatencyRow | None) -> str | None:
    """"81.2 (80.9–83.5)": median, p10 and p90 in milliseconds."""
    if row is None:
        return None
    times = summarise_times(row.samples_s)
    low, high = number_text(1000 * times.p10), number_text(1000 * times.p90)
    return f"{number_text(1000 * times.median)} ({low}–{high})"


def ratio_text(ratio: Ratio | None) -> str | None:
    """"1.21 (1.19–1.23)", "≈ 1.01 (0.98–1.03)", without an interval where there is none."""
    if ratio is None:
        return None
    if ratio.low is None or ratio.high is None:
        return f"{ratio.value:.2f}"
    return f"{'' if ratio.differs else '≈ '}{ratio.value:.2f} ({ratio.low:.2f}–{ratio.high:.2f})"


def failure_text(row: LatencyRow) -> str | None:
    """Why a row holds no measurement."""
    return None if row.status == OK else f"{row.status}: {row.reason or 'no reason stored'}"


def join_texts(texts: Iterable[str | None]) -> str | None:
    """The different texts, in order; None without any."""
    return "; ".join(dict.fromkeys(text for text in texts if text)) or None


def remark_text(case: Case) -> str | None:
    """What went wrong in either direction of a case."""
    mismatch = any(row.decode_matches is False for row in case.rows)
    return join_texts([*map(failure_text, case.rows),
                       "the decoded image differs from the encoder's own" if mismatch else None])
