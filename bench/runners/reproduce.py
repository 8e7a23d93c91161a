"""Measures a sample of stored rows again on this machine, and compares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from bench.codecs.base import CODECS, CodecSpec
from bench.common.errors import ConfigurationError
from bench.common.files import file_name
from bench.common.hashing import digest_json
from bench.datasets import Dataset
from bench.datasets.own_folders import hide_own_results
from bench.metrics.quality import available_metrics
from bench.results.machines import find_machine, is_from
from bench.results.reproductions import FOLDER, Reproduction, compare_rows, store_reproduction
from bench.results.rows import OK, Row
from bench.results.store import Store
from bench.runners.evaluate.engine import Units, run_units
from bench.runners.evaluate.expected import RunForecast
from bench.runners.evaluate.plan import EvaluationPlan, PlannedUnit, make_plan
from bench.runners.evaluate.selection import Missing
from bench.runners.evaluate.unit import LIBRARY_VERSIONS, Unit
from bench.runners.progress import Progress

Rows = dict[tuple[str, str], list[Row]]  # of each codec and rate point


@dataclass(frozen=True)
class Sample:
    """What is measured again of one codec at one rate point.

    Attributes:
        planned: with the chosen images only.
        rows: the stored row of each of these.
        versions: of the codec, stored and here, where they are not the same.
    """

    planned: PlannedUnit
    rows: Mapping[str, Row]
    versions: str = ""


@dataclass(frozen=True)
class ReproductionPlan:
    """What is measured again.

    Attributes:
        evaluation: all units, as a run of `evaluate`.
        samples: by codec and rate point.
        left_out: what is stored and can't be compared, and why.
    """

    evaluation: EvaluationPlan
    samples: Mapping[tuple[str, str], Sample]
    left_out: tuple[str, ...]


def plan_reproduction(dataset: Dataset, specs: Sequence[CodecSpec], missing: Iterable[Missing], store: Store,
                      template: Unit, images: int) -> ReproductionPlan:
    """Choose stored rows of each codec and rate point: the same ones each time, of other pictures at each point.

    Rows of other machines come first. Failures are passed over, and rows of pictures that are not here.

    Args:
        template: a unit whose run-time options all units take.
        images: how many of each series.

    Raises:
        ConfigurationError: nothing that is stored can be measured again.
    """
    stored = _read_measured(store, dataset.name)
    names = {name for name, _ in stored}
    wanted = [spec for spec in specs if (spec.name, spec.point) in stored]
    lacking = [one for one in missing if one.named or one.what in names]
    whole = make_plan(dataset, wanted, lacking, store, template, remeasure=True)

    samples, left_out = {}, []
    for planned in whole.units:
        point = planned.unit.spec.name, planned.unit.spec.point
        sample = _choose_sample(planned, stored[point], images)
        if sample is None:
            left_out.append(f"{' '.join(point)}: its stored rows are of other weights, settings or pictures than here")
        else:
            samples[point] = sample
    if not samples:
        reasons = [*left_out, *(f"{one.what}: {one.reason}" for one in lacking)]
        raise ConfigurationError(f"nothing that is stored of '{dataset.name}' can be measured again here",
                                 "\n  ".join(reasons) or "python -m bench results list shows what is stored")
    units = tuple(sample.planned for sample in samples.values())
    return ReproductionPlan(replace(whole, units=units), samples, tuple(left_out))


def _read_measured(store: Store, dataset: str) -> Rows:
    rows: Rows = {}
    for row in store.read_of_every_machine(dataset):
        if row.status == OK:
            rows.setdefault((row.name, row.point), []).append(row)
    return rows


def _choose_sample(planned: PlannedUnit, stored: Sequence[Row], images: int) -> Sample | None:
    """Return rows of the version that is here, else of another one; None where none is of the same measurement."""
    here, files = find_machine(), {image.name: image for image in planned.unit.images}
    for versions, rows in sorted(_group_by_version(planned, stored).items()):
        by_image = {row.image: row for row in sorted(rows, key=lambda row: not is_from(row, here))
                    if row.image in files and row.image_sha256 == files[row.image].sha256}
        order = sorted(by_image, key=lambda name: (is_from(by_image[name], here), _draw(by_image[name])))
        chosen = {name: by_image[name] for name in order[:images]}
        if chosen:
            return Sample(_narrow(planned, chosen, len(by_image)), chosen, versions)
    return None


def _draw(row: Row) -> str:
    """A number that nothing but a row's series and image decide."""
    return digest_json({"name": row.name, "point": row.point, "image": row.image})


def _group_by_version(planned: PlannedUnit, stored: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of the same measurement but for versions of libraries, which "" says are the same."""
    groups: dict[str, list[Row]] = {}
    for row in stored:
        versions = _compare_identities(row.identity, planned.series.values)
        if versions is not None:
            groups.setdefault(versions, []).append(row)
    return groups


def _compare_identities(stored: Mapping[str, Any], here: Mapping[str, Any]) -> str | None:
    """Name the versions that two identities differ in; None where they differ in more."""
    differing = [name for name in {**stored, **here} if stored.get(name) != here.get(name)]
    if not set(differing) <= set(LIBRARY_VERSIONS):
        return None
    return "; ".join(f"{stored.get(name)}, here {here.get(name)}" for name in differing)


def _narrow(planned: PlannedUnit, chosen: Mapping[str, Row], stored: int) -> PlannedUnit:
    """The unit with ``chosen`` images, with the metrics that their rows have, and on as many threads.

    Threads divide sums, so that their number moves last bits as another machine does.
    """
    held = {name for row in chosen.values() for name in row.quality}
    images = tuple(image for image in planned.unit.images if image.name in chosen)
    threads = planned.unit.threads
    if threads is None:
        threads = next(row.provenance.threads for row in chosen.values())
    unit = replace(planned.unit, images=images, stored_metrics=(), threads=threads,
                   metrics=tuple(name for name in available_metrics() if name in held))
    return replace(planned, unit=unit, cached=stored, expected=planned.expected.narrow(set(chosen)))


def reproduce(plan: ReproductionPlan, store: Store, progress: Progress) -> Iterator[Reproduction]:
    """Measure the samples, and store and yield how each row compares.

    Raises:
        BenchError: rows or files can't be written; what was stored stays.
    """
    dataset = plan.evaluation.dataset.name
    hide_own_results(store.root / FOLDER / file_name(dataset), dataset)
    units = Units(sample.planned.unit for sample in plan.samples.values())
    forecast = RunForecast(progress.forecast, {unit: sample.planned.expected for unit, sample in plan.samples.items()})
    with closing(run_units(units, plan.evaluation.jobs)) as measured:
        for _, row, seconds in measured:
            sample = plan.samples[row.name, row.point]
            found = compare_rows(sample.rows[row.image], row, exact=not CODECS.get(row.codec).uses_torch,
                                 versions=sample.versions)
            store_reproduction(store.root, found)
            forecast.finish_image(row, seconds)
            progress.count_image(found.what)
            yield found
