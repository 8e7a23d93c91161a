"""Which variants of an evaluation are still to be profiled on this machine; imports neither torch nor models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.codecs.learned import LEARNED
from bench.common.import_paths import is_import_path
from bench.common.text import format_duration
from bench.results.latency_rows import DIRECTIONS
from bench.results.latency_selection import BASE, DEFAULT, USUAL_SHAPE, Case
from bench.results.machines import find_machine, is_from
from bench.runners.evaluate.plan import EvaluationPlan
from bench.runners.profile import ROUNDS
from bench.runners.profile.expected import ProfileTimes, expect_profile_s
from bench.variants import Variant, find_usual_weights, get_variant, label_weights, load_variants

SHAPE = "x".join(map(str, USUAL_SHAPE))


@dataclass(frozen=True)
class PlannedProfile:
    """What is profiled after an evaluation, beside the baseline.

    Attributes:
        names: of variants; without any, nothing is profiled.
        expected_s: seconds that it is expected to take.
        hindrance: why nothing is profiled that should be.
    """

    names: tuple[str, ...] = ()
    expected_s: float = 0.0
    hindrance: str = ""

    @property
    def description(self) -> str:
        """What the plan says of it; empty where nothing is profiled."""
        if self.hindrance:
            return f"not profiled: {self.hindrance} (--shared-machine times all the same)"
        if not self.names:
            return ""
        return (f"then profiled in turns with {BASE} at {SHAPE}, {ROUNDS} rounds: {', '.join(self.names)}; expected "
                f"time: about {format_duration(self.expected_s)} (--no-latency leaves it out)")


def plan_profile(measured: Iterable[Variant], cases: Sequence[Case], times: ProfileTimes) -> PlannedProfile:
    """Choose which variants of those measured here are profiled: those that are not yet.

    Args:
        cases: of latencies, stored of the device.
        times: what a profile is expected to take.
    """
    pending = {variant.name: variant for variant in measured if not is_profiled(variant, cases)}
    if not pending:
        return PlannedProfile()
    in_turns = {BASE: get_variant(BASE), **pending}
    return PlannedProfile(tuple(pending), expect_profile_s(in_turns.values(), times, ROUNDS))


def list_measured_here(plan: EvaluationPlan) -> list[Variant]:
    """Return the variants that a plan measures, or of which it counts rows that were made on this machine.

    A variant that was only stored is left out, since its times belong to another machine, and so is a miniature, whose
    time says nothing of its authors' model.
    """
    specs = (planned.unit.spec for planned in plan.units)
    full = {spec.name for spec in specs if spec.codec == LEARNED and not spec.settings["miniature"]}
    if not full:
        return []

    keys = {key for planned in plan.units if planned.unit.spec.name in full for key in planned.keys.values()}
    machine = find_machine()
    here = {planned.unit.spec.name for planned in plan.pending}
    here |= {row.name for key, row in plan.stored.items() if key in keys and is_from(row, machine)}
    return [variant for name, variant in load_variants().items() if name in full & here]


def is_profiled(variant: Variant, cases: Iterable[Case]) -> bool:
    """Whether both directions of the variant's present model were timed at the usual size, with such weights."""
    lambda_, checkpoint = find_usual_weights(variant)
    wanted = {"model": variant.model, "options": variant.options_for(lambda_), **_identify_source(variant)}
    for case in cases:
        usual = case.conditions.is_usual and case.conditions.batch == 1 and case.configuration == DEFAULT
        if case.name != variant.name or not usual or len(case.measured_rows) < len(DIRECTIONS):
            continue
        identity = {key: case.any.identity.get(key) for key in wanted}
        if identity == wanted and case.any.weights == label_weights(lambda_, checkpoint):
            return True
    return False


def _identify_source(variant: Variant) -> dict[str, str]:
    if not is_import_path(variant.model):
        return {}
    from bench.models.own_models import source_sha256  # with torch, as the user's own module

    return {"source_sha256": source_sha256(variant.model)}
