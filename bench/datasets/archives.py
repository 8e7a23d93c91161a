"""Take the wanted files out of a zip or tar archive without trusting its paths or sizes.

No path of the archive is ever used for writing: a member is written under the plain file name that the
catalogue knows, into a folder of our choice. Links, devices, absolute paths and paths with ".." are skipped,
and what is written is counted while it is decompressed. What an archive announces is bounded before it is read.
"""

from __future__ import annotations

import errno
import fnmatch
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from bench.common.errors import DatasetError

MAX_MEMBERS = 100_000
MAX_TOTAL_BYTES = 1 << 36  # a tar file has to be decompressed to be listed
MAX_RATIO = 100  # of all bytes to those of the archive; pictures hardly shrink
ALWAYS_BYTES = 1 << 26  # that a small archive may unpack to
MAX_NAME_BYTES = 1 << 16  # of what stands before a member: a long name, or PAX's extended header
MAX_NAMES_BYTES = 1 << 24  # of all of these
MAX_COMMON_BYTES = 1 << 12  # of PAX's headers for all members, which tarfile copies into each
_BLOCK_BYTES = 1 << 20
_HOPELESS = "this can't be the set's archive; delete it"
_NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE,
          tarfile.XGLTYPE)


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
    except ArchiveError:
        raise
    except Exception as error:  # the libraries raise many kinds on damaged archives
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # the operating system's
            raise
        raise ArchiveError(f"{archive}: can't be unpacked ({str(error) or type(error).__name__})",
                           "delete it and fetch it again") from None
    return list(written.values())


def _members(archive: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield path and opener of the regular files of an archive."""
    most_bytes = min(MAX_TOTAL_BYTES, MAX_RATIO * archive.stat().st_size + ALWAYS_BYTES)
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as bundle:
            _refuse_flood(archive, len(bundle.infolist()), 0, most_bytes)
            for entry in bundle.infolist():
                kind = (entry.external_attr >> 16) & 0o170000
                if entry.filename and not entry.is_dir() and kind in (0, 0o100000):  # none: it began with a NUL
                    yield entry.filename, partial(bundle.open, entry)
        return

    count = total = 0
    with _open_tar(archive) as tar:
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # where tarfile keeps all that it has seen
            count, total = count + 1, total + member.size
            _refuse_flood(archive, count, total, most_bytes)
            if member.isreg() and not member.issparse():
                yield member.name, partial(tar.extractfile, member)


def _open_tar(archive: Path) -> tarfile.TarFile:
    """Open a tar file whose headers are bounded."""
    seen_bytes = {"one": 0, "all": 0}  # of the headers for one member each, and for all members

    class BoundedHeader(tarfile.TarInfo):
        """A header whose announced size is checked before as much is read."""

        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> BoundedHeader:
            header = super().frombuf(buf, encoding, errors)
            if header.type in _NAMES:
                seen_bytes["all" if header.type == tarfile.XGLTYPE else "one"] += header.size
            too_much = seen_bytes["one"] > MAX_NAMES_BYTES or seen_bytes["all"] > MAX_COMMON_BYTES
            if too_much or header.size < 0 or (header.type in _NAMES and header.size > MAX_NAME_BYTES):
                raise ArchiveError(f"{archive}: a name in it has an impossible length", _HOPELESS)
            if header.type == tarfile.GNUTYPE_SPARSE:  # a list of holes, without end
                raise ArchiveError(f"{archive}: '{header.name}' is a sparse file", _HOPELESS)
            return header

    try:
        return tarfile.open(archive, tarinfo=BoundedHeader)
    except tarfile.ReadError:
        raise ArchiveError(f"{archive}: is neither a zip nor a tar file",
                           "the address may have answered with a web page; delete the file and try again") from None


def _refuse_flood(archive: Path, members: int, total_bytes: int, most_bytes: int) -> None:
    if members > MAX_MEMBERS or total_bytes > most_bytes:
        limits = f"{MAX_MEMBERS:,} files or {most_bytes:,} bytes"
        raise ArchiveError(f"{archive}: unpacks to more than {limits}", _HOPELESS)


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
                                   _HOPELESS)
            output.write(block)
