"""Runs what a plan leaves to do and stores each row at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

from bench.common.text import format_duration
from bench.datasets.own_folders import hide_own_results
from bench.results.rows import OK, Row
from bench.results.store import Store
from bench.runners.engines.engine import Engine, TimedUnits
from bench.runners.engines.local import LocalEngine
from bench.runners.evaluate.expected import ExpectedUnit, RunForecast
from bench.runners.evaluate.plan import EvaluationPlan, PlannedUnit, leave_out_done
from bench.runners.evaluate.stopwatch import PARTS, describe_seconds
from bench.runners.evaluate.unit import Unit
from bench.runners.progress import Progress


def evaluate(plan: EvaluationPlan, store: Store, progress: Progress, engine: Engine | None = None, *,
             remeasure: bool = False, leave_claimed: bool = False) -> None:
    """Measure the plan's pending images, and say at the end what the time was spent on.

    A unit that another run is measuring is left to it and looked at again later; what it has measured is
    neither measured nor tried twice.

    Args:
        engine: that runs the units; processes of this machine unless given.
        leave_claimed: end when all that is left is held by other runs.

    Raises:
        BenchError: rows or files can't be written; what was stored stays.
    """
    engine = engine or LocalEngine(plan.jobs)
    units = _ClaimedUnits(plan, store, progress, remeasure, leave_claimed)
    hide_own_results(store.folder(plan.dataset.name), plan.dataset.name)
    start, spent = time.monotonic(), dict.fromkeys(PARTS, 0.0)
    with closing(engine.run_units(units)) as groups:
        for group in groups:
            store.append_all(row for _, row, _ in group)
            for _, row, seconds in group:
                for part, taken_s in seconds.items():
                    spent[part] += taken_s
                units.forecast.finish_image(row, seconds)
                progress.count_image(f"{row.name} {row.point} {row.image}")
    progress.print_line(f"took {format_duration(time.monotonic() - start)}: {describe_seconds(spent)}")


def stored_rows(plan: EvaluationPlan, store: Store) -> dict[str, list[Row]]:
    """Return the rows that count of each of the plan's series, in the dataset's order of images.

    They are read again only where the plan left something to measure.
    """
    rows = store.read(plan.dataset.name, machine=plan.machine) if plan.pending else plan.stored.values()
    by_key = {row.key: row for row in rows}
    return {planned.series.digest: [by_key[key] for key in planned.keys.values() if key in by_key]
            for planned in plan.units}


class _ClaimedUnits(TimedUnits):
    """Hands out the plan's pending units, those first that no other run holds."""

    def __init__(self, plan: EvaluationPlan, store: Store, progress: Progress, remeasure: bool,
                 leave_claimed: bool) -> None:
        super().__init__(planned.unit for planned in plan.pending)
        self._planned = {(planned.unit.spec.name, planned.unit.spec.point): planned for planned in plan.pending}
        self._machine, self._planned_with = plan.machine, plan.stored
        self._store, self._progress = store, progress
        self._remeasure, self._leave_claimed = remeasure, leave_claimed
        self._told: set[str] = set()
        self.forecast = RunForecast(progress.forecast,
                                    {unit: planned.expected for unit, planned in self._planned.items()})

    @property
    def waits_for_others(self) -> bool:
        return not self._leave_claimed

    def take(self, accepts: Callable[[Unit], bool] = lambda unit: True) -> Unit | None:
        for unit in list(filter(accepts, self._waiting)):
            planned = self._plan_of(unit)
            if not self._store.claim(unit.dataset, planned.series.digest):
                self._tell_once(planned)
                continue
            self._waiting.remove(unit)
            left = unit if self._remeasure else self._without_done(planned)
            if left.images:
                return left
            self.release(unit)
        return None

    def release(self, unit: Unit) -> None:
        self._store.release(unit.dataset, self._plan_of(unit).series.digest)

    def expect(self, unit: Unit) -> ExpectedUnit:
        return self._plan_of(unit).expected.narrow({image.name for image in unit.images})

    def share_among(self, workers: int) -> None:
        self.forecast.share_among(workers)

    def tell(self, text: str) -> None:
        self._progress.print_line(text)

    def _plan_of(self, unit: Unit) -> PlannedUnit:
        return self._planned[unit.spec.name, unit.spec.point]

    def _without_done(self, planned: PlannedUnit) -> Unit:
        """Leave out what another run has stored since the plan was made, failures too: they were tried just now."""
        unit = planned.unit
        rows = self._store.read(unit.dataset, unit.spec.name, machine=self._machine)
        by_key = {row.key: row for row in rows if row.status == OK or row != self._planned_with.get(row.key)}
        left = leave_out_done(unit, planned.keys, by_key, keep_failures=True)

        gone = {image.name for image in unit.images} - {image.name for image in left.images}
        self._progress.skip_images(len(gone))
        self.forecast.leave_out((unit.spec.name, unit.spec.point), gone)
        return left

    def _tell_once(self, planned: PlannedUnit) -> None:
        if planned.series.digest not in self._told:
            self._told.add(planned.series.digest)
            spec = planned.unit.spec
            what = "left to it" if self._leave_claimed else "left for later"
            self.tell(f"{spec.name} {spec.point}: another run is measuring it, {what}")
