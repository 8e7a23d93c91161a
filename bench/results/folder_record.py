"""Which pictures the last run on a folder of the user's covered: what is stored beside their rows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from bench.common.errors import BenchError
from bench.common.files import reading, write_whole, writing
from bench.results.rows import Row

FILE = "pictures.json"


class FolderRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The pictures of a run.

    Attributes:
        place: digest of the folder's path.
        pictures: name of each picture to the SHA-256 of its file.
    """

    place: str
    pictures: dict[str, str]


def keep_covered(rows: Iterable[Row], folder: Path) -> list[Row]:
    """Return those of a folder's rows that its record covers; all where it has none.

    Other pictures were renamed, changed or deleted since they were measured.

    Raises:
        BenchError: the record is damaged or can't be read.
    """
    record = read_record(folder)
    return [row for row in rows if record is None or record.pictures.get(row.image) == row.image_sha256]


def read_record(folder: Path) -> FolderRecord | None:
    """Return the record in a folder of rows; None where there is none, which covers all rows.

    Raises:
        BenchError: it is damaged or can't be read.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    with reading(path):
        content = path.read_bytes()
    try:
        return msgspec.json.decode(content, type=FolderRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BenchError(f"{path}: {error}", "delete it; the next run on the folder writes it again") from None


def write_record(folder: Path, record: FolderRecord) -> None:
    """Store the record of a run; nothing is written where it is stored already.

    Raises:
        BenchError: the folder can't be written.
    """
    if read_record(folder) == record:
        return
    with writing(folder / FILE):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / FILE, msgspec.json.encode(record))
