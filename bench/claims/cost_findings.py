"""What stored latency rows say about claims of time, memory, parameters and operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from bench.claims.catalogue import Claim
from bench.claims.finding import MINIATURE, Finding
from bench.metrics.statistics.estimates import Exact
from bench.metrics.statistics.ratios import ratio_estimate
from bench.metrics.statistics.timing import NOISE_FLOOR
from bench.results.latency_figures import forward_kmac_per_pixel, kmac_per_pixel, peak_bytes, round_seconds
from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import DIRECTIONS, USUAL_SHAPE, Case, LatencySelection

OF_DIRECTION = {"encode_time": DIRECTIONS[:1], "decode_time": DIRECTIONS[1:], "total_time": DIRECTIONS}
TOLERANCES = {"parameters": 0.05, "macs": 0.1}  # of published figures, in M and kMAC/pixel
UNITS = {"parameters": 1e6, "memory": 1e9, "macs": 1.0}
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
    command = f"python -m bench profile {' '.join(dict.fromkeys(names))}"
    why_not = _beyond(claim)
    place = "" if claim.metric in UNITS and claim.metric != "memory" else device
    if why_not:
        return Finding(missing=why_not, place=place, where=device, command=WITH_OPTION if claim.setting else "")
    case = _case(selection, names[0], names[1:])
    if case is None:
        return Finding(missing=f"{' and '.join(names)} were not timed in turns on {device}", place=place, where=device,
                       command=command)
    if case.any.miniature != miniature:
        return Finding(fault=f"rows called {names[0]} are of {'a miniature' if case.any.miniature else 'full width'}",
                       place=place, where=device, command=command)
    where = f"{device}, {case.conditions.shape}"
    if claim.versus is None:
        finding = _absolute(claim, case)
    elif claim.metric in OF_DIRECTION:
        finding = _time(claim, selection, case, names[1])
    else:
        finding = _exact_change(claim, case, selection.case(case.conditions, names[1]))
    if case.any.weights == SYNTHETIC and finding.evidence:
        finding = replace(finding, evidence=f"{finding.evidence}, random weights")
    return replace(finding, place=place, where=where, command=command)


def _beyond(claim: Claim) -> str:
    """Why no latency row can say anything about a claim, or an empty text."""
    if claim.setting is not None:
        return f"no variant with {claim.setting} is measured"
    if claim.metric == "training_time" or claim.part == "training":
        return "training is not measured"
    return ""


def _case(selection: LatencySelection, name: str, others: Sequence[str]) -> Case | None:
    """The measured case that was compared with all ``others``, of the usual shape where there is one."""
    found = []
    for case in selection.cases:
        known = [case, *(selection.case(case.conditions, other) for other in others)]
        if case.name == name and case.configuration == "default" and all(map(_complete, known)):
            found.append(case)
    return min(found, key=lambda case: (case.conditions.width, case.conditions.height) != USUAL_SHAPE, default=None)


def _complete(case: Case | None) -> bool:
    return case is not None and all(case.measured(direction) is not None for direction in DIRECTIONS)


def _measured_rows(case: Case, directions: Sequence[str] = DIRECTIONS) -> list[LatencyRow]:
    """The rows of ``directions``; of a complete case, all of them."""
    return [row for direction in directions if (row := case.measured(direction)) is not None]


def _absolute(claim: Claim, case: Case) -> Finding:
    if claim.metric in OF_DIRECTION:
        seconds = round_seconds(_measured_rows(case, OF_DIRECTION[claim.metric]))
        return Finding(missing="a time in ms is that of the authors' own machine; here it is "
                               f"{1000 * float(np.median(seconds)):.4g} ms, which neither confirms nor refutes it")
    value = forward_kmac_per_pixel(case) if claim.part == FORWARD else _value(claim, case)
    if value is None:
        return Finding(missing=f"{claim.part or claim.metric} is not measured apart")
    return Finding(estimate=Exact(value / UNITS[claim.metric]), tolerance=TOLERANCES.get(claim.metric),
                   evidence="counted in this suite's model")


def _time(claim: Claim, selection: LatencySelection, case: Case, versus: str) -> Finding:
    own = _measured_rows(case, OF_DIRECTION[claim.metric])
    others = [other for row in own if (other := selection.in_turns(row, versus)) is not None]
    if len(others) < len(own):
        return Finding(missing=f"not timed in turns with {versus}")

    differing = [row.label for row in (*own, *others) if row.decode_matches is False]
    if differing:
        return Finding(fault=f"decoded images of {differing[0]} differ from the encoder's own")
    warnings = [text for row in (*own, *others) for text in row.state.get("warnings", ()) if not is_harmless(text)]
    if warnings:
        return Finding(fault=f"while it was timed, {warnings[0]}")

    if claim.part is not None:
        return _compare_stage(claim.part, own, others)
    a, b = round_seconds(own), round_seconds(others)
    rounds = min(len(a), len(b))
    return Finding(ratio_estimate(a[:rounds], b[:rounds], paired=True), is_ratio=True, floor=NOISE_FLOOR,
                   what_n="rounds", evidence="medians of rounds in which both took turns")


def is_harmless(warning: str) -> bool:
    """Whether a warning of a latency row leaves ratios as they are."""
    return warning.startswith(GOVERNOR)


def _compare_stage(stage: str, own: Sequence[LatencyRow], others: Sequence[LatencyRow]) -> Finding:
    """Times of one stage, from the passes in which stages were marked."""
    if any(stage not in row.stages_s for row in (*own, *others)):
        return Finding(missing=f"{stage} is not measured apart")

    a, b = ([sum(values) for values in zip(*(row.stages_s[stage] for row in rows))] for rows in (own, others))
    return Finding(ratio_estimate(a, b, paired=False), is_ratio=True, floor=NOISE_FLOOR, what_n="passes",
                   evidence=f"passes with stages marked, {stage}")


def _exact_change(claim: Claim, case: Case, other: Case | None) -> Finding:
    value = _value(claim, case)
    versus = None if other is None else _value(claim, other)
    if value is None or not versus:
        return Finding(missing=f"{claim.part or claim.metric} is not measured apart")

    floor = MEMORY_FLOOR if claim.metric == "memory" else 0.0
    return Finding(Exact(value / versus), is_ratio=True, floor=floor, evidence={
        "memory": "peaks of what tensors take, of the direction that takes more",
        "parameters": "counted in this suite's models", "macs": "counted while they ran, both directions",
    }[claim.metric])


def _value(claim: Claim, case: Case) -> float | None:
    """Numbers, bytes at the peak, or kMAC/pixel of both directions; of a part where the claim names one."""
    rows = _measured_rows(case)
    if claim.metric == "memory":
        if claim.part is None:
            return peak_bytes(case)
        return max((row.stage_peak_alloc_bytes[claim.part] for row in rows
                    if claim.part in row.stage_peak_alloc_bytes), default=None)
    if claim.part is None:
        return rows[0].parameters if claim.metric == "parameters" else _sum([kmac_per_pixel(row) for row in rows])

    modules = MODULES.get(claim.part, ())
    counts = [row.module_macs for row in rows] if claim.metric == "macs" else [rows[0].module_parameters]
    return _sum([count.get(name) for count in counts for name in modules]) if modules else None


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(sum(known)) if len(known) == len(values) else None
