"""What changed since the accepted state, each change with the term that moved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from bench.claims.result import Change
from bench.claims.state import CostState, CurveState, State, VerdictState
from bench.metrics import verdicts
from bench.metrics.changes import RATE, RDShift, TimeShift, rd_shift, time_shift

RANKS = {verdicts.INVALID: 0, verdicts.NOT_MEASURED: 1, verdicts.REFUTED: 2, verdicts.UNDECIDED: 3,
         verdicts.SUPPORTED: 4, verdicts.REPRODUCED: 4}
NAMED = 3  # images or stages that a reason names
COUNTS = {"peak_alloc_bytes": "memory", "parameters": "parameters", "macs": "operations"}
COUNT_FLOOR = 0.001  # relative; an allocator may round otherwise


def changes_between(before: State, now: State) -> list[Change]:
    """Return what got worse or better beyond its uncertainty, worse first; what is new is no change."""
    found = [*_vanished(before, now)]
    for key, curve in before.curves.items():
        if key in now.curves:
            found += _curve_changes(curve, now.curves[key])
    for key, cost in before.costs.items():
        if key in now.costs:
            found += _cost_changes(cost, now.costs[key])
    for key, verdict in before.verdicts.items():
        if key in now.verdicts:
            found += _verdict_changes(verdict, now.verdicts[key])
    return sorted(found, key=lambda change: not change.worse)


def _vanished(before: State, now: State) -> Iterable[Change]:
    for what, old, new in (("curve", before.curves, now.curves), ("timing", before.costs, now.costs),
                           ("verdict", before.verdicts, now.verdicts)):
        for key in old:
            if key not in new:
                yield Change("row vanished", ", ".join(part for part in key), what, "nothing", True,
                             f"the accepted state has this {what}, the rows no longer do")


def _curve_changes(before: CurveState, now: CurveState) -> list[Change]:
    what = f"{before.label} on {before.dataset}"
    found = []
    for kind, old, new in (("points", before.points, now.points), ("images", before.images, now.images)):
        gone = [name for name in old if name not in new]
        if gone:
            found.append(Change("row vanished", what, f"{len(old)} {kind}", f"{len(old) - len(gone)} of them", True,
                                f"{kind} no longer measured: {', '.join(gone)}"))
    points = [name for name in before.points if name in now.points]
    images = [name for name in before.images if name in now.images]
    if not points or not images:
        return found
    arrays = [_taken(state, points, images) for state in (before, now)]
    if all(np.array_equal(a, b) for a, b in zip(*arrays)):
        return found
    shift = rd_shift(*arrays[0], *arrays[1])
    if shift.direction:
        found.append(_rd_change(what, shift, images, points))
    return found


def _taken(state: CurveState, points: Sequence[str], images: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    rows = np.ix_([state.images.index(name) for name in images], [state.points.index(name) for name in points])
    return np.array(state.bpp)[rows], np.array(state.psnr_rgb_db)[rows]


def _rd_change(what: str, shift: RDShift, images: Sequence[str], points: Sequence[str]) -> Change:
    term, unit = ("rate", "%") if shift.term == RATE else ("quality", "dB")
    moved = shift.rate_percent if shift.term == RATE else shift.quality_db
    digits = 2 if unit == "%" else 3
    bad = shift.direction * (1 if shift.term == RATE else -1)  # the sign of the images that made it so
    worst = sorted(zip(shift.per_image, images), key=lambda pair: -bad * pair[0])
    listed = ", ".join(f"{name} {_signed(value, digits)} {unit}" for value, name in worst[:NAMED])
    same_way = sum(bad * value > 0 for value in shift.per_image)
    at = ", ".join(f"{_signed(value, digits)} at {name}" for value, name in zip(shift.per_point, points))
    reason = (f"{term} moved by {_signed(moved.value, digits)} {unit} ({_signed(moved.low, digits)} to "
              f"{_signed(moved.high, digits)}), on {same_way} of {len(images)} images; most on {listed}; "
              f"by point: {at}")
    after = "no BD-rate" if shift.bd_percent is None else f"BD-rate {_signed(shift.bd_percent.value, 2)} %"
    return Change(term, what, "accepted points", after, shift.direction > 0, reason)


def _cost_changes(before: CostState, now: CostState) -> list[Change]:
    found = []
    what = f"{before.name}, {before.direction}, {before.shape}, {before.device}"
    if before.configuration != "default":
        what += f", {before.configuration}"
    if before.samples_s and now.samples_s and before.samples_s != now.samples_s:
        shift = time_shift(before.samples_s, now.samples_s)
        if shift.direction:
            found.append(_time_change(what, shift, before, now))
    for field, kind in COUNTS.items():
        old, new = getattr(before, field), getattr(now, field)
        if old and new and abs(new / old - 1) > COUNT_FLOOR:
            found.append(Change(kind, what, f"{old:,}", f"{new:,}", new > old,
                                f"{kind} moved by {_signed(100 * (new / old - 1), 1)} %; they have no noise"))
    return found


def _time_change(what: str, shift: TimeShift, before: CostState, now: CostState) -> Change:
    ratio = shift.ratio
    low, value, high = (_signed(100 * (one - 1), 1) for one in (ratio.low, ratio.value, ratio.high))
    reason = f"median moved by {value} % ({low} to {high} %){_stages(before, now, shift.direction)}"
    before_ms, now_ms = (f"{1000 * float(np.median(one.samples_s)):.4g} ms" for one in (before, now))
    return Change(f"{before.direction} time", what, before_ms, now_ms, shift.direction > 0, reason)


def _stages(before: CostState, now: CostState, direction: int) -> str:
    """The stages that moved most the same way."""
    moved = {name: float(np.median(now.stages_s[name]) - np.median(values))
             for name, values in before.stages_s.items() if values and now.stages_s.get(name)}
    ordered = sorted((name for name in moved if moved[name] * direction > 0), key=lambda name: -abs(moved[name]))
    listed = ", ".join(f"{name} {_signed(1000 * moved[name], 1)} ms" for name in ordered[:NAMED])
    return f"; by stage: {listed}" if listed else ""


def _verdict_changes(before: VerdictState, now: VerdictState) -> list[Change]:
    change = RANKS[now.verdict] - RANKS[before.verdict]
    if not change:
        return []
    values = " and ".join(f"{one.value:.4g}" for one in (before, now) if one.value is not None)
    return [Change("verdict", ", ".join(part for part in (now.claim, now.where) if part), before.verdict, now.verdict,
                   change < 0, f"measured values: {values}" if values else "no measured value")]


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")
