"""HTTP connections for downloads: given up soon where nobody answers, and no header of a server is trusted."""

from __future__ import annotations

import http.client
import re
import socket
import urllib.error
import urllib.request
from typing import Any, NoReturn

from bench import __version__

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
CLOSING_TIMEOUT_S = 1.0  # after the last byte; a server that goes on sends at once
_BLOCK_BYTES = 1 << 16
_NUMBER = re.compile(r"[0-9]{1,15}")  # of bytes, in a header


class Refused(Exception):
    """An address does not give the file; the next one may."""


class Unreachable(Refused):
    """An address' host can't be reached."""


class Broken(Exception):
    """A connection broke halfway; worth another attempt."""


class NothingLeft(Exception):
    """The server has no bytes behind those that are here."""


class Response(http.client.HTTPResponse):
    """A response that keeps its socket, for another timeout."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.sock = sock


class _QuickHTTP(http.client.HTTPConnection):
    """Gives up soon on a host that does not answer, but lets a slow one send."""

    response_class = Response

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(READ_TIMEOUT_S)


class _QuickHTTPS(_QuickHTTP, http.client.HTTPSConnection):
    """The same over TLS."""


class _QuickHandler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler, urllib.request.FTPHandler):
    """In place of urllib's handlers, of which that for FTP takes redirects."""

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_QuickHTTP, request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_QuickHTTPS, request)

    def ftp_open(self, request: urllib.request.Request) -> NoReturn:
        raise ValueError(f"{request.full_url[:80]} is not of http")


def open_address(url: str, have: int) -> Response:
    """Ask for a file, from its byte ``have`` on.

    Raises:
        NothingLeft: there are no bytes from there on.
        Refused: the address does not give the file, or its host can't be reached.
        Broken: the connection broke.
    """
    headers = {"User-Agent": f"bench/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        request = urllib.request.Request(url, headers=headers)
        return urllib.request.build_opener(_QuickHandler).open(request, timeout=CONNECT_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            raise NothingLeft from None
        raise Refused(f"HTTP {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise Unreachable(f"can't be reached ({_reason(error)})") from None
    except (OSError, http.client.HTTPException) as error:
        raise Broken(_reason(error)) from None
    except ValueError as error:  # of an address that it sends us on to
        raise Refused(f"the server sends on to what is no address ({error})") from None


def read_block(response: Response, missing: int | None) -> bytes:
    """Return the next bytes, or the one behind the last where none is missing; nothing at the end."""
    if missing == 0:
        response.sock.settimeout(CLOSING_TIMEOUT_S)
    try:
        return response.read(_BLOCK_BYTES if missing is None else min(_BLOCK_BYTES, max(missing, 1)))
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: a chunk of less than no bytes
        if missing == 0:  # the server does not close, though it was asked to
            return b""
        raise Broken(_reason(error)) from None


def count_announced(response: Response) -> int | None:
    """Return how many bytes the body should have; None where nothing says."""
    values = {value.strip() for line in response.headers.get_all("Content-Length", []) for value in line.split(",")}
    if response.chunked or not values:  # in chunks the length does not count
        return None
    value = values.pop()
    if values or not _NUMBER.fullmatch(value):
        raise Refused("the server does not say clearly how many bytes it sends (Content-Length)")
    return int(value)


def find_start(response: http.client.HTTPResponse) -> int:
    """Return the offset at which the body starts: 0 unless the server answers with a part."""
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0
    match = re.match(rf"bytes ({_NUMBER.pattern})-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else -1


def _reason(error: BaseException) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
