"""Shards: what a job writes while it measures, a line for each thing it has to say; whole lines alone are read."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from bench.common.errors import BenchError
from bench.common.files import disk_full_stops
from bench.results.rows import Row


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="line"):
    """One line of a shard."""


class Begun(_Line, frozen=True, tag="begun"):
    """The batch begins.

    Attributes:
        node: name of the machine, for messages and so that a job is tried elsewhere; no row holds it.
        node_id: what rows call it.
    """

    node: str
    node_id: str


class MeasuredLine(_Line, frozen=True, tag="row"):
    """A picture is done: its row, and what the time was spent on."""

    seconds: dict[str, float]
    row: msgspec.Raw

    def parse_row(self) -> Row:
        """Return the row.

        Raises:
            ValueError: it is none.
        """
        return Row.from_json(bytes(self.row))


class Refused(_Line, frozen=True, tag="refused"):
    """The worker is not what the batch was planned for; nothing was measured."""

    reason: str


class Stopped(_Line, frozen=True, tag="stopped"):
    """The batch could not go on, though no codec is to blame."""

    reason: str


class Ended(_Line, frozen=True, tag="ended"):
    """The batch is done."""


Line = Begun | MeasuredLine | Refused | Stopped | Ended
LAST = (Refused, Stopped, Ended)  # no line follows these
_decode = msgspec.json.Decoder(Line).decode


class ShardWriter:
    """Appends lines to a shard that nobody else writes; each is on the disk before the next is measured."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with disk_full_stops(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def write(self, line: Line) -> None:
        """Append one line.

        Raises:
            DiskFull: there is no space.
        """
        content = msgspec.json.encode(line) + b"\n"
        with disk_full_stops(self._path):
            while content:
                content = content[os.write(self._handle, content):]
            os.fsync(self._handle)  # a network file system shows it to others only then


class ShardReader:
    """Reads what a shard gained since it was read last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def read_new(self) -> list[Line]:
        """Return the whole lines that are new; a torn one is left for later, or for good.

        Raises:
            BenchError: a line is none of a shard.
        """
        try:
            with self.path.open("rb") as file:  # opened anew: a network file system looks for changes only then
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return []
        whole = content[:content.rfind(b"\n") + 1]
        self._offset += len(whole)
        try:
            return [_decode(line) for line in whole.splitlines()]
        except ValueError as error:
            raise BenchError(f"{self.path}: {error}", "was it written by another version of the suite?") from None
