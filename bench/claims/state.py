"""The state of verdicts and measurements: taken from rows, stored as the accepted one, read again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from bench.claims.cost_findings import is_harmless
from bench.claims.curves import Curves, image_arrays
from bench.claims.judgement import select_devices
from bench.claims.result import Judgement
from bench.common.errors import BenchError
from bench.common.folders import BASELINE
from bench.common.whole_files import write_whole
from bench.metrics.quality import METRICS, PSNR
from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import DIRECTIONS, Case, LatencySelection
from bench.results.schema import Count, Duration, Name, Number, StoredRow
from bench.results.stored import StoredResults

Table = tuple[tuple[Number, ...], ...]  # images by points


STATE_SCHEMA = 2


class CurveState(StoredRow, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True,
                 tag_field="schema", tag=STATE_SCHEMA):
    """Points of one codec on one dataset; values are (images, points)."""

    SCHEMA: ClassVar[int] = STATE_SCHEMA
    UNMARKED_SCHEMA: ClassVar[int | None] = 1

    dataset: Name
    name: Name
    label: Name
    points: tuple[Name, ...]
    images: tuple[Name, ...]
    bpp: Table
    quality: dict[Name, Table]  # metric to its qualities along the curve, where every image has them

    @property
    def key(self) -> tuple[str, ...]:
        return self.dataset, self.name

    @classmethod
    def upgrade(cls, values: dict[str, Any], schema: int) -> dict[str, Any]:
        """See :meth:`StoredRow.upgrade`; in schema 1 two qualities stood in fields of their own."""
        old = _without_none(values)
        quality = {name: old.pop(field) for field, name in (("psnr_rgb_db", "psnr"), ("ms_ssim_db", "ms-ssim"))
                   if field in old}
        return {**old, "quality": quality, "schema": STATE_SCHEMA}


class CostState(StoredRow, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True,
                tag_field="schema", tag=STATE_SCHEMA):
    """One direction of one case on one device."""

    SCHEMA: ClassVar[int] = STATE_SCHEMA
    UNMARKED_SCHEMA: ClassVar[int | None] = 1

    device: Name
    shape: Name
    setting: Name  # batch, image, threads, determinism
    name: Name
    configuration: Name
    direction: Name
    samples_s: tuple[Duration, ...]
    session: str = ""
    weights: str = ""
    warnings: tuple[str, ...] = ()  # what disturbed the measurement
    stages_s: dict[str, tuple[Duration, ...]] = {}
    peak_alloc_bytes: Count | None = None
    parameters: Count | None = None
    macs: Count | None = None

    @property
    def key(self) -> tuple[str, ...]:
        return self.device, self.shape, self.setting, self.name, self.configuration, self.direction

    @classmethod
    def upgrade(cls, values: dict[str, Any], schema: int) -> dict[str, Any]:
        """See :meth:`StoredRow.upgrade`; schema 1 had the same fields."""
        return {**_without_none(values), "schema": STATE_SCHEMA}


class VerdictState(StoredRow, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True,
                   tag_field="schema", tag=STATE_SCHEMA):
    """The verdict of one judgement."""

    SCHEMA: ClassVar[int] = STATE_SCHEMA
    UNMARKED_SCHEMA: ClassVar[int | None] = 1

    claim: Name
    place: str
    miniature: bool
    verdict: Name
    value: Number | None = None
    evidence: str = ""  # "published" where a claim is judged by published points, beside its rows

    @property
    def key(self) -> tuple[str, ...]:
        return self.claim, self.place, "miniature" if self.miniature else "", self.evidence

    @classmethod
    def upgrade(cls, values: dict[str, Any], schema: int) -> dict[str, Any]:
        """See :meth:`StoredRow.upgrade`; schema 1 had the same fields."""
        return {**_without_none(values), "schema": STATE_SCHEMA}


Entry = TypeVar("Entry", CurveState, CostState, VerdictState)


@dataclass(frozen=True)
class State:
    """Everything that is compared."""

    curves: dict[tuple[str, ...], CurveState]
    costs: dict[tuple[str, ...], CostState]
    verdicts: dict[tuple[str, ...], VerdictState]


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


STATE_FILES: dict[str, type[StoredRow]] = {"curves": CurveState, "costs": CostState, "verdicts": VerdictState}


def current_state(results: StoredResults, judgements: Iterable[Judgement]) -> State:
    """Return the state of the rows of ``results``."""
    curves = results.derive(Curves)
    found = [_curve(curves, dataset, name) for dataset in results.datasets
             for name in dict.fromkeys(row.name for row in results.rows(dataset))]
    costs = [cost for device, selection in select_devices(results).items() for cost in _costs(device, selection)]
    verdicts = [_verdict(one) for one in judgements]
    return State(_by_key(one for one in found if one is not None), _by_key(costs), _by_key(verdicts))


def _verdict(judgement: Judgement) -> VerdictState:
    evidence = "published" if judgement.evidence.startswith("published") else ""
    return VerdictState(claim=judgement.claim.name, place=judgement.place, miniature=judgement.miniature,
                        verdict=judgement.verdict, value=judgement.value, evidence=evidence)


def _by_key(entries: Iterable[Entry]) -> dict[tuple[str, ...], Entry]:
    return {one.key: one for one in entries}


def _curve(curves: Curves, dataset: str, name: str) -> CurveState | None:
    curve = curves.measured(dataset, name, PSNR.name).curve
    if curve is None:
        return None
    images = sorted(curve.images_with(PSNR.name))
    whole = [metric for metric in METRICS if curve.images_with(metric) >= set(images)]
    quality = {metric: image_arrays(curve, images, metric)[1].tolist() for metric in whole}
    return CurveState(dataset=dataset, name=name, label=curve.label, points=tuple(curve.meta["points"]),
                      images=tuple(images), bpp=image_arrays(curve, images, PSNR.name)[0].tolist(), quality=quality)


def _costs(device: str, selection: LatencySelection) -> Iterable[CostState]:
    for case in selection.cases:
        for direction in DIRECTIONS:
            row = case.measured(direction)
            if row is not None:
                yield _cost(device, case, row)


def _cost(device: str, case: Case, row: LatencyRow) -> CostState:
    conditions = case.conditions
    setting = f"batch {conditions.batch}, {conditions.image}, {conditions.threads} threads, " + (
        "deterministic" if conditions.deterministic else "any algorithm")
    warnings = [text for text in row.state.get("warnings", ()) if not is_harmless(text)]
    return CostState(
        device=device, shape=conditions.shape, setting=setting, name=case.name, configuration=case.configuration,
        direction=row.direction, samples_s=row.samples_s, session=row.session, weights=row.weights,
        warnings=tuple(warnings), stages_s=dict(row.stages_s), peak_alloc_bytes=row.peak_alloc_bytes,
        parameters=row.parameters, macs=row.macs)


def accept(state: State, results: Path) -> list[Path]:
    """Store ``state`` as the accepted one and return the files; each is replaced whole."""
    folder = Path(results) / BASELINE
    paths = []
    for name in STATE_FILES:
        entries = getattr(state, name)
        lines = [entries[key].to_json() for key in sorted(entries)]
        paths.append(folder / f"{name}.jsonl")
        write_whole(paths[-1], "".join(line + "\n" for line in lines))
    return paths


def accepted_state(results: Path) -> State | None:
    """Read the accepted state; None where none was ever accepted.

    Raises:
        BenchError: a file is missing or damaged.
    """
    folder = Path(results) / BASELINE
    if not folder.is_dir():
        return None
    return State(_by_key(_read_entries(folder / "curves.jsonl", CurveState)),
                 _by_key(_read_entries(folder / "costs.jsonl", CostState)),
                 _by_key(_read_entries(folder / "verdicts.jsonl", VerdictState)))


def _read_entries(path: Path, kind: type[Entry]) -> list[Entry]:
    hint = "restore it, or accept the present state: python -m bench claims --accept"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"can't read the accepted state {path.name}: {error}", hint) from None
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(kind.from_json(line))
        except ValueError as error:
            raise BenchError(f"{path.name}, line {number}, of the accepted state: {error}", hint) from None
    return entries
