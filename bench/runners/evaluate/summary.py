"""What a run gave: one line for each codec and rate point that it measured, then what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean

from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE
from bench.common.text import align_columns
from bench.metrics.quality import QualityMetric, headline_metrics
from bench.results.labels import mark_miniature
from bench.results.rows import OK, Row
from bench.runners.evaluate.plan import EvaluationPlan, PlannedUnit

_SHOWN = 12  # failures and warnings listed; the report has them all


def summarise(plan: EvaluationPlan, rows: Mapping[str, Sequence[Row]]) -> str:
    """Return the table of what was measured now, and the lists of failures and warnings; empty without any.

    What was only stored is not listed again, unless something is wrong with it. Averages go over the images that were
    measured; where one goes over fewer, it says over how many.

    Args:
        rows: stored rows of each series of the plan.
    """
    listed = [planned for planned in plan.units
              if planned.unit.images or any(map(_is_wrong, rows[planned.series.digest]))]
    if not listed:
        return ""

    shown = [row for planned in listed for row in rows[planned.series.digest]]
    measured = {name for row in shown for name in row.quality_versions}
    metrics = [metric for metric in headline_metrics() if metric.name in measured]
    headings = [f"{metric.on_curves.title} {metric.on_curves.unit}".strip() for metric in metrics]
    table = [("codec", "point", "images", "failed", "bpp", *headings, "encode s", "decode s", "mismatches", "warnings")]
    for planned in listed:
        spec, own = planned.unit.spec, rows[planned.series.digest]
        name = mark_miniature(spec.name, any(row.miniature for row in own))
        table.append((name, spec.point, *_cells(own, len(planned.keys), metrics)))

    warnings = [f"{row.name} {row.point} {text}" for planned in listed for row in _measured_now(planned, rows)
                for text in row.warnings]
    lines = [f"{plan.dataset.title}: {plan.dataset.coverage}", *align_columns(table)]
    lines += list_failures(shown) + _listed("warning", warnings)
    return "\n".join(lines)


def list_failures(rows: Iterable[Row]) -> list[str]:
    """Return a line for each reason why some of ``rows`` failed, and how many more there are."""
    return _listed("failed", _failures(row for row in rows if row.status != OK))


def _measured_now(planned: PlannedUnit, rows: Mapping[str, Sequence[Row]]) -> list[Row]:
    images = {image.name for image in planned.unit.images}
    return [row for row in rows[planned.series.digest] if row.image in images]


def exit_code(plan: EvaluationPlan, rows: Mapping[str, Sequence[Row]], *, leave_claimed: bool = False) -> int:
    """Return 1 if a row failed or is absent, a decoder differed, or something the user named is missing.

    Args:
        leave_claimed: what is absent was left to other runs.
    """
    everything = [row for own in rows.values() for row in own]
    wrong = any(map(_is_wrong, everything))
    holes = not leave_claimed and len(everything) < sum(len(planned.keys) for planned in plan.units)
    return EXIT_INCOMPLETE if wrong or holes or any(one.named for one in plan.missing) else EXIT_DONE


def _is_wrong(row: Row) -> bool:
    return row.status != OK or row.decode_matches is False


def _cells(rows: Sequence[Row], images: int, metrics: Sequence[QualityMetric]) -> tuple[str, ...]:
    measured = [row for row in rows if row.status == OK]
    qualities = [_average([row.curve_quality(metric.name) for row in measured], metric.on_curves.digits + 1)
                 for metric in metrics]
    averages = [_average([row.bpp for row in measured], 4), *qualities,
                _average([row.encode_s for row in measured], 3), _average([row.decode_s for row in measured], 3)]
    mismatches = sum(row.decode_matches is False for row in measured)
    warnings = sum(len(row.warnings) for row in measured)
    failed = len(rows) - len(measured)
    return (f"{len(measured)}/{images}", str(failed), *averages, str(mismatches), str(warnings))


def _failures(rows: Iterable[Row]) -> list[str]:
    """Return one line for each reason, which is often the same for all images of a rate point."""
    images: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        reason = (row.reason or "").replace(f"{row.image}: ", "").replace(row.image, "the image")
        images.setdefault((f"{row.name} {row.point}", reason), []).append(row.image)
    return [f"{what}: {names[0] if len(names) == 1 else f'{len(names)} images'}: {reason}"
            for (what, reason), names in images.items()]


def _average(values: Sequence[float | None], digits: int) -> str:
    there = [value for value in values if value is not None]
    if not there:
        return "N/A"
    text = f"{mean(there):.{digits}f}"
    return text if len(there) == len(values) else f"{text} ({len(there)} images)"


def _listed(heading: str, lines: Sequence[str]) -> list[str]:
    """Return the first lines, and how many more there are."""
    shown = [f"{heading}: {line}" for line in lines[:_SHOWN]]
    more = len(lines) - len(shown)
    return shown + ([f"{heading}: and {more} more"] if more else [])
