"""Whether a codec's files decode elsewhere: one rule for claims, for the report of crosschecks and for the front page.

Elsewhere is under another setting of decoding, or on another machine, than a file was encoded under. A file decodes
there where its integer latents come out as they were coded; of codecs that don't tell theirs, every pixel has to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from bench.common.text import EXACT_SUFFIX
from bench.results.crosschecks import FAILED, IDENTICAL, WRONG, Crosscheck

FEWEST_FILES, FEWEST_SETTINGS = 24, 3  # each of so many files under so many other settings, before "it does" is said
FIRST_FORMAT = 1  # of learned codecs' files: tables of each process' own, no checksum of latents


@dataclass(frozen=True)
class Portability:
    """What decoding files elsewhere came to.

    Attributes:
        rows: the decodings elsewhere, of files of one codec or of several.
    """

    rows: tuple[Crosscheck, ...]

    @property
    def settings(self) -> int:
        """How many other settings were tried, each machine's apart."""
        return len({row.crossing[2:] for row in self.rows})

    def list_settings_per_file(self) -> list[int]:
        """Under how many other settings each file was tried."""
        return list(self._tried.values())

    @property
    def files(self) -> int:
        """How many files were tried."""
        return len(self._tried)

    @cached_property
    def files_alike(self) -> int:
        """How many files decode wherever they were tried."""
        return self.files - len({identify_file(row) for row in self.differing})

    @cached_property
    def differing(self) -> list[Crosscheck]:
        """The decodings that gave an error, other latents or, where latents are not told, other pixels."""
        return [row for row in self.rows if not decodes_alike(row)]

    @property
    def failed(self) -> list[Crosscheck]:
        """The decodings that gave an error."""
        return [row for row in self.rows if row.outcome == FAILED]

    @property
    def wrong(self) -> list[Crosscheck]:
        """The decodings that gave another picture without an error."""
        return [row for row in self.rows if row.outcome == WRONG]

    @property
    def is_enough(self) -> bool:
        """Whether so many files were tried under so many settings that it may be said of the codec."""
        return sum(number >= FEWEST_SETTINGS for number in self._tried.values()) >= FEWEST_FILES

    @property
    def decodes(self) -> bool | None:
        """Whether the codec's files decode elsewhere; None where too little was tried to say so."""
        if self.differing:
            return False
        return True if self.is_enough else None

    @cached_property
    def _tried(self) -> Counter[Hashable]:
        """Under how many settings each file was tried."""
        return Counter(identify_file(row) for row in self.rows)


def find_portability(rows: Iterable[Crosscheck]) -> Portability:
    """Return what ``rows`` say of decoding elsewhere; what was decoded as it was encoded says nothing of it."""
    return Portability(tuple(row for row in rows if is_elsewhere(row)))


def is_elsewhere(row: Crosscheck) -> bool:
    """Whether a file met another setting or machine than it was encoded under."""
    return row.crossing[:2] != row.crossing[2:]


def decodes_alike(row: Crosscheck) -> bool:
    """Whether a file came out as it was coded: latents identical, or all pixels where latents are not told."""
    if row.outcome in (FAILED, WRONG):
        return False
    return row.outcome == IDENTICAL if row.latents_match is None else row.latents_match


def identify_file(row: Crosscheck) -> Hashable:
    """Return what tells a file from others: what was coded, and where it was encoded."""
    return row.key, *row.crossing[:2]


def name_variant(row: Crosscheck) -> str:
    """Return the name of the codec without that of the configuration."""
    return row.name.removesuffix(EXACT_SUFFIX) if row.exact else row.name


def choose_rows(rows: Iterable[Crosscheck], name: str, *, exact: bool) -> Iterator[Crosscheck]:
    """Yield the rows of one codec's files as they are written today, by default or exact."""
    for row in rows:
        if name_variant(row) == name and row.exact == exact and row.format != FIRST_FORMAT:
            yield row
