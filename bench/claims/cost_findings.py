"""What stored latency rows say about claims of time, memory, parameters and operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from bench.claims.catalogue import Claim
from bench.claims.result import MINIATURE, Finding
from bench.metrics.statistics.estimates import Exact
from bench.metrics.statistics.ratios import ratio_estimate
from bench.metrics.statistics.timing import NOISE_FLOOR
from bench.results.latency_figures import (
    find_largest,
    forward_kmac_per_pixel,
    kmac_per_pixel,
    list_uncounted,
    peak_bytes,
    round_seconds,
)
from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import DIRECTIONS, Case, LatencySelection

OF_DIRECTION = {"encode_time": DIRECTIONS[:1], "decode_time": DIRECTIONS[1:], "total_time": DIRECTIONS}
TOLERANCES = {"parameters": 0.05, "macs": 0.1}  # of published figures, in M and kMAC/pixel
UNITS = {"parameters": 1e6, "memory": 1e9, "macs": 1.0}
COUNTED = {
    "memory": "peaks of what tensors take, of the direction that takes more",
    "parameters": "counted in this suite's models", "macs": "counted while they ran, both directions",
}
FORWARD = "forward pass"
SYNTHETIC = "synthetic"  # weights, as rows call them
MEMORY_FLOOR = 0.01  # allocators round, and choose other workspaces on another day
WITH_OPTION = "add a variant with this option to variants.yaml, then python -m bench profile with both"
GOVERNOR = "the CPU's clock follows the governor"  # a warning that turns make harmless to ratios
MODULES = {  # parts that claims name, as direct children of the models
    "context s3": ("y_spatial_prior_adaptor_list_s3", "y_spatial_prior_s3", "attn_s3"),
    "attention": ("attn_s1", "attn_s2", "attn_s3"), "attention s1": ("attn_s1",), "attention s2": ("attn_s2",),
    "attention s3": ("attn_s3",), "context_net": ("context_net",),
    "spatial priors": ("y_spatial_prior_s1_s2", "y_spatial_prior_s3"),
    "spatial prior s1 s2": ("y_spatial_prior_s1_s2",), "spatial prior s3": ("y_spatial_prior_s3",),
}


def find_cost(claim: Claim, selection: LatencySelection, device: str, miniature: bool = False,
              same_cost: Mapping[str, str] = MappingProxyType({})) -> Finding:
    """Compare what a claim of cost names, as one device measured it.

    Args:
        device: as rows call it.
        miniature: compare the miniatures of both.
        same_cost: variants that are only trained otherwise, to the one whose costs are theirs.
    """
    suffix = MINIATURE if miniature else ""
    names = [same_cost.get(name, name) + suffix for name in (claim.variant, claim.versus) if name]
    place = "" if claim.metric in UNITS and claim.metric != "memory" else device
    blank = Finding(place=place, where=device, command=f"python -m bench profile {' '.join(dict.fromkeys(names))}")
    if claim.setting is not None:
        return replace(blank, missing=f"no variant with {claim.setting} is measured", command=WITH_OPTION)
    if claim.metric == "training_time" or claim.part == "training":
        return replace(blank, missing="training is not measured", command="")

    cases = _find_cases(selection, names)
    if not cases:
        return replace(blank, missing=f"{' and '.join(names)} were not timed in turns on {device}")
    case = cases[0]
    if case.any.miniature != miniature:
        kind = "a miniature" if case.any.miniature else "full width"
        return replace(blank, fault=f"rows called {names[0]} are of {kind}")

    uncounted = sorted({name for one in cases for row in one.measured_rows for name in list_uncounted(row)})
    if claim.metric == "macs" and uncounted:
        return replace(blank, fault=f"operators without a count may do more than all that were counted: "
                                    f"{', '.join(uncounted)}")

    if claim.versus is None:
        finding = _find_absolute(claim, case)
    elif claim.metric in OF_DIRECTION:
        finding = _compare_times(claim, selection, case, names[1])
    else:
        finding = _compare_counts(claim, *cases)
    if case.any.weights == SYNTHETIC and finding.evidence:
        finding = replace(finding, evidence=f"{finding.evidence}, random weights")
    return replace(finding, place=place, where=f"{device}, {case.conditions.shape}", command=blank.command)


def _find_cases(selection: LatencySelection, names: Sequence[str]) -> list[Case]:
    """The completely measured cases of ``names`` under the same conditions, the usual shape's if there are; or none."""
    found = []
    for conditions in selection.conditions:
        cases = [case for name in names if (case := selection.case(conditions, name)) is not None]
        if len(cases) == len(names) and all(len(case.measured_rows) == len(DIRECTIONS) for case in cases):
            found.append(cases)
    return min(found, key=lambda cases: not cases[0].conditions.is_usual, default=[])


