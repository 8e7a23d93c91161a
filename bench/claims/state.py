"""The state of verdicts and measurements: taken from rows, stored as the accepted one, read again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bench.claims.cost_findings import is_harmless
from bench.claims.curves import Curves, image_arrays
from bench.claims.judgement import device_selections
from bench.claims.result import Judgement
from bench.common.errors import BenchError
from bench.common.folders import BASELINE
from bench.common.whole_files import write_whole
from bench.results.latency_selection import DIRECTIONS, Case, LatencySelection

T = TypeVar("T")


@dataclass(frozen=True)
class CurveState:
    """Points of one codec on one dataset; values are (images, points)."""

    dataset: str
    name: str
    label: str
    points: list[str]
    images: list[str]
    bpp: list[list[float]]
    psnr_rgb_db: list[list[float]]
    ms_ssim_db: list[list[float]] | None = None  # where every image has it

    @property
    def key(self) -> tuple[str, ...]:
        return self.dataset, self.name


@dataclass(frozen=True)
class CostState:
    """One direction of one case on one device."""

    device: str
    shape: str
    setting: str  # batch, image, threads, determinism
    name: str
    configuration: str
    direction: str
    samples_s: list[float]
    session: str = ""
    weights: str = ""
    warnings: list[str] = field(default_factory=list)  # what disturbed the measurement
    stages_s: dict[str, list[float]] = field(default_factory=dict)
    peak_alloc_bytes: int | None = None
    parameters: int | None = None
    macs: int | None = None

    @property
    def key(self) -> tuple[str, ...]:
        return self.device, self.shape, self.setting, self.name, self.configuration, self.direction


@dataclass(frozen=True)
class VerdictState:
    """The verdict of one judgement."""

    claim: str
    place: str
    miniature: bool
    verdict: str
    value: float | None = None
    evidence: str = ""  # "published" where a claim is judged by published points, beside its rows

    @property
    def key(self) -> tuple[str, ...]:
        return self.claim, self.place, "miniature" if self.miniature else "", self.evidence


@dataclass(frozen=True)
class State:
    """Everything that is compared."""

    curves: dict[tuple[str, ...], CurveState]
    costs: dict[tuple[str, ...], CostState]
    verdicts: dict[tuple[str, ...], VerdictState]


FILES = {"curves": CurveState, "costs": CostState, "verdicts": VerdictState}


def current_state(results: Path, judgements: Iterable[Judgement]) -> State:
    """Return the state of the rows under ``results``."""
    curves = Curves(results)
    files = [path for path in sorted(Path(results).glob("*/*.jsonl")) if path.parent.name != BASELINE]
    found = [_curve(curves, path.parent.name, path.stem) for path in files]
    costs = [cost for device, selection in device_selections(results).items() for cost in _costs(device, selection)]
    verdicts = [VerdictState(one.claim.name, one.place, one.miniature, one.verdict, one.value,
                             "published" if one.evidence.startswith("published") else "") for one in judgements]
    return State(_by_key(one for one in found if one is not None), _by_key(costs), _by_key(verdicts))


def _by_key(entries: Iterable[T]) -> dict[tuple[str, ...], T]:
    return {one.key: one for one in entries}


def _curve(curves: Curves, dataset: str, name: str) -> CurveState | None:
    curve = curves.measured(dataset, name).curve
    if curve is None:
        return None
    images = sorted(curve.images_with("psnr"))
    rates, qualities = image_arrays(curve, images)
    whole = curve.images_with("ms-ssim") >= set(images)
    return CurveState(dataset, name, curve.label, list(curve.meta["points"]), images, rates.tolist(),
                      qualities.tolist(), image_arrays(curve, images, "ms-ssim")[1].tolist() if whole else None)


def _costs(device: str, selection: LatencySelection) -> Iterable[CostState]:
    for case in selection.cases:
        for direction in DIRECTIONS:
            if case.measured(direction) is not None:
                yield _cost(device, case, direction)


def _cost(device: str, case: Case, direction: str) -> CostState:
    row, conditions = case.measured(direction), case.conditions
    setting = f"batch {conditions.batch}, {conditions.image}, {conditions.threads} threads, " + (
        "deterministic" if conditions.deterministic else "any algorithm")
    warnings = [text for text in row.state.get("warnings", ()) if not is_harmless(text)]
    return CostState(device, conditions.shape, setting, case.name, case.configuration, direction, list(row.samples_s),
                     row.session, row.weights, warnings, dict(row.stages_s), row.peak_alloc_bytes, row.parameters,
                     row.macs)


def accept(state: State, results: Path) -> list[Path]:
    """Store ``state`` as the accepted one and return the files; each is replaced whole."""
    folder = Path(results) / BASELINE
    paths = []
    for name in FILES:
        entries = getattr(state, name)
        lines = [json.dumps(asdict(entries[key]), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
                 for key in sorted(entries)]
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
    return State(**{name: _by_key(_entries(folder / f"{name}.jsonl", kind)) for name, kind in FILES.items()})


def _entries(path: Path, kind: type[T]) -> list[T]:
    hint = "restore it, or accept the present state: python -m bench claims --accept"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"can't read the accepted state {path.name}: {error}", hint) from None
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            values: Any = json.loads(line)
            entries.append(kind(**values))
        except (ValueError, TypeError) as error:
            raise BenchError(f"{path.name}, line {number}, of the accepted state: {error}", hint) from None
    return entries
