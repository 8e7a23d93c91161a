"""What changed since the accepted state, each change with the term that moved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from msgspec import structs

from bench.claims.change import Change
from bench.claims.judgement import judge_results
from bench.claims.result import MINIATURE, ClaimsResult
from bench.claims.state import (
    CostState,
    CurveState,
    State,
    StateEntry,
    VerdictState,
    collect_current_state,
    read_accepted_state,
)
from bench.common.text import format_count, format_number
from bench.metrics.quality import METRICS, QualityMetric
from bench.metrics.statistics import verdicts
from bench.metrics.statistics.changes import RATE, RDShift, TimeShift, rd_shift, time_shift
from bench.results.stored import StoredResults

RANKS = {verdicts.INVALID: 0, verdicts.NOT_MEASURED: 0, verdicts.REFUTED: 1, verdicts.UNDECIDED: 2,
         verdicts.SUPPORTED: 3, verdicts.REPRODUCED: 3}
FEWEST_TO_SHARE = 8  # timings, of which fewer don't tell a machine's pace from their own
COMMON_FLOOR = 0.05  # relative; what all timings share moves by as much from day to day
NAMED = 3  # images or stages that a reason names
COUNTS = {"peak_alloc_bytes": "memory", "parameters": "parameters", "macs": "operations"}
COUNT_FLOORS = {"peak_alloc_bytes": 0.01}  # relative; allocators round, and choose other workspaces on another day


def compare_with_accepted(results: StoredResults) -> ClaimsResult:
    """Judge all claims, and say what changed since the accepted state, if there is one.

    Raises:
        BenchError: claims.yaml, variants.yaml, a file of rows or the accepted state is wrong.
    """
    result = results.derive(judge_results)
    if results.machine is not None:  # rows of other machines would seem to have vanished
        return replace(result, remarks=(*result.remarks, "Rows of one machine are judged; the accepted state is of all "
                                        "rows, so that nothing is compared."))
    before = read_accepted_state(results.root)
    if before is None:
        return replace(result, remarks=(*result.remarks, "No state was accepted yet, so that nothing is compared: "
                                        "python -m bench claims --accept"))
    about = {one.claim.name: one.claim.variant for one in result.judgements}
    now = collect_current_state(results, result.judgements)
    return replace(result, changes=tuple(find_changes(before, now, about)), compared=_count_compared(before, now))


def _count_compared(before: State, now: State) -> str:
    """Say how much of the accepted state is still there: "53 curves, 60 timings, 359 verdicts"."""
    kinds = (("curve", before.curves, now.curves), ("timing", before.costs, now.costs),
             ("verdict", before.verdicts, now.verdicts))
    return ", ".join(format_count(len(old.keys() & new.keys()), word) for word, old, new in kinds)


def find_changes(before: State, now: State, about: Mapping[str, str]) -> list[Change]:
    """Return what got worse or better beyond its uncertainty, worse first; what is new is no change.

    Args:
        about: claim to the variant that it is about.
    """
    found = [*_find_vanished(before, now, about)]
    for key, curve in before.curves.items():
        if key in now.curves:
            found += _compare_curves(curve, now.curves[key])
    both = [(cost, now.costs[key]) for key, cost in before.costs.items() if key in now.costs]
    found += [change for cost, later in both for change in _compare_counts(cost, later)]
    found += compare_timings(both)
    for key, verdict in before.verdicts.items():
        if key in now.verdicts:
            found += _compare_verdicts(verdict, now.verdicts[key], _name_codec(verdict, about))
    return sorted(found, key=lambda change: not change.worse)


def _name_codec(entry: StateEntry, about: Mapping[str, str]) -> str:
    """The codec that an entry is about; empty for a claim that is no longer known."""
    if isinstance(entry, VerdictState):
        variant = about.get(entry.claim, "")
        return f"{variant}{MINIATURE}" if variant and entry.miniature else variant
    return entry.name if isinstance(entry, (CurveState, CostState)) else ""


def _find_vanished(before: State, now: State, about: Mapping[str, str]) -> Iterable[Change]:
    for what, old, new in (("curve", before.curves, now.curves), ("timing", before.costs, now.costs),
                           ("verdict", before.verdicts, now.verdicts)):
        for key, entry in old.items():
            if key not in new and getattr(entry, "verdict", "") != verdicts.NOT_MEASURED:
                yield Change("row vanished", ", ".join(key), what, "nothing", True,
                             f"the accepted state has this {what}, the rows no longer do", _name_codec(entry, about))


def _compare_curves(before: CurveState, now: CurveState) -> list[Change]:
    what = f"{before.label} on {before.dataset}"
    found = []
    for kind, old, new in (("points", before.points, now.points), ("images", before.images, now.images)):
        gone = [name for name in old if name not in new]
        if gone:
            found.append(Change("row vanished", what, f"{len(old)} {kind}", f"{len(old) - len(gone)} of them", True,
                                f"{kind} no longer measured: {', '.join(gone)}", before.name))

    points = [name for name in before.points if name in now.points]
    images = [name for name in before.images if name in now.images]
    if not points or not images:
        return found
    for metric in METRICS:
        if metric not in before.quality or metric not in now.quality:
            continue
        old_values, new_values = (_take_shared(state, metric, points, images) for state in (before, now))
        if np.array_equal(old_values, new_values):
            continue

        shift = rd_shift(*old_values, *new_values)
        if shift.direction:
            change = _describe_rd_shift(what, METRICS.get(metric), shift, images, points)
            found.append(structs.replace(change, codec=before.name))
    return found


def _take_shared(state: CurveState, metric: str, points: Sequence[str],
                 images: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Rates and qualities of chosen points and images, (images, points)."""
    rows = np.ix_([state.images.index(name) for name in images], [state.points.index(name) for name in points])
    return np.array(state.bpp)[rows], np.array(state.quality[metric])[rows]


