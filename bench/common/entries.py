"""Files that map names to entries of one schema: mistakes are told with file, line and key."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from bench.common.errors import ConfigurationError
from bench.common.text import list_names, suggest_name
from bench.common.yaml_files import LinedMapping, read_yaml

OWN = ("name", "where")  # fields of an entry that are no keys of the file
UNKNOWN, MISSING = "Object contains unknown field `", "Object missing required field `"  # msgspec's words


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One named entry of a file; subclasses add the keys that it may have.

    A subclass says in ``Meta(description=...)`` what a value must be, and raises :class:`WrongKey` in
    ``__post_init__`` where keys don't go together.

    Attributes:
        where: file and line, for messages.
    """

    name: str
    where: str = ""


class WrongKey(ValueError):
    """A key of an entry is wrong.

    Args:
        message: goes on after the entry's name.
        keys: the way to the key, from the entry down.
    """

    def __init__(self, message: str, *keys: str | float, hint: str = "") -> None:
        super().__init__(message)
        self.keys = keys
        self.hint = hint


E = TypeVar("E", bound=Entry)


class Entries(dict[str, E], Generic[E]):
    """The entries of a file by name, which know where each of their keys stands."""

    def __init__(self, path: Path, kind: str, named: LinedMapping) -> None:
        super().__init__()
        self._path = path
        self._kind = kind
        self._named = named

    def error(self, name: str, wrong: WrongKey) -> ConfigurationError:
        """Return the error that says where ``wrong`` is, in the entry called ``name``."""
        line, value = self._named.line_of(name), self._named[name]
        for key in wrong.keys:
            holder, value = value, _inside(value, key)
            if isinstance(holder, LinedMapping):
                line = holder.lines.get(key, line)
            elif isinstance(value, LinedMapping):
                line = value.line
        return ConfigurationError(f"{self._path}:{line}: {self._kind} '{name}': {wrong}", wrong.hint)


def read_entries(path: Path, schema: type[E], kind: str, section: str = "") -> Entries[E]:
    """Read a file of entries.

    Args:
        schema: of one entry; its ``name`` and ``where`` are filled in.
        kind: what messages call an entry.
        section: the one key of the file, which holds the entries; none where the file itself does.

    Raises:
        ConfigurationError: the file can't be read, is no YAML, or an entry does not have the schema; the message
            says where.
    """
    document = read_yaml(path)
    named = _inside(document, section) if section else document
    if not isinstance(named, LinedMapping) or not named or (section and len(document) > 1):
        what = f"a mapping '{section}', and nothing else," if section else "a mapping"
        raise ConfigurationError(f"{path}:1: must hold {what} from the name of each {kind} to what it is")

    entries: Entries[E] = Entries(path, kind, named)
    for name, entry in named.items():
        if not isinstance(entry, LinedMapping):
            raise entries.error(name, WrongKey("must be a mapping"))
        if own := [key for key in OWN if key in entry]:
            raise entries.error(name, WrongKey(f"unknown key '{own[0]}'", own[0]))
        filled = {**entry, "name": name, "where": f"{path}:{named.line_of(name)}"}
        try:
            entries[name] = msgspec.convert(filled, schema, str_keys=True)
        except msgspec.ValidationError as error:
            raise entries.error(name, _explain(error, filled, schema)) from None
    return entries


def _explain(error: msgspec.ValidationError, entry: dict[str, Any], schema: type) -> WrongKey:
    """Say in the words of the schema what msgspec found, and at which key."""
    problem, _, place = str(error).rpartition(" - at ") if " - at " in str(error) else (str(error), "", "")
    keys = [int(index) if index else key for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", place)]
    shown = "'" + re.sub(r"\[\.\.\.\]|`.*", "", place.rpartition("$.")[2]) + "'" if keys else ""
    inside = f"in {shown}: " if keys else ""
    known, expected = _describe(schema, keys)
    if isinstance(cause := error.__cause__, WrongKey):
        return WrongKey(f"{inside}{cause}", *keys, *cause.keys, hint=cause.hint)
    if problem.startswith(UNKNOWN):
        unknown = problem.removeprefix(UNKNOWN)[:-1]
        return WrongKey(f"{inside}unknown key '{unknown}'", *keys, unknown, hint=suggest_name(unknown, known))
    if problem.startswith(MISSING):
        return WrongKey(f"{inside}lacks '{problem.removeprefix(MISSING)[:-1]}'", *keys)

    value: Any = entry
    for key in keys:
        value = _inside(value, key)
    if not expected:
        plain = problem.replace("`object", "`mapping").replace("`array", "`list").replace("`str", "`text")
        return WrongKey(f"{shown}: {plain}", *keys)
    got = "" if value is None or isinstance(value, (dict, list)) else f", got {list_names([repr(value)])}"
    return WrongKey(f"{shown} must be {expected}{got}", *keys)


def _inside(value: Any, key: Any) -> Any:
    """What a list or a mapping holds at ``key``, else None."""
    if isinstance(value, dict):
        return value.get(key)
    return value[key] if isinstance(value, list) and isinstance(key, int) else None


def _describe(schema: Any, keys: list[Any]) -> tuple[list[str], str]:
    """Return the known keys at a place of the schema, and what the value there must be, by its description."""
    for key in keys:
        if isinstance(key, int):
            schema = next(typing.get_args(part)[0] for part in _parts(schema)
                          if typing.get_origin(part) in (list, tuple))
        else:
            schema = _fields(schema)[key]
    parts = list(_parts(schema))
    described = [part.description for part in parts if isinstance(part, msgspec.Meta) and part.description]
    choices = [part for part in parts if isinstance(part, str)]
    known = [field for field in _fields(schema) if keys or field not in OWN]
    if described:
        return known, described[-1]
    return known, f"one of {', '.join(choices)}" if choices else ""


def _fields(schema: Any) -> dict[str, Any]:
    """The keys of the structs within a type, and their types."""
    fields: dict[str, Any] = {}
    for part in _parts(schema):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            hints = typing.get_type_hints(part, include_extras=True)
            fields |= {key: hints[name] for key, name in zip(part.__struct_encode_fields__, part.__struct_fields__)}
    return fields


def _parts(hint: Any) -> Iterator[Any]:
    """Yield a type and all that it is made of, what describes it last: alternatives, items, choices."""
    yield hint
    for inner in typing.get_args(hint):
        yield from _parts(inner)
