"""YAML that remembers its lines, so that a message can point at the mistake; read within bounds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from bench.common.errors import ConfigurationError

MAX_BYTES = 1 << 23
MAX_VALUES = 100_000  # what an alias stands for counts each time
MAX_LETTERS = 1 << 14  # of a text or number: PyYAML takes hours over a time such as 1:0:0:0... of megabytes
MAX_DEPTH = 40
LARGEST = 1 << 63  # of numbers
_OTHER_BASE = re.compile(r"[-+]?0[0-7_]+|.*:.*", re.DOTALL)  # numbers to base 8 and 60, in YAML 1.1
PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first is twenty times as fast


class LinedMapping(dict[str, Any]):
    """A YAML mapping, its keys as they are written, that knows its line and each key's line, counted from 1."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str | float, int] = {}  # a key that is a number is found by its value too

    def line_of(self, key: str | float) -> int:
        """Return the line of ``key``; the mapping's own where the key was merged into it or is missing."""
        return self.lines.get(key, self.line)


def read_yaml(path: Path) -> Any:
    """Read a YAML file: mappings as :class:`LinedMapping`, lists, text, finite numbers, true, false and null.

    Raises:
        ConfigurationError: the file can't be read, is no YAML, or is larger than any file of the suite; names the
            file and the line.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}",
                                 "run in the project's checkout, or name the file") from None
    try:
        if len(content) > MAX_BYTES:
            raise _wrong(path, 1, f"has more than {MAX_BYTES:,} bytes")
        text = content.decode("utf-8-sig")
        return _Builder(path, PARSER(text)).read_document()
    except UnicodeDecodeError as error:
        raise _wrong(path, content.count(b"\n", 0, error.start) + 1, "not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _wrong(path, mark.line + 1 if mark else 1, error.problem or error.context or "no YAML") from None
    except yaml.reader.ReaderError as error:  # a character that YAML doesn't know
        raise _wrong(path, text.count("\n", 0, error.position) + 1, error.reason) from None


def _wrong(path: Path, line: int, problem: str) -> ConfigurationError:
    return ConfigurationError(f"{path}:{line}: {problem}", "mend the YAML there")


class _Builder:
    """Builds plain values from the events of a parser; aliases share what they stand for."""

    def __init__(self, path: Path, parser: Any) -> None:
        self._path = path
        self._parser = parser
        self._anchors: dict[str, tuple[Any, int]] = {}  # a value, and how many values it is made of
        self._values = 0

    def read_document(self) -> Any:
        """Return the one document of the file; None where there is none."""
        self._parser.get_event()  # the start of the stream
        if self._parser.check_event(yaml.StreamEndEvent):
            return None
        self._parser.get_event()
        value = self._build(self._parser.get_event(), 0)
        self._parser.get_event()
        if not self._parser.check_event(yaml.StreamEndEvent):
            raise self._error(self._parser.peek_event(), "a second document starts here")
        return value

    def _error(self, event: Any, problem: str) -> ConfigurationError:
        return _wrong(self._path, _line(event), problem)

    def _build(self, event: Any, depth: int) -> Any:
        before = self._values
        self._values += 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._error(event, f"nothing before is called '&{event.anchor}'")
            value, size = self._anchors[event.anchor]
            self._values += size
        else:
            value = self._build_new(event, depth)
            if event.anchor:
                self._anchors[event.anchor] = value, self._values - before
        if self._values > MAX_VALUES:
            raise self._error(event, f"more than {MAX_VALUES:,} values, aliases counted each time")
        return value

    def _build_new(self, event: Any, depth: int) -> Any:
        if event.tag not in (None, "!"):
            raise self._error(event, f"the tag '{event.tag}' is not used here")
        if depth > MAX_DEPTH:
            raise self._error(event, f"nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(event, depth)
        items: list[Any] = []
        while not isinstance(item := self._parser.get_event(), yaml.SequenceEndEvent):
            items.append(self._build(item, depth + 1))
        return items

    def _mapping(self, start: Any, depth: int) -> LinedMapping:
        mapping = LinedMapping(_line(start))
        merged: list[Any] = []
        while not isinstance(key := self._parser.get_event(), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise self._error(key, "a key must be a word")
            value = self._build(self._parser.get_event(), depth + 1)
            if key.value == "<<":
                merged += value if isinstance(value, list) else [value]
                continue
            number = self._scalar(key)
            names = {key.value, number} if type(number) in (int, float) else {key.value}
            if names & mapping.lines.keys():
                raise self._error(key, f"'{key.value}' stands twice")
            mapping.lines.update(dict.fromkeys(names, _line(key)))
            mapping[key.value] = value

        for other in merged:
            if not isinstance(other, LinedMapping):
                raise self._error(start, "only mappings can be merged")
            for name, value in other.items():
                mapping.setdefault(name, value)
        return mapping

    def _scalar(self, event: Any) -> Any:
        shown = f"'{event.value[:40]}'"
        if len(event.value) > MAX_LETTERS:
            raise self._error(event, f"{shown}... has more than {MAX_LETTERS:,} letters")
        tag = self._parser.resolve(yaml.ScalarNode, event.value, event.implicit)
        node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        try:
            value = self._parser.construct_object(node)
        except (ValueError, ArithmeticError):  # such as 2026-13-45, or digits without end
            raise self._error(event, f"{shown} is no value") from None
        if isinstance(value, (int, float)) and _OTHER_BASE.fullmatch(event.value):
            raise self._error(event, f"{shown} would be read as {value:.9g}: leave out leading zeros and ':', or put it"
                                     " in quotes")
        if not isinstance(value, (str, int, float, type(None))):
            raise self._error(event, f"{shown} is read as a {type(value).__name__}: put it in quotes")
        if isinstance(value, (int, float)) and not abs(value) < LARGEST:  # which NaN is not
            raise self._error(event, f"{shown} is not a finite number of a usual size")
        return value


def _line(event: Any) -> int:
    return event.start_mark.line + 1
