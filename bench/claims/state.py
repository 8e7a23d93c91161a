"""The state of verdicts and measurements: taken from rows, stored as the accepted one, read again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from bench.claims.cost_findings import find_disturbances
from bench.claims.curves import Curves
from bench.claims.judgement import select_devices
from bench.claims.result import Judgement
from bench.common.errors import BenchError
from bench.common.files import write_whole
from bench.common.folders import BASELINE
from bench.datasets.own_folders import is_own_folder
from bench.metrics.quality import METRICS, PSNR
from bench.metrics.statistics.verdicts import VERDICTS
from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import Case
from bench.results.schema import Count, Name, Number, Positive, StoredRow
from bench.results.store import read_rows
from bench.results.stored import StoredResults

Table = tuple[tuple[Number, ...], ...]  # images by points
Key = tuple[str, ...]


class StateEntry(StoredRow, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True,
                 tag_field="schema", tag=StoredRow.SCHEMA):
    """One line of the accepted state; lines of schema 1 did not say so, and had the same fields but for curves."""

    UNMARKED_SCHEMA: ClassVar[int | None] = 1

    @property
    def key(self) -> Key:
        """What tells it from the other entries of its kind."""
        raise NotImplementedError


class CurveState(StateEntry, frozen=True, kw_only=True):
    """Points of one codec on one dataset; values are (images, points)."""

    dataset: Name
    name: Name
    label: Name
    points: tuple[Name, ...]
    images: tuple[Name, ...]
    bpp: tuple[tuple[Positive, ...], ...]  # images by points
    quality: dict[Name, Table]  # metric to its qualities along the curve, where every image has them

    @property
    def key(self) -> Key:
        return self.dataset, self.name

    @classmethod
    def upgrade(cls, values: dict[str, Any]) -> dict[str, Any]:
        """See :meth:`StoredRow.upgrade`; in schema 1 two qualities stood in fields of their own."""
        fields = {"psnr_rgb_db": "psnr", "ms_ssim_db": "ms-ssim"}
        quality = {name: values.pop(field) for field, name in fields.items() if field in values}
        return {**values, "quality": quality}

    def require_sense(self) -> None:
        """See :meth:`StoredRow.require_sense`: every table has a row for each image and a column for each point."""
        for field, table in (("bpp", self.bpp), *((f"quality.{name}", table) for name, table in self.quality.items())):
            if [len(row) for row in table] != [len(self.points)] * len(self.images):
                raise ValueError(f"field '{field}': not {len(self.images)} images by {len(self.points)} points")


class CostState(StateEntry, frozen=True, kw_only=True):
    """One direction of one case on one device."""

    device: Name
    shape: Name
    setting: Name  # batch, image, threads, determinism
    name: Name
    configuration: Name
    direction: Name
    samples_s: tuple[Positive, ...]
    session: str = ""
    weights: str = ""
    warnings: tuple[str, ...] = ()  # what disturbed the measurement
    stages_s: dict[str, tuple[Number, ...]] = {}
    peak_alloc_bytes: Count | None = None
    parameters: Count | None = None
    macs: Count | None = None

    @property
    def key(self) -> Key:
        return self.device, self.shape, self.setting, self.name, self.configuration, self.direction


class VerdictState(StateEntry, frozen=True, kw_only=True):
    """The verdict of one judgement."""

    claim: Name
    place: str
    miniature: bool
    verdict: str
    value: Number | None = None
    evidence: str = ""  # "published" where a claim is judged by published points, beside its rows

    @property
    def key(self) -> Key:
        return self.claim, self.place, "miniature" if self.miniature else "", self.evidence

    def require_sense(self) -> None:
        """See :meth:`StoredRow.require_sense`: the verdict is one of those that claims get."""
        if self.verdict not in VERDICTS:
            raise ValueError(f"field 'verdict': '{self.verdict}' is none of {', '.join(VERDICTS)}")


Entry = TypeVar("Entry", bound=StateEntry)
STATE_FILES: dict[str, type[StateEntry]] = {"curves": CurveState, "costs": CostState, "verdicts": VerdictState}


@dataclass(frozen=True)
class State:
    """Everything that is compared."""

    curves: dict[Key, CurveState]
    costs: dict[Key, CostState]
    verdicts: dict[Key, VerdictState]


def collect_current_state(results: StoredResults, judgements: Iterable[Judgement]) -> State:
    """Return the state of the rows of ``results``, folders of the user's own left out.

    Args:
        judgements: of all claims, by these rows.

    Raises:
        BenchError: a file of rows is damaged.
    """
    curves = results.derive(Curves)
    found = [_summarise_curve(curves, dataset, name) for dataset in results.datasets if not is_own_folder(dataset)
             for name in dict.fromkeys(row.name for row in results.rows(dataset))]
    costs = [_summarise_cost(device, case, row) for device, selection in select_devices(results).items()
             for case in selection.cases for row in case.measured_rows]
    return State(_index_by_key(curve for curve in found if curve is not None), _index_by_key(costs),
                 _index_by_key(map(_summarise_judgement, judgements)))


def _index_by_key(entries: Iterable[Entry]) -> dict[Key, Entry]:
    return {entry.key: entry for entry in entries}


def _summarise_curve(curves: Curves, dataset: str, name: str) -> CurveState | None:
    curve = curves.find_measured(dataset, name, PSNR.name).curve
    if curve is None:
        return None

    images = sorted(curve.images_with(PSNR.name))
    whole = [metric for metric in METRICS if curve.images_with(metric) >= set(images)]
    quality = {metric: curve.stack_images(images, metric)[1].tolist() for metric in whole}
    return CurveState(dataset=dataset, name=name, label=curve.label, points=tuple(curve.meta["points"]),
                      images=tuple(images), bpp=curve.stack_images(images, PSNR.name)[0].tolist(), quality=quality)


def _summarise_cost(device: str, case: Case, row: LatencyRow) -> CostState:
    conditions = case.conditions
    algorithms = "deterministic" if conditions.deterministic else "any algorithm"
    return CostState(
        device=device, shape=conditions.shape, name=case.name, configuration=case.configuration,
        setting=f"batch {conditions.batch}, {conditions.image}, {conditions.threads} threads, {algorithms}",
        direction=row.direction, samples_s=row.samples_s, session=row.session, weights=row.weights,
        warnings=tuple(find_disturbances([row])), stages_s=dict(row.stages_s), peak_alloc_bytes=row.peak_alloc_bytes,
        parameters=row.parameters, macs=row.macs)


def _summarise_judgement(judgement: Judgement) -> VerdictState:
    evidence = "published" if judgement.evidence.startswith("published") else ""
    return VerdictState(claim=judgement.claim.name, place=judgement.place, miniature=judgement.miniature,
                        verdict=judgement.verdict, value=judgement.value, evidence=evidence)


def store_accepted_state(state: State, results: Path) -> list[Path]:
    """Store ``state`` as the accepted one and return the files; each is replaced whole."""
    paths = []
    for name in STATE_FILES:
        entries = getattr(state, name)
        path = results / BASELINE / f"{name}.jsonl"
        write_whole(path, "".join(f"{entries[key].to_json()}\n" for key in sorted(entries)))
        paths.append(path)
    return paths


def read_accepted_state(results: Path) -> State | None:
    """Read the accepted state; None where none was ever accepted.

    Raises:
        BenchError: a file is missing or damaged; the message names file, line and field.
    """
    folder = results / BASELINE
    if not folder.is_dir():
        return None
    curves = _read_entries(folder / "curves.jsonl", CurveState)
    shared = {key: curve for key, curve in curves.items() if not is_own_folder(curve.dataset)}
    return State(shared, _read_entries(folder / "costs.jsonl", CostState),
                 _read_entries(folder / "verdicts.jsonl", VerdictState))


def _read_entries(path: Path, kind: type[Entry]) -> dict[Key, Entry]:
    try:
        return _index_by_key(read_rows(path, kind))
    except BenchError as error:
        error.hint = "restore it, or accept the present state: python -m bench claims --accept"
        raise
