"""What the variants' authors claim for time, memory, parameters and operations, beside what was measured here."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from bench.claims import Claim
from bench.claims.cost_findings import FORWARD, OF_DIRECTION
from bench.reports.claims.text import claimed_text
from bench.reports.latency.stages import stages_of
from bench.reports.latency.tables import headline_cases
from bench.reports.latency.text import Context, change_text, conditions_text, listed, number_text, percent_text
from bench.reports.page.table import Cell, Column, Table
from bench.results.latency_figures import kmac_per_pixel, peak_bytes, round_seconds
from bench.results.latency_selection import DIRECTIONS, Case, paired_ratio

TITLES = {
    "encode_time": "encode time", "decode_time": "decode time", "total_time": "encode and decode time",
    "training_time": "training time", "memory": "peak memory", "parameters": "parameters", "macs": "operations",
}

Found = tuple[str | None, str | None]  # what was measured, and a remark on it or why there is nothing


def claims_table(context: Context, claims: Iterable[Claim]) -> Table:
    """Every claim of cost on a variant that was measured; what can't be compared says why."""
    columns = (Column("variant", "Variant"), Column("metric", "What"), Column("versus", "against"),
               Column("claimed", "Claimed"), Column("kind", "by the authors"), Column("measured", "Measured here"),
               Column("shape", "at"), Column("remark", "Remark", wide=True),
               Column("claim", "Claim"), Column("source", "Source", wide=True))
    cases = {case.name: case for case in headline_cases(context)}
    rows: list[tuple[Cell, ...]] = []
    for claim in claims:
        case = cases.get(claim.variant)
        if case is None or claim.metric not in TITLES:
            continue
        measured, remark = _measured(context, claim, case)
        rows.append((context.labels[claim.variant], _what(claim),
                     None if claim.versus is None else context.labels.get(claim.versus, claim.versus),
                     claimed_text(claim), claim.kind, measured,
                     conditions_text(case.conditions, context.selection.conditions) if measured else None,
                     listed([remark, claim.note, *(f"contradicts \"{other}\"" for other in claim.contradicts)]),
                     claim.name, claim.source))
    used = [row for case in cases.values() for row in case.rows]
    notes = ("Claims are of the authors' documents (claims.yaml), for their machines and their code; \"predicted\" "
             "ones were never measured by them. Measured: of the variants as they are in this suite.",
             "Changes of time are ratios of medians with a 95 % interval over the rounds in which both took turns, "
             "\"≈\" where no difference shows; peaks are of the direction that takes more.")
    return context.table("claims", "Claims beside measurements", columns, rows, used, notes)


def _what(claim: Claim) -> str:
    part = f" of {claim.part}" if claim.part else ""
    return TITLES[claim.metric] + part + (f", with {claim.setting}" if claim.setting else "")


def _measured(context: Context, claim: Claim, case: Case) -> Found:
    if claim.setting is not None:
        return None, "measured with the usual options only"
    if claim.metric == "training_time" or claim.part == "training":
        return None, "training is not measured"
    if claim.change_percent is None:
        return _absolute(claim, case)
    other = context.selection.case(case.conditions, claim.versus)
    if other is None:
        return None, f"{context.labels.get(claim.versus, claim.versus)} was not measured at this size"
    if claim.part is not None:
        return _change_of_part(claim, case, other)
    if claim.metric in OF_DIRECTION:
        return _change_of_time(context, claim, case)
    values = [_value(claim.metric, one) for one in (case, other)]
    if None in values or not values[1]:
        return None, "not measured"
    return f"{percent_text(values[0] / values[1])} %", None


def _absolute(claim: Claim, case: Case) -> Found:
    rows = [case.measured(direction) for direction in OF_DIRECTION.get(claim.metric, DIRECTIONS)]
    if None in rows:
        return None, "not measured"
    if claim.metric in OF_DIRECTION and claim.part is None:
        return f"{number_text(1000 * float(np.median(round_seconds(rows))))} ms", "on another machine"
    if claim.metric == "macs" and claim.part in (None, FORWARD) and None not in map(kmac_per_pixel, rows):
        texts = [f"{row.direction} {kmac_per_pixel(row):.2f}" for row in rows]
        return f"{', '.join(texts)} kMAC/pixel", "both directions walk the context model, a forward pass does once"
    value = None if claim.part else _value(claim.metric, case)
    if value is None or claim.metric == "macs":
        return None, "not measured apart"
    return f"{value / {'parameters': 1e6, 'memory': 1e9}[claim.metric]:.2f} {claim.unit}", None


def _change_of_time(context: Context, claim: Claim, case: Case) -> Found:
    own = [case.measured(direction) for direction in OF_DIRECTION[claim.metric]]
    other = [None if row is None else context.selection.in_turns(row, claim.versus) for row in own]
    if None in own or None in other:
        return None, f"not in turns with {context.labels.get(claim.versus, claim.versus)}"
    found = paired_ratio(round_seconds(own), round_seconds(other))
    return change_text(found), None


def _change_of_part(claim: Claim, case: Case, other: Case) -> Found:
    """Of a stage: its medians, or its peaks; other parts are not measured apart."""
    values = [_part_value(claim, one) for one in (case, other)]
    if None in values or not values[1]:
        return None, f"{claim.part} is not measured apart"
    remark = "medians of few passes, no interval" if claim.metric in OF_DIRECTION else None
    return f"{percent_text(values[0] / values[1])} %", remark


def _part_value(claim: Claim, case: Case) -> float | None:
    rows = [case.measured(direction) for direction in OF_DIRECTION.get(claim.metric, DIRECTIONS)]
    if claim.metric in OF_DIRECTION:
        found = [stages_of(row) for row in rows]
        if any(one is None or claim.part not in one.seconds for one in found):
            return None
        return sum(one.seconds[claim.part] for one in found)
    if claim.metric == "memory":
        return max((row.stage_peak_alloc_bytes[claim.part] for row in rows
                    if row is not None and claim.part in row.stage_peak_alloc_bytes), default=None)
    return None


def _value(metric: str, case: Case) -> float | None:
    """Parameters, bytes at the peak, or kMAC/pixel of both directions."""
    if metric == "parameters":
        return case.any.parameters
    if metric == "memory":
        return peak_bytes(case)
    counts = [kmac_per_pixel(case.measured(direction)) for direction in DIRECTIONS]
    return None if None in counts else sum(counts)
