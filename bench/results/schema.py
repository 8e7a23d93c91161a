"""Lines of JSON through a schema: strict types, finite numbers, no unknown or doubled field."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec

LARGEST = 1e300  # what is beyond is no measurement
LARGEST_COUNT = 2**63 - 1
DEEPEST = 50  # levels of lists and objects

Number = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=LARGEST)]
Duration = Annotated[float, msgspec.Meta(ge=0, le=LARGEST)]  # seconds
Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_COUNT)]
Size = Annotated[int, msgspec.Meta(gt=0, lt=2**31)]  # pixels of a side
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Padding = tuple[Count, Count, Count, Count]  # left, top, right, bottom

S = TypeVar("S", bound="StoredRow")
T = TypeVar("T")


class NewerSchema(ValueError):
    """A line is of a schema that a later version of the suite reads; it is not damaged."""


class StoredRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A record that is stored as one line of JSON, whose field ``schema`` is the tag of its class.

    It holds no cycles, so that the collector of cycles need not walk through all rows that are read.
    Optional fields are None, and left out of the line, where they do not apply or were not measured.
    """

    SCHEMA: ClassVar[int] = 2
    UNMARKED_SCHEMA: ClassVar[int | None] = None  # of lines without the field; None: every line has it
    OPEN_FIELDS: ClassVar[Mapping[str, type[msgspec.Struct]]] = MappingProxyType({})  # what is read of open mappings

    def to_json(self) -> str:
        """Return the row as one line of JSON without the line end."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def upgrade(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of a line of schema 1 as those of :attr:`SCHEMA`, losing nothing.

        Args:
            values: the fields that are not null.

        Raises:
            ValueError: a field is missing or of another type; the message names it.
        """
        return values

    def require_sense(self) -> None:
        """Check what the types of single fields don't tell.

        Raises:
            ValueError: fields contradict each other or what is known of them; the message names one.
        """

    @classmethod
    def from_json(cls: type[S], line: str | bytes) -> S:
        """Parse one line, of this schema or of an older one.

        Args:
            line: one JSON object, in UTF-8 where these are bytes.

        Returns:
            The row; its :meth:`to_json` parses to an equal one.

        Raises:
            ValueError: the line is no such row; the message names the field.
        """
        own = cls._from_own_json(line) if isinstance(line, bytes) else None
        if own is not None:
            return own

        values = parse_object(line)
        schema = values.get("schema", cls.UNMARKED_SCHEMA)
        if isinstance(schema, bool) or not isinstance(schema, int):
            raise ValueError("field 'schema' is missing or no whole number")
        if schema > cls.SCHEMA:
            raise NewerSchema(f"schema {schema} is newer than {cls.SCHEMA}, which this version reads; update the suite")

        if schema < 1:
            raise ValueError(f"schema {schema} is not read by this version")

        if schema < cls.SCHEMA:
            known = {name: value for name, value in values.items() if value is not None}
            values = {**cls.upgrade(known), "schema": cls.SCHEMA}
        row = convert_values(values, cls)
        for field, kind in cls.OPEN_FIELDS.items():
            convert_values(getattr(row, field), kind, field)
        row.require_sense()
        return row

    @classmethod
    def _from_own_json(cls: type[S], line: bytes) -> S | None:
        """Parse a line that :meth:`to_json` wrote, several times as fast as any other line; None for others.

        Written again it is the same line, so that it holds no doubled field and nothing that JSON can't hold. What open
        fields hold is checked once, and shared by all rows that hold the same.

        Raises:
            ValueError: as :meth:`from_json`.
        """
        try:
            row = msgspec.json.decode(line, type=cls)
            if msgspec.json.encode(row) != line:
                return None
        except (ValueError, RecursionError):  # another schema or a wrong line, of which from_json says what it is
            return None

        for field, kind in cls.OPEN_FIELDS.items():
            content = msgspec.json.encode(getattr(row, field))
            msgspec.structs.force_setattr(row, field, _parse_open_field(content, kind, field))
        row.require_sense()
        return row


@lru_cache(maxsize=4096)
def _parse_open_field(content: bytes, kind: type[msgspec.Struct], field: str) -> dict[str, Any]:
    values = msgspec.json.decode(content)
    require_plain(values, field, 1)
    convert_values(values, kind, field)
    return values


def parse_object(line: str | bytes) -> dict[str, Any]:
    """Parse one JSON object that can be written again: no doubled field, only finite numbers, shallow.

    Args:
        line: one JSON object, in UTF-8 where these are bytes.

    Raises:
        ValueError: the line is not such an object; the message names the field.

    >>> parse_object('{"quality": {"psnr": NaN}}')
    Traceback (most recent call last):
    ValueError: field 'quality.psnr': NaN is no finite number
    """
    text = line.decode("utf-8-sig") if isinstance(line, bytes) else line  # json takes bytes with NUL for UTF-16
    try:
        values = json.loads(text, object_pairs_hook=_make_object)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    require_plain(values)
    return values


def convert_values(values: Any, kind: type[T], place: str = "") -> T:
    """Return JSON ``values`` as ``kind``.

    Args:
        place: the field that holds them, for messages.

    Raises:
        ValueError: a value has another type or is out of range, or a field is missing or unknown; the message names it.
    """
    try:
        return msgspec.convert(values, kind, strict=True)
    except msgspec.ValidationError as error:
        reason, _, inside = str(error).partition(" - at `$")
        field = (place + inside.rstrip("`")).lstrip(".")
        raise ValueError(f"field '{field}': {reason}" if field else reason) from None


def _make_object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"field '{doubled}' stands twice")
    return values


def require_plain(value: Any, place: str = "", depth: int = 0) -> None:
    """Refuse what JSON can't hold or another reader would take for something else.

    Args:
        place: the field that holds it, for messages.
        depth: how many levels are around it.

    Raises:
        ValueError: there is such a value; the message names the field.
    """
    if depth > DEEPEST:
        raise ValueError(f"field '{place}': nested too deeply")

    if isinstance(value, dict):
        for name, inner in value.items():
            require_plain(name, place, depth)
            require_plain(inner, f"{place}.{name}".lstrip("."), depth + 1)
    elif isinstance(value, list):
        for inner in value:
            require_plain(inner, place, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"field '{place}': {json.dumps(value)} is no finite number")
    elif isinstance(value, int) and abs(value) > LARGEST_COUNT:
        raise ValueError(f"field '{place}': a number of more than 64 bits")
    elif isinstance(value, str) and not value.isascii():
        _require_unicode(value, place)


def _require_unicode(text: str, place: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"field {ascii(place)}: half a surrogate pair is no text") from None
