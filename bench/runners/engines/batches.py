"""Batches: what one job of a cluster measures, made of units and of parts of them by the time that they should take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from bench.common.errors import BenchError
from bench.common.files import reading, write_whole, writing
from bench.common.hashing import digest_json
from bench.runners.evaluate.expected import ExpectedUnit
from bench.runners.evaluate.unit import Unit
from bench.runners.nodes.files import NeededFile
from bench.runners.nodes.unit_json import decode_unit, encode_unit
from bench.runners.nodes.worker import Expectation


@dataclass(frozen=True)
class Batch:
    """What one job measures, and what it has to know of its run.

    Attributes:
        name: of the batch, unique within its run.
        units: with the images that are measured.
        shard: file that the job appends its rows to; no other writes there.
        engine: "slurm", "ray": rows say it.
        attempt: the how-manieth time the batch is tried, from 1 on.
        expected: of the worker, or it measures nothing; None where any will do.
        files: that the units name.
    """

    name: str
    units: tuple[Unit, ...]
    shard: str
    engine: str
    attempt: int = 1
    expected: Expectation | None = None
    files: tuple[NeededFile, ...] = ()

    @property
    def images(self) -> int:
        """How many rows the batch gives."""
        return sum(len(unit.images) for unit in self.units)


class _BatchFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch as JSON; its units have a format of their own."""

    name: str
    units: tuple[msgspec.Raw, ...]
    shard: str
    engine: str
    attempt: int
    expected: Expectation | None
    files: tuple[NeededFile, ...]


def write_batch(batch: Batch, path: Path) -> Path:
    """Write a batch for the job that runs it; returns ``path``.

    Raises:
        BenchError: it can't be written, or holds what JSON can't.
    """
    values = {name: getattr(batch, name) for name in _BatchFile.__struct_fields__}
    values["units"] = tuple(msgspec.Raw(encode_unit(unit)) for unit in batch.units)
    with writing(path):
        return write_whole(path, msgspec.json.encode(_BatchFile(**values)))


def read_batch(path: Path) -> Batch:
    """Return the batch that :func:`write_batch` wrote.

    Raises:
        BenchError: it can't be read, or is none.
    """
    with reading(path):
        content = path.read_bytes()
    try:
        read = msgspec.json.decode(content, type=_BatchFile)
    except msgspec.DecodeError as error:
        raise BenchError(f"{path}: no batch: {error}", "is it of another version of the suite?") from None
    values = {name: getattr(read, name) for name in read.__struct_fields__}
    return Batch(**{**values, "units": tuple(decode_unit(bytes(unit)) for unit in read.units)})


@dataclass(frozen=True)
class TimedUnit:
    """A unit, or a part of one, and what it should take."""

    unit: Unit
    expected: ExpectedUnit


def group_units(timed: Iterable[TimedUnit], batch_s: float) -> list[tuple[Unit, ...]]:
    """Return the units in groups that should each take at most about ``batch_s``.

    Units of one model stay together, as its code is loaded but once a batch. A unit that takes longer is cut between
    its pictures; whatever unit a picture is in, its row has the same key.

    Args:
        timed: in any order; the order of units of one model stays.
        batch_s: seconds; a single picture may take longer.
    """
    models: dict[str, list[TimedUnit]] = {}
    for one in timed:
        models.setdefault(_name_model(one.unit), []).append(one)

    groups: list[list[Unit]] = []
    for units in models.values():
        left_s = 0.0
        for part in (part for one in units for part in cut_unit(one, batch_s)):
            if part.expected.seconds > left_s:
                groups.append([])
                left_s = batch_s
            groups[-1].append(part.unit)
            left_s -= part.expected.seconds
    return [tuple(group) for group in groups]


def cut_unit(timed: TimedUnit, batch_s: float) -> Iterator[TimedUnit]:
    """Yield a unit in parts that take about equally long, as few as each takes at most ``batch_s`` if it can."""
    unit, expected = timed.unit, timed.expected
    start_s = expected.start.planned_s
    coding_s = expected.seconds - start_s
    parts = min(len(unit.images), math.ceil(coding_s / max(batch_s - start_s, batch_s / 10)))
    if parts <= 1:
        yield timed
        return

    share_s, taken_s = coding_s / parts, 0.0
    names: list[str] = []
    for image in unit.images:
        image_s = sum(work.planned_s for work in expected.images[image.name])
        if names and taken_s + image_s / 2 > share_s:
            yield narrow_unit(timed, names)
            names, taken_s = [], taken_s - share_s
        names.append(image.name)
        taken_s += image_s
    yield narrow_unit(timed, names)


def narrow_unit(timed: TimedUnit, names: Sequence[str]) -> TimedUnit:
    """Return the part of a unit with some of its images."""
    return TimedUnit(keep_images(timed.unit, names), timed.expected.narrow(set(names)))


def keep_images(unit: Unit, names: Iterable[str]) -> Unit:
    """Return ``unit`` with those of its images that ``names`` holds."""
    wanted = set(names)
    return replace(unit, images=tuple(image for image in unit.images if image.name in wanted),
                   stored={name: row for name, row in unit.stored.items() if name in wanted})


def _name_model(unit: Unit) -> str:
    return digest_json({"codec": unit.spec.codec, "model": unit.spec.settings.get("model")})
