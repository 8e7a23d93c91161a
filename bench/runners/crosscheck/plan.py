"""What a crosscheck has to encode and decode, and what of it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.codecs.base import CODECS, CodecSpec
from bench.common.text import align_columns, format_count, format_duration
from bench.datasets import Dataset
from bench.results.crosschecks import Crosscheck, crosscheck_key, read_crosschecks
from bench.results.decoding_settings import SAME, SETTINGS
from bench.results.machines import name_machine
from bench.results.store import Store
from bench.runners.crosscheck.exchange import CodedUnit
from bench.runners.crosscheck.options import find_format
from bench.runners.crosscheck.settings import ChosenSettings
from bench.runners.evaluate.expected import UnitTimes
from bench.runners.evaluate.plan import measure_megapixels
from bench.runners.evaluate.unit import Series, Unit, identify, name_images
from bench.runners.forecast import ELSEWHERE, Forecast, Kind
from bench.runners.machine import describe_machine

DECODINGS = 2.0  # that coding an image takes the time of, until more is known
START = Kind("start learned", "start", ELSEWHERE)
IMPORT_S, FORK_S = 3.0, 0.5  # until a server of processes forks, and until a process decodes


@dataclass(frozen=True)
class Origin:
    """Where files are coded.

    Attributes:
        folder: that holds them already; None where they are coded in this run.
    """

    machine: str
    setting: str = SAME
    folder: Path | None = None


@dataclass(frozen=True)
class PlannedUnit:
    """One codec at one rate point.

    Attributes:
        unit: how it runs here, with the images that have to be decoded under any setting.
        coded: what identifies it, with its files where these are there already.
        keys: image to its key, of all images.
        pending: setting to the names of images whose files have to be decoded under it.
        coding_s: image to the seconds that coding it is expected to take.
        kind: of that work.
    """

    unit: Unit
    coded: CodedUnit
    keys: Mapping[str, str]
    pending: Mapping[str, tuple[str, ...]]
    coding_s: Mapping[str, float]
    kind: Kind

    @property
    def decodings(self) -> int:
        """How many are left to do."""
        return sum(map(len, self.pending.values()))

    def name_decoding(self, setting: str) -> Kind:
        """The kind of work that decoding under a setting is: slow ones are slow for all codecs."""
        return Kind(f"{self.kind.name} on {setting}", setting, self.kind.source)


@dataclass(frozen=True)
class CrosscheckPlan:
    """Everything that a run decodes.

    Attributes:
        title: of the dataset.
        missing: what was wanted and is not here, a line each.
        complete: nothing of that was named by the user.
        exports: files are coded for another machine, and none decoded.
    """

    dataset: str
    title: str
    origin: Origin
    settings: ChosenSettings
    units: tuple[PlannedUnit, ...]
    missing: tuple[str, ...] = ()
    complete: bool = True
    exports: bool = False

    @property
    def pending(self) -> tuple[PlannedUnit, ...]:
        """The units that have anything to decode."""
        return tuple(planned for planned in self.units if planned.decodings)

    @property
    def decodings(self) -> int:
        """How many are left to do."""
        return sum(planned.decodings for planned in self.units)

    def make_forecast(self) -> Forecast:
        """Return a forecast of the run, of which nothing is done yet."""
        forecast = Forecast()
        if self.origin.folder is None:
            for planned in self.pending:
                forecast.expect(planned.kind, sum(planned.coding_s[image.name] for image in planned.unit.images))
        if self.exports:
            return forecast

        environments = {str(SETTINGS.get(name).environment) for planned in self.pending for name in planned.pending}
        forecast.expect(START, IMPORT_S * len(environments))
        for planned in self.pending:
            forecast.expect(START, FORK_S * len(planned.pending))
            for setting, images in planned.pending.items():
                planned_s = sum(planned.coding_s[image] for image in images) / DECODINGS
                forecast.expect(planned.name_decoding(setting), planned_s)
        return forecast


class Planner:
    """Compares what is wanted with what is stored.

    Args:
        store: with the rows of all datasets.
        dataset: its name.
        remeasure: decode even what is stored.
        device: that decoders run on usually.
    """

    def __init__(self, store: Store, dataset: str, origin: Origin, settings: Sequence[str], device: str, *,
                 remeasure: bool) -> None:
        self._origin = origin
        self._times = UnitTimes(store, store.read(dataset), device)
        self._machines = {name: name_device(SETTINGS.get(name).device or device) for name in settings}
        rows = [] if remeasure else read_crosschecks(store.root, dataset)
        self._stored = {(row.key, *row.crossing) for row in rows}

    def plan_unit(self, unit: Unit, coded: CodedUnit, megapixels: Mapping[str, float]) -> PlannedUnit:
        """Return what is left to do of a unit, all of whose images are given.

        Args:
            coded: what identifies it.
            megapixels: of each image.
        """
        keys = {image.name: crosscheck_key(coded.series, unit.dataset, image.name, image.sha256, exact=coded.exact,
                                           version=coded.format) for image in unit.images}
        pending = {}
        for setting, machine in self._machines.items():
            crossing = self._origin.machine, self._origin.setting, machine, setting
            left = tuple(name for name, key in keys.items() if (key, *crossing) not in self._stored)
            if left:
                pending[setting] = left

        wanted = {name for names in pending.values() for name in names}
        images = tuple(image for image in unit.images if image.name in wanted)
        expected = self._times.expect(unit.spec, megapixels, is_first=False)
        coding = {name: works[0] for name, works in expected.images.items()}
        return PlannedUnit(replace(unit, images=images), coded, keys, pending,
                           {name: work.planned_s for name, work in coding.items()},
                           next(iter(coding.values())).kind)


def plan_dataset(dataset: Dataset, specs: Iterable[CodecSpec], planner: Planner,
                 template: Unit) -> tuple[PlannedUnit, ...]:
    """Plan to encode and decode the images of a dataset with each of ``specs``.

    Args:
        template: a unit whose run-time options all units take.
    """
    chosen = name_images(dataset)
    sizes = {image.name: measure_megapixels(image) for image in chosen}
    units = (replace(template, spec=spec, dataset=dataset.name, images=chosen) for spec in specs)
    return tuple(planner.plan_unit(unit, describe_coding(unit.spec, identify(unit.spec)), sizes) for unit in units)


def describe_coding(spec: CodecSpec, series: Series) -> CodedUnit:
    """Return what identifies files of ``spec``, as yet none."""
    return CodedUnit(
        name=spec.name, point=spec.point, label=str(spec.settings.get("label", CODECS.get(spec.codec).label)),
        miniature=bool(spec.settings.get("miniature", False)), exact=bool(spec.settings.get("exact", False)),
        format=find_format(spec), identity=series.values, files=(),
    )


def find_rows(plan: CrosscheckPlan, rows: Iterable[Crosscheck]) -> list[Crosscheck]:
    """Return those of ``rows`` that a plan is about, in its order of codecs and settings."""
    order = {name: number for number, name in enumerate(plan.settings.names)}
    units = {key: number for number, planned in enumerate(plan.units) for key in planned.keys.values()}
    found = [row for row in rows if row.key in units and row.decoder_setting in order
             and (row.encoder_machine, row.encoder_setting) == (plan.origin.machine, plan.origin.setting)]
    return sorted(found, key=lambda row: (units[row.key], order[row.decoder_setting]))


def name_device(device: str) -> str:
    """Return what rows call this machine where they run on ``device``."""
    return name_machine(describe_machine(device, jobs=1, torch=None))


def describe_plan(plan: CrosscheckPlan) -> str:
    """Return the plan as text: what is left to decode of each codec, what is stored, and what is missing."""
    codecs: dict[str, list[PlannedUnit]] = {}
    for planned in plan.units:
        codecs.setdefault(planned.unit.spec.name, []).append(planned)
    pending = {name: units for name, units in codecs.items() if any(planned.decodings for planned in units)}

    lines = [f"plan for {plan.title}: {_describe_work(plan)}"]
    if pending:
        lines += align_columns([("codec", "rate points", "stored", "to encode" if plan.exports else "to decode"),
                                *(_describe_codec(name, units, plan) for name, units in pending.items())])
    stored = sum(len(planned.keys) * len(plan.settings.names) - planned.decodings for planned in plan.units)
    lines.append(f"stored: {format_count(stored, 'row')}")
    lines += [f"not here: {name}: {reason}" for name, reason in plan.settings.missing.items()]
    lines += [f"missing: {text}" for text in plan.missing]
    lines.append(f"expected time: about {format_duration(plan.make_forecast().left_s())}" if pending
                 else "everything is stored already, nothing to run")
    return "\n".join(lines)


def _describe_work(plan: CrosscheckPlan) -> str:
    if plan.exports:
        return f"files for another machine, encoded on {plan.origin.setting}"
    source = f"encoded on {plan.origin.setting}" if plan.origin.folder is None else "of an export"
    return f"files {source}, decoded on {', '.join(plan.settings.names)}"


def _describe_codec(name: str, units: Sequence[PlannedUnit], plan: CrosscheckPlan) -> tuple[str, ...]:
    points = " ".join(planned.unit.spec.point for planned in units)
    left = sum(planned.decodings for planned in units)
    stored = sum(len(planned.keys) * len(plan.settings.names) for planned in units) - left
    return name, points, str(stored), str(left)
