"""The one registry for everything that is looked up by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from bench.common.errors import ConfigurationError
from bench.common.text import suggest_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Names mapped to entries of one kind ("model", "codec", ...), in order of registration.

    Args:
        list_spellings: how others call an entry, in lower case; hints know these too.
    """

    def __init__(self, kind: str, entries: Mapping[str, T] | None = None,
                 list_spellings: Callable[[T], Iterable[str]] = lambda entry: ()) -> None:
        self.kind = kind
        self._list_spellings = list_spellings
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
        spelled = [known for known, entry in self._entries.items() if name.lower() in self._list_spellings(entry)]
        raise ConfigurationError(f"there is no {self.kind} '{name}'", suggest_name(name, spelled or self._entries,
                                 f"did you mean {', '.join(spelled)}?" if spelled else ""))

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
