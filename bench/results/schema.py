"""Lines of JSON through a schema: strict types, finite numbers, no unknown or doubled field."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, NoReturn, TypeVar

import msgspec

LARGEST = 1e300  # what is beyond is no measurement

Number = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=LARGEST)]
Duration = Annotated[float, msgspec.Meta(ge=0, le=LARGEST)]  # seconds
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Size = Annotated[int, msgspec.Meta(gt=0, lt=2**31)]  # pixels of a side
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Padding = tuple[Count, Count, Count, Count]  # left, top, right, bottom

S = TypeVar("S", bound="StoredRow")
T = TypeVar("T")


class Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a stored row."""


class StoredRow(Stored, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A record that is stored as one line of JSON, whose field ``schema`` is the tag of its class.

    Optional fields are None, and left out of the line, where they do not apply or were not measured.
    """

    SCHEMA: ClassVar[int]
    UNMARKED_SCHEMA: ClassVar[int | None] = None  # of lines without the field; None: every line has it

    def to_json(self) -> str:
        """Return the row as one line of JSON without the line end."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def upgrade(cls, values: dict[str, Any], schema: int) -> dict[str, Any]:
        """Return the ``values`` of an older schema as those of :attr:`SCHEMA`, losing nothing.

        Raises:
            ValueError: this version does not read that schema.
        """
        raise ValueError(f"schema {schema} is not read by this version")

    @classmethod
    def from_json(cls: type[S], line: str | bytes) -> S:
        """Parse one line, of this schema or of an older one.

        Raises:
            ValueError: the line is no such row; the message names the field.
        """
        values = parse_object(line)
        schema = values.get("schema", cls.UNMARKED_SCHEMA)
        if isinstance(schema, bool) or not isinstance(schema, int):
            raise ValueError("field 'schema' is missing or no whole number")
        if schema > cls.SCHEMA:
            raise ValueError(f"schema {schema} is newer than {cls.SCHEMA}, which this version reads; update the suite")

        if schema < cls.SCHEMA:
            values = cls.upgrade(values, schema)
        return convert(values, cls)


def parse_object(line: str | bytes) -> dict[str, Any]:
    """Parse one JSON object; doubled fields, numbers that are not finite and deep nesting are refused.

    Raises:
        ValueError: the line is not such an object.
    """
    try:
        values = json.loads(line, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    return values


def convert(values: Any, kind: type[T]) -> T:
    """Return JSON ``values`` as ``kind``.

    Raises:
        ValueError: a value has another type or is out of range, or a field is missing or unknown; the message names it.
    """
    try:
        return msgspec.convert(values, kind, strict=True)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        field = place.rstrip("`").lstrip(".")
        raise ValueError(f"field '{field}': {reason}" if field else reason) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"field '{doubled}' stands twice")
    return values


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no finite number")
