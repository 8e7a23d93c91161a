"""Decodings by how their files were written, and what the settings and machines that they met are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from string import ascii_uppercase

from bench.reports.page.table import group_records
from bench.results.crosschecks import Crosscheck, Outcome
from bench.results.decoding_settings import SETTINGS
from bench.results.portability import FIRST_FORMAT, Portability, find_portability

Mode = tuple[int | None, bool]  # format, exact
Crossing = tuple[str, str, str, str]  # see Crosscheck.crossing


@dataclass(frozen=True)
class Block:
    """The decodings of files that were written in one way.

    Attributes:
        mode: format of the files, and whether they are of the exact configuration.
    """

    mode: Mode
    rows: tuple[Crosscheck, ...]

    @property
    def is_before(self) -> bool:
        """Whether the files are as they were before latents had a checksum and tables were the same everywhere."""
        return self.mode[0] == FIRST_FORMAT

    @property
    def slug(self) -> str:
        """Part of the names of tables."""
        version, exact = self.mode
        name = "exact" if exact else "default"
        if version is None:
            return "others"
        return f"before_{name}" if self.is_before else f"{name}_{version}"

    @property
    def title(self) -> str:
        """How readers know it: "Default", "Exact", "Before (format 1)"."""
        version, exact = self.mode
        if version is None:
            return "Codecs without a format of the suite's own"
        if self.is_before:
            return f"Before (format {version}{', exact' if exact else ''})"
        return f"{'Exact' if exact else 'Default'} (format {version})"

    @cached_property
    def portability(self) -> Portability:
        """What these files came to elsewhere."""
        return find_portability(self.rows)

    @property
    def crossings(self) -> dict[Crossing, list[Crosscheck]]:
        """Decodings by where files were encoded and decoded, in the order of the settings."""
        groups = group_records(self.rows, lambda row: row.crossing)
        return {crossing: groups[crossing] for crossing in sorted(groups, key=_order_crossing)}

    @property
    def codecs(self) -> dict[str, list[Crosscheck]]:
        """Decodings by codec."""
        return group_records(self.rows, lambda row: row.name)


def _order_crossing(crossing: Crossing) -> tuple[tuple[str, int, str], ...]:
    encoder_machine, encoder_setting, decoder_machine, decoder_setting = crossing
    sides = ((encoder_machine, encoder_setting), (decoder_machine, decoder_setting))
    return tuple((machine, order_setting(setting), setting) for machine, setting in sides)


def order_setting(name: str) -> int:
    """Return the place of a setting among all; of one of a later version of the suite the last."""
    known = list(SETTINGS)
    return known.index(name) if name in known else len(known)


def split_blocks(rows: Iterable[Crosscheck]) -> list[Block]:
    """Return ``rows`` by how their files were written: as before first, then by default, then exact."""
    groups = group_records(sorted(rows, key=lambda row: row.name), lambda row: (row.format, row.exact))
    ordered = sorted(groups, key=lambda mode: (mode[0] is None, mode[0] or 0, mode[1]))
    return [Block(mode, tuple(groups[mode])) for mode in ordered]


def letter_machines(rows: Iterable[Crosscheck]) -> dict[str, str]:
    """Return a letter for each machine that encoded or decoded; after Z come numbers."""
    rows = list(rows)
    names = sorted({machine for row in rows for machine in (row.encoder_machine, row.decoder_machine)})
    return {name: ascii_uppercase[place] if place < len(ascii_uppercase) else f"M{place + 1}"
            for place, name in enumerate(names)}


def name_place(setting: str, machine: str, letters: Mapping[str, str]) -> str:
    """Return "scalar", or "scalar on B" where there are several machines."""
    return f"{setting} on {letters[machine]}" if len(letters) > 1 else setting


def count_outcomes(rows: Iterable[Crosscheck], outcomes: Sequence[Outcome]) -> tuple[int, ...]:
    """Return how many of ``rows`` came out in each way."""
    found = Counter(row.outcome for row in rows)
    return tuple(found[outcome] for outcome in outcomes)
