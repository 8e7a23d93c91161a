"""Download one file over HTTP: resumed where it stopped, checked, then put in place in one step.

Of the libraries for this, pooch checks a hash but begins again after a broken connection, knows one address a file,
and bounds neither what a server sends nor what an archive unpacks to.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import re
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from tqdm import tqdm

from bench import __version__
from bench.common.errors import DatasetError
from bench.common.files import is_out_of_space
from bench.common.hashing import sha256_of_stream
from bench.datasets.catalogue import Source

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
ATTEMPTS = 3  # per address, when a connection breaks halfway
_BLOCK_BYTES = 1 << 16


class DownloadFailed(DatasetError):
    """No address gives the file, or there is no place for it.

    Args:
        reasons: why, in short, without addresses.
    """

    def __init__(self, message: str, hint: str = "", reasons: Iterable[str] = ()) -> None:
        super().__init__(message, hint)
        self.reasons = tuple(dict.fromkeys(reasons))


class _Refused(Exception):
    """An address does not give the file; the next one may."""


class _Unreachable(_Refused):
    """An address' host can't be reached."""


class _Broken(Exception):
    """A connection broke halfway; worth another attempt."""


@dataclass
class Downloader:
    """Downloads files and remembers which hosts can't be reached, so that each is waited for only once."""

    unreachable: dict[str, str] = field(default_factory=dict)

    def fetch(self, sources: Sequence[Source], target: Path) -> None:
        """Download ``target`` from the first of ``sources`` that gives it.

        What has arrived is kept in a ``.part`` file beside it and resumed by the next call. ``target``
        appears only when size and SHA-256 are right, where they are known.

        Raises:
            DownloadFailed: no source gives the file, or it can't be put there; names each address and reason.
            DatasetError: the disk is full.
        """
        reasons: list[tuple[str, str]] = []
        for source in sources:
            part = _part_file(target, source)
            try:
                part.parent.mkdir(parents=True, exist_ok=True)
                self._fetch_from(source, part, target.name)
                part.replace(target)
                return
            except _Refused as refused:
                reasons.append((source.url, str(refused)))
            except OSError as error:
                raise explain_unwritable(part, error) from None
        details = [f"{url}: {reason}" for url, reason in reasons]
        raise DownloadFailed("\n  ".join([f"{target.name} can't be downloaded:", *details]),
                             reasons=(reason for _, reason in reasons))

    def _fetch_from(self, source: Source, part: Path, label: str) -> None:
        host = urlsplit(source.url).netloc
        if host in self.unreachable:
            raise _Unreachable(self.unreachable[host])
        resumed = _size(part) > 0
        for attempt in range(1, ATTEMPTS + 1):
            try:
                _transfer(source, part, label)
                break
            except _Unreachable as error:
                self.unreachable[host] = str(error)
                raise
            except _Broken as error:
                if attempt == ATTEMPTS:
                    raise _Refused(f"the connection broke {ATTEMPTS} times ({error})") from None
        wrong = find_fault(source, part)
        if wrong:
            part.unlink(missing_ok=True)
            if resumed:  # what was there before may have been the wrong part
                return self._fetch_from(source, part, label)
            raise _Refused(wrong)


def _part_file(target: Path, source: Source) -> Path:
    """Return where the unfinished file is kept; sources share it only if their bytes are the same."""
    identity = source.sha256 or hashlib.sha256(source.url.encode()).hexdigest()
    return target.with_name(f"{target.name}.{identity[:8]}.part")


def _transfer(source: Source, part: Path, label: str) -> None:
    """Append what is missing to ``part``; a server that does not resume makes it start again."""
    have = _size(part)
    if source.size is not None and have >= source.size:
        return
    headers = {"User-Agent": f"bench/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        request = urllib.request.Request(source.url, headers=headers)
        response = urllib.request.build_opener(_QuickHandler).open(request, timeout=CONNECT_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            if source.sha256 is None or find_fault(source, part):
                part.unlink()
                raise _Broken("the server can't resume") from None
            return
        raise _Refused(f"HTTP {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise _Unreachable(f"can't be reached ({_reason(error)})") from None
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(_reason(error)) from None
    with response:
        start = _range_start(response)
        if start not in (0, have):
            raise _Refused("the server resumes at the wrong place")
        with open(part, "ab" if start else "wb") as stream:
            _copy(response, stream, source, start, label)


def _copy(response: http.client.HTTPResponse, stream: BinaryIO, source: Source, start: int,
          label: str) -> None:
    """Copy the response's body, never more than the file's known size, with progress."""
    announced = response.headers.get("Content-Length", "")
    total = source.size or (start + int(announced) if announced.isdigit() else None)
    if total is not None and total - start > shutil.disk_usage(Path(stream.name).parent).free:
        raise OSError(errno.ENOSPC, f"needs {total - start:,} bytes")
    size = start
    with _progress(label, total, start) as progress:
        while True:
            try:
                block = response.read(_BLOCK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise _Broken(_reason(error)) from None
            if not block:
                break
            size += len(block)
            if total is not None and size > total:
                raise _Refused(f"sends more than {total:,} bytes")
            stream.write(block)
            progress.update(len(block))
        stream.flush()
    if total is not None and size < total:
        raise _Broken(f"{size:,} of {total:,} bytes arrived")


def _range_start(response: http.client.HTTPResponse) -> int:
    """Return the offset at which the body starts: 0 unless the server answers with a part."""
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else -1


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


def _reason(error: BaseException) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


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
    if not sys.stderr.isatty():
        size = f" ({total / 1e6:.1f} MB)" if total else ""
        print(f"fetching {label}{size}", file=sys.stderr, flush=True)
    return tqdm(total=total, initial=start, desc=label, unit="B", unit_scale=True, disable=None, leave=False)


class _QuickHTTP(http.client.HTTPConnection):
    """Gives up soon on a host that does not answer, but lets a slow one send."""

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(READ_TIMEOUT_S)


class _QuickHTTPS(_QuickHTTP, http.client.HTTPSConnection):
    """The same over TLS."""


class _QuickHandler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_QuickHTTP, request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_QuickHTTPS, request)
