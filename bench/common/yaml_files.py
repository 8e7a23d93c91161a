"""YAML that remembers its lines, so that a message can point at the mistake."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from bench.common.errors import ConfigurationError

Check = tuple[Callable[[Any], bool], str]


class LinedMapping(dict):
    """A YAML mapping that knows its line and each key's line, counted from 1."""

    line = 1
    lines: dict[str, int] = {}  # a key as it is written: its line

    def line_of(self, key: Any) -> int:
        """Return the line of ``key``; the mapping's own where the key was merged into it or is missing."""
        return self.lines.get(str(key), self.line)


def check_entry(entry: Any, subject: str, needed: Collection[str], checks: Mapping[str, Check], path: Path,
                line: int) -> None:
    """Check that an entry of a file is a mapping with the needed keys and only with known ones of the right kind.

    Args:
        subject: what messages call the entry.
        checks: key: what its value must be, as a test and in words.
        line: of the entry.

    Raises:
        ConfigurationError: it isn't; the message says where.
    """
    if not isinstance(entry, LinedMapping):
        raise ConfigurationError(f"{path}:{line}: {subject} must be a mapping")
    for key in needed:
        if key not in entry:
            raise ConfigurationError(f"{path}:{line}: {subject} lacks '{key}'")
    for key, value in entry.items():
        where = f"{path}:{entry.line_of(key)}: {subject}"
        if key not in checks:
            raise ConfigurationError(f"{where} has the unknown key '{key}'", f"known: {', '.join(checks)}")
        good, expected = checks[key]
        if not good(value):
            raise ConfigurationError(f"{where}: '{key}' must be {expected}, got {value!r}")


class _Loader(yaml.SafeLoader):
    """The safe loader, which also refuses a key that stands twice."""

    def construct_lined(self, node: yaml.MappingNode) -> LinedMapping:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key.start_mark)
            if key.value in lines:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key.value}' stands twice", key.start_mark)
            lines[key.value] = key.start_mark.line + 1
        mapping = LinedMapping(self.construct_mapping(node, deep=True))
        mapping.line, mapping.lines = node.start_mark.line + 1, lines
        return mapping


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_lined)


def read_yaml(path: Path) -> Any:
    """Read a YAML file with the safe loader; mappings are :class:`LinedMapping`.

    Raises:
        ConfigurationError: the file can't be read or is no YAML; names the file and the line.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}",
                                 "run in the project's checkout, or name the file") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = error.problem or error.context
        raise ConfigurationError(f"{where}: {problem}", "mend the YAML there") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: {error}", "mend the YAML there") from None