def _describe_rd_shift(what: str, metric: QualityMetric, shift: RDShift, images: Sequence[str],
                       points: Sequence[str]) -> Change:
    if shift.term == RATE:
        term, unit, moved, spec, sign = "rate", "%", shift.rate_percent, "+.2f", 1
    else:
        term, unit, moved, spec, sign = "quality", metric.on_curves.unit, shift.quality_db, "+.3f", -1
    bad = shift.direction * sign  # the sign of the images that made it so
    worst = sorted(zip(shift.per_image, images), key=lambda pair: -bad * pair[0])
    listed = ", ".join(f"{name} {format_number(value, spec)} {unit}" for value, name in worst[:NAMED])
    same_way = sum(bad * value > 0 for value in shift.per_image)
    at = ", ".join(f"{format_number(value, spec)} at {name}" for value, name in zip(shift.per_point, points))

    reason = (f"{term} moved by {format_number(moved.value, spec)} {unit} ({format_number(moved.low, spec)} to "
              f"{format_number(moved.high, spec)}), on {same_way} of {len(images)} images; most on {listed}; "
              f"by point: {at}")
    after = "no BD-rate" if shift.bd_percent is None else f"BD-rate {format_number(shift.bd_percent.value, '+.2f')} %"
    return Change(term, f"{what}, {metric.label}", "accepted points", after, shift.direction > 0, reason)


def compare_timings(both: Sequence[tuple[CostState, CostState]]) -> list[Change]:
    """Compare the timings of two sessions, earlier and later.

    What all timings of a device have in common is the machine's, or of something that all variants share: it is one
    change, and single timings are compared with it taken out. Where the machine was busy, nothing is compared.
    """
    found = []
    pairs = [pair for pair in both if pair[0].session != pair[1].session and pair[0].weights == pair[1].weights
             and all(one.samples_s and not one.warnings for one in pair)]
    for device in dict.fromkeys(before.device for before, _ in pairs):
        here = [pair for pair in pairs if pair[0].device == device]
        ratios = [float(np.median(now.samples_s) / np.median(before.samples_s)) for before, now in here]
        common = float(np.median(ratios)) if len(here) >= FEWEST_TO_SHARE else 1.0
        if abs(common - 1) > COMMON_FLOOR:
            found.append(Change("time", f"all timings on {device}", f"{len(here)} timings",
                                f"{format_number(100 * (common - 1), '+.1f')} % in common", common > 1,
                                "all moved alike: the machine, or something that all of them share"))
        for before, now in here:
            shift = time_shift([value * common for value in before.samples_s], now.samples_s)
            if shift.direction:
                found.append(_describe_time_shift(_name_timing(before), shift, before, now, common))
    return found


def _name_timing(cost: CostState) -> str:
    parts = [cost.name, cost.direction, cost.shape, cost.device]
    return ", ".join(parts if cost.configuration == "default" else [*parts, cost.configuration])


def _compare_counts(before: CostState, now: CostState) -> list[Change]:
    found = []
    for field, kind in COUNTS.items():
        old, new = getattr(before, field), getattr(now, field)
        if old and new and abs(new / old - 1) > COUNT_FLOORS.get(field, 0.0):
            found.append(Change(kind, _name_timing(before), f"{old:,}", f"{new:,}", new > old,
                                f"{kind} moved by {format_number(100 * (new / old - 1), '+.1f')} %", before.name))
    return found


def _describe_time_shift(what: str, shift: TimeShift, before: CostState, now: CostState, common: float) -> Change:
    low, value, high = (format_number(100 * (one - 1), '+.1f') for one in (shift.low, shift.value, shift.high))
    beside = f" beside the {format_number(100 * (common - 1), '+.1f')} % that all share" if common != 1 else ""
    reason = f"median moved by {value} % ({low} to {high} %){beside}{_list_moved_stages(before, now, shift.direction)}"
    before_ms, now_ms = (f"{1000 * float(np.median(one.samples_s)):.4g} ms" for one in (before, now))
    return Change(f"{before.direction} time", what, before_ms, now_ms, shift.direction > 0, reason, before.name)


def _list_moved_stages(before: CostState, now: CostState, direction: int) -> str:
    """The stages that moved most the same way."""
    moved = {name: float(np.median(now.stages_s[name]) - np.median(values))
             for name, values in before.stages_s.items() if values and now.stages_s.get(name)}
    ordered = sorted((name for name in moved if moved[name] * direction > 0), key=lambda name: -abs(moved[name]))
    listed = ", ".join(f"{name} {format_number(1000 * moved[name], '+.1f')} ms" for name in ordered[:NAMED])
    return f"; by stage: {listed}" if listed else ""


def _compare_verdicts(before: VerdictState, now: VerdictState, codec: str) -> list[Change]:
    change = RANKS[now.verdict] - RANKS[before.verdict]
    if not change:
        return []
    values = " and ".join(f"{one.value:.4g}" for one in (before, now) if one.value is not None)
    what = ", ".join(part for part in (now.claim, now.place, now.evidence) if part)
    reason = f"measured values: {values}" if values else "no measured value"
    return [Change("verdict", what, before.verdict, now.verdict, change < 0, reason, codec)]
