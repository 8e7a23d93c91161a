"""Take the wanted files out of a zip or tar archive without trusting its paths or sizes.

No path of the archive is ever used for writing: a member is written under the plain file name that the
catalogue knows, into a folder of our choice. Links, devices, absolute paths and paths with ".." are skipped,
and what is written is counted while it is decompressed.
"""

from __future__ import annotations

import fnmatch
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from bench.common.errors import DatasetError

MAX_MEMBERS = 100_000
MAX_TOTAL_BYTES = 1 << 36  # a tar file has to be decompressed to be listed
_BLOCK_BYTES = 1 << 20


class ArchiveError(DatasetError):
    """An archive is damaged, of another kind, or unpacks to more than it may."""


def extract_files(archive: Path, folder: Path, limits: dict[str, int], members: str = "*") -> list[Path]:
    """Unpack the files named by ``limits`` into ``folder`` as ``<name>.part``; return these paths.

    The caller checks each file and puts it in place.

    Args:
        limits: file name to the most bytes that it may have.
        members: shell pattern of the members that are considered.

    Raises:
        ArchiveError: the archive is damaged, of another kind, or a member is larger than its limit.
        OSError: a file can't be written.
    """
    written: dict[str, Path] = {}
    try:
        for path, opener in _members(archive):
            name = PurePosixPath(path).name
            if name not in limits or not _trusted(path) or not fnmatch.fnmatchcase(path, members):
                continue
            if name in written:
                raise ArchiveError(f"{archive}: holds '{name}' twice")
            written[name] = folder / f"{name}.part"
            with opener() as stream:
                _write(stream, written[name], limits[name], f"{archive}: '{path}'")
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError,
            NotImplementedError, RuntimeError) as error:  # RuntimeError: encrypted
        raise ArchiveError(f"{archive}: can't be unpacked ({error or type(error).__name__})",
                           "delete it and fetch it again") from None
    return list(written.values())


def _members(archive: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield path and opener of the regular files of an archive."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as bundle:
            _refuse_flood(archive, len(bundle.infolist()), 0)
            for entry in bundle.infolist():
                kind = (entry.external_attr >> 16) & 0o170000
                if not entry.is_dir() and kind in (0, 0o100000):
                    yield entry.filename, partial(bundle.open, entry)
    elif tarfile.is_tarfile(archive):
        total = 0
        with tarfile.open(archive) as tar:
            for count, member in enumerate(tar, start=1):
                total += member.size
                _refuse_flood(archive, count, total)
                if member.isreg() and not member.issparse():
                    yield member.name, partial(tar.extractfile, member)
    else:
        raise ArchiveError(f"{archive}: is neither a zip nor a tar file",
                           "the address may have answered with a web page; delete the file and try again")


def _refuse_flood(archive: Path, members: int, total_bytes: int) -> None:
    if members > MAX_MEMBERS or total_bytes > MAX_TOTAL_BYTES:
        limits = f"{MAX_MEMBERS:,} files or {MAX_TOTAL_BYTES:,} bytes"
        raise ArchiveError(f"{archive}: unpacks to more than {limits}",
                           "this can't be the set's archive; delete it")


def _trusted(path: str) -> bool:
    """Tell whether a member's path stays inside the archive and is no file of the archiving system."""
    parts = path.split("/")
    return not ("\\" in path or ":" in parts[0] or path.startswith("/") or ".." in parts
                or "__MACOSX" in parts)


def _write(stream: IO[bytes], target: Path, limit: int, what: str) -> None:
    """Copy ``stream`` to ``target``, refusing more than ``limit`` bytes whatever the header promised."""
    size = 0
    with open(target, "wb") as output:
        while block := stream.read(_BLOCK_BYTES):
            size += len(block)
            if size > limit:
                target.unlink()
                raise ArchiveError(f"{what} unpacks to more than the {limit:,} bytes that it may have",
                                   "this can't be the set's archive; delete it")
            output.write(block)
