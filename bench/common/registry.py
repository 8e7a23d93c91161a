"""The one registry for everything that is looked up by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from bench.common.errors import ConfigurationError
from bench.common.text import suggest_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Names mapped to entries of one kind ("model", "codec", ...), in order of registration."""

    def __init__(self, kind: str, entries: Mapping[str, T] | None = None) -> None:
        self.kind = kind
        self._entries: dict[str, T] = dict(entries or {})

    def add(self, name: str, entry: T) -> T:
        """Register ``entry``; a name can be taken only once.

        Raises:
            ConfigurationError: the name is taken.
        """
        if name in self._entries:
            raise ConfigurationError(f"{self.kind} '{name}' is registered twice")
        self._entries[name] = entry
        return entry

    def get(self, name: str) -> T:
        """Return the entry called ``name``.

        Raises:
            ConfigurationError: there is none; the message names the nearest ones.
        """
        if name in self._entries:
            return self._entries[name]
        raise ConfigurationError(f"there is no {self.kind} '{name}'", suggest_name(name, self._entries))

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
