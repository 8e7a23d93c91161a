"""Units of work as JSON and back, strictly: what a driver plans is what a worker on another machine measures."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import msgspec

from bench.codecs.base import CodecSpec
from bench.common.errors import BenchError
from bench.common.hashing import digest_json
from bench.results.rows import Row
from bench.results.schema import Count, Name, convert_values, parse_object
from bench.runners.evaluate.unit import Series, Unit, UnitImage

SCHEMA = 1
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Text = Annotated[str, msgspec.Meta(max_length=10_000)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Several = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class WrongUnit(BenchError):
    """Text that is no unit of work."""


class _Record(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A part of the text; nothing of it may be left out."""


class _Spec(_Record):
    codec: Name
    name: Name
    point: Name
    point_settings: dict[str, Any]
    settings: dict[str, Any]
    location: dict[str, Text]


class _Image(_Record):
    name: Name
    path: Text
    sha256: Sha256
    verified: bool | None
    pixels_sha256: Sha256 | None


class _Series(_Record):
    digest: Name
    values: dict[str, Any]
    fault: str | None


class _Unit(_Record):
    schema: Literal[1]
    spec: _Spec
    dataset: Name
    dataset_total: Count | None
    images: tuple[_Image, ...]
    device: Name
    threads: Several | None
    deterministic: bool
    jobs: Several
    decode_timeout_s: Seconds
    keep_streams: Text | None
    metrics: tuple[Name, ...]
    stored_metrics: tuple[Name, ...]
    stored: dict[Name, dict[str, Any]]
    only_kept: bool
    series: _Series | None


def encode_unit(unit: Unit) -> bytes:
    """Return ``unit`` as one line of JSON, in UTF-8, which :func:`decode_unit` reads.

    Raises:
        WrongUnit: the unit holds what JSON can't, or what a worker would refuse.
    """
    stored = {image: json.loads(row.to_json()) for image, row in unit.stored.items()}
    images = [vars(image) for image in unit.images]
    series = None if unit.series is None else vars(unit.series)
    values = {"schema": SCHEMA, **vars(unit), "spec": vars(unit.spec), "images": images, "stored": stored,
              "series": series}
    try:
        text = json.dumps(values, allow_nan=False, default=dict, ensure_ascii=False, separators=(",", ":"))
        line = text.encode()
    except (TypeError, ValueError) as error:
        raise WrongUnit(f"the unit of {unit.spec.name} {unit.spec.point} can't be sent: {error}") from None
    decode_unit(line)
    return line


def decode_unit(line: bytes | str) -> Unit:
    """Return the unit that one line of JSON holds.

    Raises:
        WrongUnit: a field is missing, unknown, doubled or of another type; the message names it.
    """
    try:
        read = convert_values(parse_object(line), _Unit)
        stored = {image: Row.from_json(msgspec.json.encode(row)) for image, row in read.stored.items()}
        series = None if read.series is None else Series(**msgspec.structs.asdict(read.series))
        if series is not None and series.digest != digest_json(series.values):
            raise ValueError("field 'series.digest': is not of the values beside it")
    except ValueError as error:
        raise WrongUnit(f"no unit of work: {error}", "driver and workers need the same version of the suite") from None

    values = {name: getattr(read, name) for name in read.__struct_fields__ if name != "schema"}
    spec = CodecSpec(**msgspec.structs.asdict(read.spec))
    images = tuple(UnitImage(**msgspec.structs.asdict(image)) for image in read.images)
    return Unit(**{**values, "spec": spec, "images": images, "stored": stored, "series": series})