def _take_directions(claim: Claim, case: Case) -> list[LatencyRow]:
    return [row for row in case.measured_rows if row.direction in OF_DIRECTION[claim.metric]]


def _find_absolute(claim: Claim, case: Case) -> Finding:
    if claim.metric in OF_DIRECTION:
        seconds = round_seconds(_take_directions(claim, case))
        return Finding(missing="a time in ms is that of the authors' own machine; here it is "
                               f"{1000 * float(np.median(seconds)):.4g} ms, which neither confirms nor refutes it")

    value = forward_kmac_per_pixel(case) if claim.part == FORWARD else _find_count(claim, case)
    if value is None:
        return _report_unmeasured_part(claim)
    return Finding(estimate=Exact(value / UNITS[claim.metric]), tolerance=TOLERANCES.get(claim.metric),
                   evidence="counted in this suite's model")


def _report_unmeasured_part(claim: Claim) -> Finding:
    return Finding(missing=f"{claim.part or claim.metric} is not measured apart")


def _compare_times(claim: Claim, selection: LatencySelection, case: Case, versus: str) -> Finding:
    own = _take_directions(claim, case)
    others = [other for row in own if (other := selection.in_turns(row, versus)) is not None]
    if len(others) < len(own):
        return Finding(missing=f"not timed in turns with {versus}")

    differing = [row.label for row in (*own, *others) if row.decode_matches is False]
    if differing:
        return Finding(fault=f"decoded images of {differing[0]} differ from the encoder's own")
    disturbances = find_disturbances([*own, *others])
    if disturbances:
        return Finding(fault=f"while it was timed, {disturbances[0]}")

    if claim.part is not None:
        return _compare_stage(claim, own, others)
    a, b = round_seconds(own), round_seconds(others)
    rounds = min(len(a), len(b))
    return Finding(ratio_estimate(a[:rounds], b[:rounds], paired=True), is_ratio=True, floor=NOISE_FLOOR,
                   what_n="rounds", evidence="medians of rounds in which both took turns")


def find_disturbances(rows: Sequence[LatencyRow]) -> list[str]:
    """Return the warnings of ``rows`` but for those that leave ratios as they are."""
    return [text for row in rows for text in row.state.get("warnings", ()) if not text.startswith(GOVERNOR)]


def _compare_stage(claim: Claim, own: Sequence[LatencyRow], others: Sequence[LatencyRow]) -> Finding:
    """Compare times of one stage, from the passes in which stages were marked."""
    a, b = (_sum_passes(rows, claim.part or "") for rows in (own, others))
    if not a or not b:
        return _report_unmeasured_part(claim)
    if min(*a, *b) <= 0:
        return Finding(fault=f"{claim.part} took no time in some passes")
    return Finding(ratio_estimate(a, b, paired=False), is_ratio=True, floor=NOISE_FLOOR, what_n="passes",
                   evidence=f"passes with stages marked, {claim.part}")


def _sum_passes(rows: Sequence[LatencyRow], stage: str) -> list[float]:
    """Return the seconds of ``stage`` in each pass, of all ``rows`` together."""
    return [sum(values) for values in zip(*(row.stages_s.get(stage, ()) for row in rows))]


def _compare_counts(claim: Claim, case: Case, other: Case) -> Finding:
    value, versus = _find_count(claim, case), _find_count(claim, other)
    if value is None or not versus:
        return _report_unmeasured_part(claim)
    floor = MEMORY_FLOOR if claim.metric == "memory" else 0.0
    return Finding(Exact(value / versus), is_ratio=True, floor=floor, evidence=COUNTED[claim.metric])


def _find_count(claim: Claim, case: Case) -> float | None:
    """Numbers, bytes at the peak, or kMAC/pixel of both directions; of a part where the claim names one."""
    rows = case.measured_rows
    if claim.metric == "memory":
        if claim.part is None:
            return peak_bytes(case)
        return find_largest(row.stage_peak_alloc_bytes.get(claim.part) for row in rows)
    if claim.part is None:
        return rows[0].parameters if claim.metric == "parameters" else _sum_known(map(kmac_per_pixel, rows))

    modules = MODULES.get(claim.part, ())
    counts = [row.module_macs for row in rows] if claim.metric == "macs" else [rows[0].module_parameters]
    return _sum_known(count.get(name) for count in counts for name in modules) if modules else None


def _sum_known(values: Iterable[float | None]) -> float | None:
    """Return the sum, or None where a value is not known."""
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) if len(known) == len(found) else None
