"""Download one file over HTTP: resumed where it stopped, checked, then put in place in one step.

Of the libraries for this, pooch checks a hash but begins again after a broken connection, knows one address a file,
and bounds neither what a server sends nor what an archive unpacks to.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from tqdm import tqdm

from bench.common.errors import DatasetError
from bench.common.files import is_out_of_space
from bench.common.hashing import sha256_of_stream
from bench.common.text import strip_controls
from bench.datasets.catalogue import Source
from bench.datasets.connections import (
    Broken,
    NothingLeft,
    Refused,
    Response,
    Unreachable,
    count_announced,
    find_start,
    open_address,
    read_block,
)

MOST_BYTES = 1 << 36  # of any file
ATTEMPTS = 3  # per address, when a connection breaks halfway


class DownloadFailed(DatasetError):
    """No address gives the file, or there is no place for it.

    Args:
        reasons: why, in short, without addresses.
    """

    def __init__(self, message: str, hint: str = "", reasons: Iterable[str] = ()) -> None:
        super().__init__(message, hint)
        self.reasons = tuple(dict.fromkeys(reasons))


@dataclass
class Downloader:
    """Downloads files and remembers which hosts can't be reached, so that each is waited for only once."""

    unreachable: dict[str, str] = field(default_factory=dict)

    def fetch(self, sources: Sequence[Source], target: Path,
              find_content_fault: Callable[[Path], str | None] | None = None, most_bytes: int = MOST_BYTES) -> None:
        """Download ``target`` from the first of ``sources`` that gives it.

        What has arrived is kept in a ``.part`` file beside it and resumed by the next call. ``target``
        appears only when size and SHA-256 are right, where they are known.

        Args:
            find_content_fault: says why a file that has arrived is not accepted, or None.
            most_bytes: that the file may have where its size is not published.

        Raises:
            DownloadFailed: no source gives the file, or it can't be put there; names each address and reason.
            DatasetError: the disk is full.
        """
        reasons: list[tuple[str, str]] = []
        for source in sources:
            part = _part_file(target, source)
            try:
                part.parent.mkdir(parents=True, exist_ok=True)
                self._fetch_from(source, part, target.name, most_bytes, find_content_fault)
                part.replace(target)
                return
            except Refused as refused:
                reasons.append((source.url, str(refused)))
            except OSError as error:
                raise explain_unwritable(part, error) from None
        details = [f"{url}: {reason}" for url, reason in reasons]
        raise DownloadFailed("\n  ".join([f"{target.name} can't be downloaded:", *details]),
                             reasons=(reason for _, reason in reasons))

    def _fetch_from(self, source: Source, part: Path, label: str, most_bytes: int,
                    find_content_fault: Callable[[Path], str | None] | None) -> None:
        host = urlsplit(source.url).netloc
        if host in self.unreachable:
            raise Unreachable(self.unreachable[host])
        resumed = _size(part) > 0
        for attempt in range(1, ATTEMPTS + 1):
            try:
                _transfer(source, part, label, most_bytes)
                break
            except Unreachable as error:
                self.unreachable[host] = str(error)
                raise
            except Broken as error:
                if attempt == ATTEMPTS:
                    raise Refused(f"the connection broke {ATTEMPTS} times ({error})") from None
        wrong = find_fault(source, part)
        if wrong is None and find_content_fault is not None:
            wrong = find_content_fault(part)
        if wrong:
            part.unlink(missing_ok=True)
            if resumed:  # what was there before may have been the wrong part
                return self._fetch_from(source, part, label, most_bytes, find_content_fault)
            raise Refused(wrong)


def _part_file(target: Path, source: Source) -> Path:
    """Return where the unfinished file is kept; sources share it only if their bytes are the same."""
    identity = source.sha256 or hashlib.sha256(source.url.encode()).hexdigest()
    return target.with_name(f"{target.name}.{identity[:8]}.part")


def _transfer(source: Source, part: Path, label: str, most_bytes: int) -> None:
    """Append what is missing to ``part``; a server that does not resume makes it start again."""
    have = _size(part)
    if source.size is not None and have >= source.size:
        return
    try:
        response = open_address(source.url, have)
    except NothingLeft:
        if source.sha256 is None or find_fault(source, part):
            part.unlink()
            raise Broken("the server can't resume") from None
        return
    with response:
        start = find_start(response)
        if start not in (0, have):
            raise Refused("the server resumes at the wrong place")
        with open(part, "ab" if start else "wb") as stream:
            _copy(response, stream, source, start, label, most_bytes)


def _copy(response: Response, stream: BinaryIO, source: Source, start: int, label: str, most_bytes: int) -> None:
    """Copy the response's body, never more than the file's known or announced size or ``most_bytes``, with progress."""
    announced = count_announced(response)
    total = source.size or (None if announced is None else start + announced)
    most_bytes = source.size or most_bytes
    if total is not None and total > most_bytes:
        raise Refused(f"announces {total:,} bytes, more than the {most_bytes:,} that it may have")
    if total is not None and total - start > shutil.disk_usage(Path(stream.name).parent).free:
        raise OSError(errno.ENOSPC, f"needs {total - start:,} bytes")
    size = start
    response.length = None  # so that what follows the announced end is seen: then the end is not the file's
    with _progress(label, total, start) as progress:
        while block := read_block(response, None if total is None else total - size):
            size += len(block)
            if size > (most := most_bytes if total is None else total):
                Path(stream.name).unlink()
                raise Refused(f"sends more than {most:,} bytes")
            stream.write(block)
            progress.update(len(block))
        stream.flush()
    if total is not None and size < total:
        raise Broken(f"{size:,} of {total:,} bytes arrived")


def find_fault(source: Source, path: Path) -> str | None:
    """Return why a file is not the one that ``source`` should give, or None.

    Raises:
        DatasetError: the file can't be read.
    """
    if source.size is not None and _size(path) != source.size:
        return f"has {_size(path):,} bytes, not {source.size:,}"
    if source.sha256 is None:
        return None
    try:
        with open(path, "rb") as stream:  # just written, so a remembered hash may be that of its predecessor
            digest = sha256_of_stream(stream)
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}", "check the file and its permissions") from None
    return None if digest == source.sha256 else "its SHA-256 is another"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def explain_unwritable(path: Path, error: OSError) -> DatasetError:
    """Return the error for a file of a set that the operating system does not let us write."""
    if is_out_of_space(error.errno) or error.errno == errno.EFBIG:
        return DatasetError(f"{path}: the disk is full ({error.strerror})",
                            "make room or set BENCH_DATA to a folder on another disk, then run it again: "
                            "the download goes on where it stopped")
    return DownloadFailed(f"{path}: can't be written ({error.strerror})",
                          "set BENCH_DATA to a folder that can be written",
                          [f"{path.parent} can't be written ({error.strerror})"])


def _progress(label: str, total: int | None, start: int) -> tqdm:
    """Return a progress bar, on a terminal; elsewhere a line says what is being fetched."""
    label = strip_controls(label)
    if not sys.stderr.isatty():
        size = f" ({total / 1e6:.1f} MB)" if total else ""
        print(f"fetching {label}{size}", file=sys.stderr, flush=True)
    return tqdm(total=total, initial=start, desc=label, unit="B", unit_scale=True, disable=None, leave=False)
