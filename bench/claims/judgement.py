"""Judges every claim by the stored rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.claims.catalogue import CODECS, OF_QUALITY, OTHER, PORTABILITY, Claim, load_claims
from bench.claims.cost_findings import find_cost
from bench.claims.curves import Curves
from bench.claims.portability import judge_portability
from bench.claims.rate_findings import USUAL_DATASET, RateFindings
from bench.claims.result import ClaimsResult, Finding, Judgement
from bench.claims.wording import ask_for_sign, explain_verdict, find_rounding
from bench.common.text import format_count
from bench.metrics.statistics.estimates import Estimate, Exact
from bench.metrics.statistics.verdicts import (
    INVALID,
    NOT_MEASURED,
    REFUTED,
    REPRODUCED,
    SUPPORTED,
    UNDECIDED,
    Decision,
    adjust_by_holm,
    decide_claim,
    has_turned_sign,
    is_reproduced,
    require_both,
)
from bench.results.latency_selection import LatencySelection
from bench.results.stored import StoredResults
from bench.variants import find_trained_otherwise, load_variants

SIGNIFICANT = 0.05
SIGN_SLACK = 0.05  # of a claimed figure: how near the measured one with the other sign makes one ask


@dataclass(frozen=True)
class _Sources:
    """Where findings come from."""

    results: StoredResults
    rates: RateFindings
    devices: dict[str, LatencySelection]
    same_cost: Mapping[str, str]


def judge_all(claims: Iterable[Claim], results: StoredResults,
              same_cost: Mapping[str, str] | None = None) -> ClaimsResult:
    """Judge ``claims`` by the rows of ``results``, full-width models and miniatures apart.

    Args:
        same_cost: as :func:`bench.claims.cost_findings.find_cost` takes it.

    Raises:
        BenchError: a file of rows is damaged.
    """
    claims = list(claims)
    sources = _Sources(results, RateFindings(results.derive(Curves)), select_devices(results), same_cost or {})
    judgements = [judgement for claim in claims for judgement in _judge_claim(claim, sources, miniature=False)]
    for claim in claims:
        if _is_of_miniatures(claim):
            found = _judge_claim(claim, sources, miniature=True)
            judgements += [judgement for judgement in found if judgement.verdict != NOT_MEASURED]

    corrected = _correct_for_many(judgements)
    return ClaimsResult(tuple(corrected), tuple(sources.rates.pairs.values()),
                        multiplicity=describe_correction(corrected, corrected))


def _is_of_miniatures(claim: Claim) -> bool:
    """Whether miniatures can tell of it: differences, of which alone they mean anything, and how files decode."""
    return claim.metric in PORTABILITY or (claim.versus is not None and claim.versus not in CODECS)


def judge_results(results: StoredResults) -> ClaimsResult:
    """Judge all of claims.yaml.

    Raises:
        BenchError: claims.yaml, variants.yaml or a file of rows is wrong.
    """
    variants = load_variants()
    return judge_all(load_claims(variants=variants).values(), results, find_trained_otherwise(variants.values()))


def select_devices(results: StoredResults) -> dict[str, LatencySelection]:
    """Return what was measured on each device, GPUs first."""
    selections = map(results.latencies, results.devices)
    found = {selection.stored[-1].device: selection for selection in selections if selection.stored}
    return dict(sorted(found.items(), key=lambda item: (not item[0].startswith("cuda"), item[0])))


def _judge_claim(claim: Claim, sources: _Sources, miniature: bool) -> list[Judgement]:
    """One judgement a dataset, or a device."""
    if claim.metric in PORTABILITY:
        return judge_portability(claim, sources.results, miniature)

    if claim.metric in OF_QUALITY:
        datasets = claim.datasets or (USUAL_DATASET,)
        findings = [finding for dataset in datasets for finding in sources.rates.find_rates(claim, dataset, miniature)]
    elif claim.metric == OTHER:
        findings = [Finding(missing=f"{claim.what}: no row of this suite tells it",
                            command="nothing that this suite measures would settle it")]
    else:
        findings = _find_costs(claim, sources, miniature)
    return [_judge_finding(claim, finding, miniature) for finding in findings]


def _find_costs(claim: Claim, sources: _Sources, miniature: bool) -> list[Finding]:
    """What each device measured; of counts, which are the same on all, the first that did."""
    findings = [find_cost(claim, selection, device, miniature, sources.same_cost)
                for device, selection in sources.devices.items()]
    if not findings:
        return [Finding(missing="no costs are measured", command=f"python -m bench profile {claim.variant}")]
    if claim.metric in ("parameters", "macs"):
        return [next((finding for finding in findings if not finding.missing), findings[0])]
    return findings


def _judge_finding(claim: Claim, finding: Finding, miniature: bool) -> Judgement:
    blank = Judgement(claim, NOT_MEASURED, finding.missing, finding.command, miniature, place=finding.place,
                      where=finding.where, evidence=finding.evidence)
    if finding.missing:
        return blank
    if finding.fault:
        return replace(blank, verdict=INVALID, reason=finding.fault)

    value = finding.value if finding.estimate is None else _in_unit(finding, finding.estimate.value)
    decision: Decision | None = None
    verdicts: tuple[str, ...] = ()
    if finding.tolerance is not None and value is not None and is_reproduced(value, claim.bounds, finding.tolerance):
        verdict = REPRODUCED
    elif finding.estimate is not None:
        decision, verdicts = _decide(claim, finding, finding.estimate)
        verdict = decision.verdict
    else:  # an average without its images has no uncertainty to decide by; a published figure can only be wrong
        verdict = REFUTED if finding.published else UNDECIDED

    judged = _add_uncertainty(replace(blank, value=value, verdict=verdict, parted=verdicts), finding, decision)
    if _is_sign_in_doubt(judged):
        return replace(judged, verdict=UNDECIDED, reason=ask_for_sign(judged), sign_in_doubt=True)
    return replace(judged, reason=explain_verdict(judged, finding.tolerance))


def _decide(claim: Claim, finding: Finding, estimate: Estimate) -> tuple[Decision, tuple[str, ...]]:
    """Decide by averaged curves and by the mean over images, where both are known; with their verdicts if they part."""
    end = _find_weaker_end(claim, finding)
    decision = decide_claim(estimate, *end)
    if finding.of_images is None:
        return decision, ()
    of_images = decide_claim(finding.of_images, *end)
    verdicts = (decision.verdict, of_images.verdict)
    return require_both(decision, of_images), verdicts if len(set(verdicts)) > 1 else ()


def _is_sign_in_doubt(judged: Judgement) -> bool:
    """Whether what would support or refute a claim of a change is its very figure with the other sign.

    A saving that is written as a positive change would be supported by any saving at all. A claimed gain that is
    measured as a loss is refuted all the same.
    """
    claim, value = judged.claim, judged.value
    if claim.value is not None or value is None or judged.verdict not in (SUPPORTED, REFUTED):
        return False
    if judged.verdict == REFUTED and (value > 0) == claim.lower_is_better:
        return False
    slack = max(find_rounding(claim.weaker_end), SIGN_SLACK * abs(claim.weaker_end))
    low, high = judged.interval or (value, value)
    nearest = min(max(-claim.weaker_end, low), high)  # within what the measurement leaves open
    return any(has_turned_sign(one, claim.bounds, slack) for one in (value, nearest))


def _add_uncertainty(judged: Judgement, finding: Finding, decision: Decision | None) -> Judgement:
    estimate = finding.estimate
    if estimate is None or isinstance(estimate, Exact):
        return judged
    low, high = (_in_unit(finding, bound) for bound in estimate.interval())
    judged = replace(judged, interval=(low, high), n=estimate.n, what_n=finding.what_n, spread=finding.spread)
    if decision is None:
        return judged
    scale = 100 if finding.is_ratio else 1
    below, above = (_in_unit(finding, bound) for bound in decision.bounds)
    return replace(judged, p_value=decision.p_value, detectable=scale * decision.detectable, bounds=(below, above),
                   floor=scale * finding.floor)


def _in_unit(finding: Finding, value: float) -> float:
    """A value of the estimate in the claim's unit."""
    return 100 * (value - 1) if finding.is_ratio else value


