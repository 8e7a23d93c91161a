"""Runs what a plan leaves to do and stores each row at once."""

from __future__ import annotations

from contextlib import closing

from bench.results.rows import Row
from bench.results.store import Store
from bench.runners.evaluate.engine import run_units
from bench.runners.evaluate.plan import EvaluationPlan, PlannedUnit, leave_out_done
from bench.runners.evaluate.unit import Unit
from bench.runners.progress import Progress


def evaluate(plan: EvaluationPlan, store: Store, progress: Progress, *, remeasure: bool = False,
             keep_failures: bool = False) -> None:
    """Measure the plan's pending images.

    A unit that another run is measuring is left to it and looked at again later; what it has measured is
    not measured twice.

    Raises:
        BenchError: rows or files can't be written; what was stored stays.
    """
    units = _ClaimedUnits(plan, store, progress, remeasure, keep_failures)
    with closing(run_units(units, plan.jobs)) as rows:
        for unit, row in rows:
            store.append(row)
            progress.count_image(f"{row.name} {row.point} {row.image}", units.expected_s(unit))


def stored_rows(plan: EvaluationPlan, store: Store) -> dict[str, list[Row]]:
    """Return the stored rows of each of the plan's series, in the dataset's order of images."""
    by_key = {row.key: row for row in store.read(plan.dataset.name)}
    return {planned.series.digest: [by_key[key] for key in planned.keys if key in by_key]
            for planned in plan.units}


class _ClaimedUnits:
    """Hands out the plan's pending units, those first that no other run holds."""

    def __init__(self, plan: EvaluationPlan, store: Store, progress: Progress, remeasure: bool,
                 keep_failures: bool) -> None:
        self._waiting = list(plan.pending)
        self._taken: dict[tuple[str, str], PlannedUnit] = {}
        self._jobs = plan.jobs
        self._store, self._progress = store, progress
        self._remeasure, self._keep_failures = remeasure, keep_failures
        self._told: set[str] = set()

    @property
    def exhausted(self) -> bool:
        return not self._waiting

    def take(self) -> Unit | None:
        for planned in list(self._waiting):
            unit, series = planned.unit, planned.series.digest
            if not self._store.claim(unit.dataset, series):
                self._tell(planned)
                continue
            self._waiting.remove(planned)
            left = unit if self._remeasure else self._without_done(planned)
            if left.images:
                self._taken[unit.spec.name, unit.spec.point] = planned
                return left
            self._store.release(unit.dataset, series)
        return None

    def release(self, unit: Unit) -> None:
        planned = self._taken[unit.spec.name, unit.spec.point]
        self._store.release(unit.dataset, planned.series.digest)

    def expected_s(self, unit: Unit) -> float:
        """Return what one image of ``unit`` was expected to take, shared among the jobs."""
        planned = self._taken[unit.spec.name, unit.spec.point]
        return planned.expected_s / len(planned.unit.images) / self._jobs

    def _without_done(self, planned: PlannedUnit) -> Unit:
        """Leave out what another run has stored since the plan was made."""
        unit = planned.unit
        by_key = {row.key: row for row in self._store.read(unit.dataset, unit.spec.name)}
        left = leave_out_done(unit, planned.series, by_key, keep_failures=self._keep_failures)

        gone = len(unit.images) - len(left.images)
        self._progress.skip_images(gone, gone * planned.expected_s / len(unit.images) / self._jobs)
        return left

    def _tell(self, planned: PlannedUnit) -> None:
        if planned.series.digest not in self._told:
            self._told.add(planned.series.digest)
            spec = planned.unit.spec
            self._progress.print_line(f"{spec.name} {spec.point}: another run is measuring it, left for later")
