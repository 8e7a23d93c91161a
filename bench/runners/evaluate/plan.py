"""What a run would do: what is stored, what has to be measured, what is missing, how long it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.codecs.base import CodecSpec, Preview
from bench.common.errors import ImageError
from bench.common.text import align_columns, format_count, format_duration
from bench.datasets import Dataset
from bench.datasets.images import image_size
from bench.metrics.quality import available_metrics
from bench.results.machines import Machine, find_machine, keep_from
from bench.results.rows import OK, Row, row_key
from bench.results.store import Store
from bench.runners.evaluate.expected import ExpectedUnit, UnitTimes
from bench.runners.evaluate.previews import describe_preview, preview_codecs
from bench.runners.evaluate.selection import Missing, describe_missing
from bench.runners.evaluate.unit import Series, Unit, UnitImage, identify, name_images
from bench.runners.forecast import Forecast


@dataclass(frozen=True)
class PlannedUnit:
    """One unit of work and its state.

    Attributes:
        unit: with the images that have to be measured.
        series: what identifies its rows.
        keys: name of each image, measured or not, to the key of its row.
        cached: images whose rows are stored.
        expected: what the rest is expected to take, alone on the machine.
        preview: what can be told of the codec, if there is anything to measure.
    """

    unit: Unit
    series: Series
    keys: Mapping[str, str]
    cached: int
    expected: ExpectedUnit
    preview: Preview = Preview()


@dataclass(frozen=True)
class EvaluationPlan:
    """All units of one dataset.

    Attributes:
        missing: what was wanted and can't run here.
        machine: only rows made there count as stored.
        stored: key to row of everything of the dataset that counts as stored.
    """

    dataset: Dataset
    units: tuple[PlannedUnit, ...]
    missing: tuple[Missing, ...]
    jobs: int = 1
    machine: Machine | None = None
    stored: Mapping[str, Row] = field(default_factory=dict)

    @property
    def pending(self) -> tuple[PlannedUnit, ...]:
        """The units that have anything to measure."""
        return tuple(planned for planned in self.units if planned.unit.images)

    @property
    def images_to_run(self) -> int:
        """How many images have to be measured or scored, over all units."""
        return sum(len(planned.unit.images) for planned in self.units)

    @property
    def expected_s(self) -> float:
        """Seconds that the run is expected to take."""
        return self.make_forecast().left_s()

    def make_forecast(self) -> Forecast:
        """Return a forecast of the run, of which nothing is done yet."""
        forecast = Forecast(max(1, min(self.jobs, len(self.pending))))
        for planned in self.pending:
            planned.expected.enter(forecast)
        return forecast


def make_plan(dataset: Dataset, specs: Iterable[CodecSpec], missing: Sequence[Missing], store: Store,
              template: Unit, *, remeasure: bool = False, keep_failures: bool = False,
              here: bool = False) -> EvaluationPlan:
    """Compare what is wanted with what is stored.

    Args:
        template: a unit whose run-time options (device, threads, jobs, ...) all units take.
        remeasure: measure even what is stored.
        keep_failures: let stored failures stand instead of trying them again.
        here: rows of other machines don't count as stored.
    """
    machine = find_machine() if here else None
    stored = store.read(dataset.name)
    by_key = {row.key: row for row in keep_from(stored, machine)}
    counted = {} if remeasure else by_key
    images = name_images(dataset)
    sizes = {image.name: measure_megapixels(image) for image in images}
    times = UnitTimes(store, stored, template.device)
    stored_metrics = _metrics_by_series(stored)
    built = {row.series for row in stored if row.status == OK}

    units: list[PlannedUnit] = []
    for spec in specs:
        series = identify(spec)
        whole = replace(template, spec=spec, dataset=dataset.name, dataset_total=dataset.total, images=images,
                        series=series)
        keys = {image.name: row_key(series.digest, dataset.name, image.name, image.sha256) for image in images}
        unit = leave_out_done(whole, keys, counted, keep_failures=keep_failures)
        unit = replace(unit, stored_metrics=stored_metrics.get(series.digest, ()))
        started = sum(1 for planned in units if planned.unit.images)
        expected = times.expect(spec, {image.name: sizes[image.name] for image in unit.images},
                                is_first=started < template.jobs)
        units.append(PlannedUnit(unit, series, keys, len(images) - len(unit.images), expected,
                                 Preview(series.fault)))

    new = [number for number, planned in enumerate(units)
           if planned.unit.images and planned.series.fault is None and planned.series.digest not in built]
    for number, preview in zip(new, preview_codecs([units[number].unit.spec for number in new])):
        units[number] = replace(units[number], preview=preview)
    return EvaluationPlan(dataset, tuple(units), tuple(missing), template.jobs, machine, by_key)


def _metrics_by_series(rows: Iterable[Row]) -> dict[str, tuple[str, ...]]:
    """Return for each series the metrics that any of its rows holds and that can be computed here."""
    held: dict[str, set[str]] = {}
    for row in rows:
        held.setdefault(row.series, set()).update(row.quality)

    available = available_metrics()
    return {series: tuple(name for name in available if name in names) for series, names in held.items()}


def leave_out_done(unit: Unit, keys: Mapping[str, str], by_key: Mapping[str, Row], *, keep_failures: bool) -> Unit:
    """Return ``unit`` with the images that still have to be measured, or that lack a wanted metric.

    Those that failed before come last: what one does to the process, or the machine, costs no other its turn.

    Args:
        keys: name of an image to the key of its row.
        by_key: what is stored.
        keep_failures: let stored failures stand instead of trying them again.
    """
    images, failed, lacking = [], [], {}
    for image in unit.images:
        row = by_key.get(keys[image.name])
        if row is None:
            images.append(image)
        elif row.status != OK:
            failed.append(image)
        elif row.lacks(unit.metrics):
            images.append(image)
            lacking[image.name] = row
    return replace(unit, images=(*images, *([] if keep_failures else failed)), stored=lacking)


def describe_plan(plan: EvaluationPlan) -> str:
    """Return the plan as text: what is to run, a line a codec, and in one line each what is stored and missing."""
    codecs: dict[str, list[PlannedUnit]] = {}
    for planned in plan.units:
        codecs.setdefault(planned.unit.spec.name, []).append(planned)
    pending = {name: units for name, units in codecs.items() if any(planned.unit.images for planned in units)}

    lines = [f"plan for {plan.dataset.title}: {plan.dataset.coverage}"]
    if pending:
        lines += align_columns([("codec", "rate points", "stored", "to run", "expected"),
                                *(_describe_codec(name, units) for name, units in pending.items())])
    stored = [units for name, units in codecs.items() if name not in pending]
    if stored:
        images = sum(planned.cached for units in stored for planned in units)
        lines.append(f"stored: {format_count(len(stored), 'codec')}, {images:,} images")
    lines += [f"missing: {text}" for text in describe_missing(plan.missing)]
    for planned in plan.pending:
        lines += describe_preview(f"{planned.unit.spec.name} {planned.unit.spec.point}", planned.preview)
    at_a_time = f", {plan.jobs} units at a time" if plan.jobs > 1 else ""
    lines.append(f"expected time: about {format_duration(plan.expected_s)}{at_a_time}" if pending
                 else "everything is stored already, nothing to run")
    return "\n".join(lines)


def _describe_codec(name: str, units: Sequence[PlannedUnit]) -> tuple[str, ...]:
    to_run = sum(len(planned.unit.images) for planned in units)
    to_score = sum(len(planned.unit.stored) for planned in units)
    lacking = f" ({to_score} of them stored, but lacking a metric)" if to_score else ""
    points = " ".join(planned.unit.spec.point for planned in units)
    stored = sum(planned.cached for planned in units)
    return (name, points, str(stored), f"{to_run}{lacking}",
            format_duration(sum(planned.expected.seconds for planned in units)))


def measure_megapixels(image: UnitImage) -> float:
    """Return an image's size from its header; an unreadable one fails at once and takes no time."""
    try:
        width, height = image_size(image.path)
    except ImageError:
        return 0.0
    return width * height / 1e6