def _find_weaker_end(claim: Claim, finding: Finding) -> tuple[float, bool, float]:
    """What the estimate is compared with: the weaker end in its unit, whether lower is better, and the floor.

    Figures without noise get the rounding of the claim's last digit. Claims that something stays equal get the floor as
    their end instead of as a margin: nothing could else support them.
    """
    end, floor, sign = claim.weaker_end, finding.floor, 1 if claim.lower_is_better else -1
    if isinstance(finding.estimate, Exact):
        end += sign * find_rounding(end)
    if finding.is_ratio:
        end = 1 + end / 100
    if claim.bounds == (0.0, 0.0):
        end, floor = end + sign * floor, 0.0
    return end, claim.lower_is_better, floor


def _correct_for_many(judgements: Sequence[Judgement]) -> list[Judgement]:
    """Add p values corrected for all tested claims of a kind of models."""
    result = list(judgements)
    for miniature in (False, True):
        tested = {index: one.p_value for index, one in enumerate(result)
                  if one.miniature == miniature and one.p_value is not None}
        for index, p_value in zip(tested, adjust_by_holm(list(tested.values()))):
            judged = replace(result[index], adjusted_p=float(p_value))
            if is_marked(judged):
                judged = replace(judged, reason=f"{judged.reason} (no longer once corrected for {len(tested)} claims)")
            result[index] = judged
    return result


def describe_correction(judgements: Iterable[Judgement], shown: Sequence[Judgement]) -> str:
    """Say what the correction for many claims means for those that are shown.

    Args:
        judgements: all, which the correction is over.
        shown: those of them that readers see.
    """
    judgements, statements = list(judgements), []
    for miniature, kind in ((False, "full-width models"), (True, "miniatures")):
        total, tested = ([one for one in group if one.miniature == miniature and one.p_value is not None]
                         for group in (judgements, shown))
        if not tested:
            continue
        decided = [one for one in tested if one.verdict in (SUPPORTED, REFUTED)]
        lost = sum(map(is_marked, decided))
        were = "was" if len(tested) == 1 else "were"
        statement = (f"{format_count(len(tested), 'claim')} about {kind} {were} tested on samples, each at a one-sided "
                     "5 %")
        if decided:
            statement += (f"; of the {len(decided)} supported or refuted ones {len(decided) - lost} outlast Holm's "
                          f"correction over all {len(total)} that were tested"
                          f"{'; the others are marked' if lost else ''}")
        statements.append(f"{statement}.")
    return " ".join(statements) or "No claim was tested on samples: all decided ones are exact."


def is_marked(judgement: Judgement) -> bool:
    """Whether a verdict no longer holds once corrected for many claims."""
    decided = judgement.verdict in (SUPPORTED, REFUTED)
    return decided and judgement.adjusted_p is not None and judgement.adjusted_p >= SIGNIFICANT
