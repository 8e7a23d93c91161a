"""Answers of a server on this machine: whatever it sends, the whole file or an error comes out."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import socketserver
import threading
from functools import cache
from pathlib import Path
from typing import Any

from birds import png_bytes
from fuzz.damage import damaged
from fuzz.trials import Generator, Trial
from hypothesis import strategies as st

from bench.datasets import ImageSpec
from bench.datasets.catalogue import Source
from bench.datasets.download import Downloader
from bench.datasets.images import read_rgb8
from bench.datasets.locate import inspect_image

PICTURE = png_bytes(0, 40, 40)
SHA256 = hashlib.sha256(PICTURE).hexdigest()
PINNED, UNPINNED = "pinned.http", "unpinned.http"
ADDRESS = "/picture.png"
NAMES = (b"Content-Length", b"Content-Range", b"Transfer-Encoding", b"Location", b"Content-Type", b"Content-Encoding",
         b"Connection", b"content-length", b"Retry-After", b"Set-Cookie")
LENGTH = b"%d" % len(PICTURE)
VALUES = st.one_of(
    st.integers(-10, len(PICTURE) + 10).map(b"%d".__mod__), st.binary(max_size=8),
    st.sampled_from([b"chunked", b"gzip", b"identity", b"bytes 0-", b"bytes 5-9/10", b"bytes */10", b"http://", b"//",
                     b"?", b"9" * 5000, "²".encode("latin-1"), b"+5", b"0x10", b"5, 5", LENGTH, b"close", b"keep-alive",
                     b"http://[", b"file:///etc/passwd", b"data:,x", b"ftp://127.0.0.1:1/a", b"http://127.0.0.1:1/a",
                     b"http://127.0.0.1:99999/", b"/other", b"image/png", b"\xff" * 9]))
STATUS = st.sampled_from([b"200 OK"] * 6 + [b"206 Partial Content", b"204 No Content", b"301 Moved", b"302 Found",
                         b"416 Range", b"500 \x1b[31m", b"100 Continue", b"304 Not Modified", b"401 No", b"407 Proxy",
                         b"999 x", b"99 x", b"2000 x", b"x", b""])


class Answering(socketserver.ThreadingTCPServer):
    """Sends ``answer`` to whoever asks, and closes."""

    daemon_threads = True
    allow_reuse_address = True
    answer = b""


class Handler(socketserver.StreamRequestHandler):
    """Reads a request's header, whatever it asks."""

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # who asked may be gone
            while self.rfile.readline().strip():
                pass
            self.wfile.write(self.server.answer)  # type: ignore[attr-defined]


@cache
def serve() -> Answering:
    """The one server of this process."""
    server = Answering(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.5}, daemon=True).start()
    return server


def find_address(_: Path | None = None) -> str:
    return f"http://127.0.0.1:{serve().server_address[1]}{ADDRESS}"


def join(status: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *(b"%b: %b" % header for header in headers), b"", body])


@st.composite
def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    """A body in chunks."""
    cuts = [0, *sorted(draw(st.lists(st.integers(1, len(body)), max_size=3, unique=True)))]
    parts = [part for part in (body[start:end] for start, end in zip(cuts, [*cuts[1:], len(body)])) if part]
    sizes = [draw(st.sampled_from([b"%x", b"%X", b"000%x", b"%x;name=value"])) % len(part) for part in parts]
    return b"".join(b"%b\r\n%b\r\n" % pair for pair in zip(sizes, parts)) + b"0\r\n\r\n"


@st.composite
def whole_answers(draw: st.DrawFn) -> bytes:
    """The file, announced in one of the ways that HTTP has."""
    headers = draw(st.lists(st.sampled_from([(b"Content-Type", b"image/png"), (b"X-Any", b"a, b"), (b"ETag", b'"1"')]),
                            max_size=2))
    case = draw(st.sampled_from(["length", "twice", "end", "chunks"]))
    if case == "chunks":
        return join(b"200 OK", [*headers, (b"Transfer-Encoding", b"chunked")], draw(chunked(PICTURE)))
    lengths = {"length": [(b"Content-Length", LENGTH)], "twice": [(b"Content-Length", LENGTH)] * 2, "end": []}[case]
    return join(b"200 OK", draw(st.permutations([*headers, *lengths])), PICTURE)


@st.composite
def resumed(draw: st.DrawFn) -> Trial:
    """A server that goes on, rightly or not, where a download broke that left the file's beginning, or anything."""
    have = draw(st.integers(1, len(PICTURE) - 1))
    part = draw(st.sampled_from([PICTURE[:have], PICTURE[:have], bytes(have), PICTURE + b"more"]))
    start = draw(st.sampled_from([have, have, have, 0, have - 1, have + 1]))
    places = b"bytes %d-%d/%d" % (start, len(PICTURE) - 1, len(PICTURE))
    headers = [(b"Content-Range", places), (b"Content-Length", b"%d" % (len(PICTURE) - start))]
    answer = draw(st.sampled_from([join(b"206 Partial Content", headers, PICTURE[start:]), draw(whole_answers()),
                                   join(b"416 Range Not Satisfiable", [(b"Content-Length", b"0")], b"")]))
    is_right = b"416" not in answer[:20] and (b"206" not in answer[:20] or (part == PICTURE[:have] and start == have))
    return Trial({PINNED: answer, f"picture.png.{SHA256[:8]}.part": part}, SHA256, refusable=not is_right)


@st.composite
def answers(draw: st.DrawFn) -> Trial:
    """What a server sends for a file of which the digest is known, or not."""
    name = draw(st.sampled_from([PINNED, UNPINNED]))
    case = draw(st.sampled_from(["whole", "headers", "headers", "bytes", "chunks", "resumed"]))
    if case == "resumed":
        return draw(resumed())
    if case == "whole":
        return Trial({name: draw(whole_answers())}, SHA256, refusable=False)
    if case == "bytes":
        return Trial({name: draw(damaged(draw(whole_answers())))})
    if case == "chunks":
        body = draw(damaged(draw(chunked(PICTURE))))
        return Trial({name: join(b"200 OK", [(b"Transfer-Encoding", b"chunked")], body)})
    headers = draw(st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=4))
    body = PICTURE[: draw(st.integers(0, len(PICTURE)))] + draw(st.sampled_from([b"", b"", b"more"]))
    return Trial({name: join(draw(STATUS), headers, body)})


def read(path: Path) -> Any:
    """Download the file, and check that it is whole, or that nothing is there."""
    server, target = serve(), path.parent / "picture.png"
    server.answer = path.read_bytes()
    os.environ["no_proxy"] = "*"
    pinned = path.name == PINNED
    spec = ImageSpec("picture.png", width=40, height=40)
    source = Source(find_address(), SHA256 if pinned else None)
    find_fault = None if pinned else (lambda part: inspect_image(spec, part, decode=True).fault)
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            Downloader().fetch([source], target, find_fault)
        except BaseException:
            assert not target.exists(), "a file that was refused is there"
            raise
    found = hashlib.sha256(target.read_bytes()).hexdigest()
    assert found == SHA256 or not pinned, "another file than the wanted one"
    (path.parent / "right.png").write_bytes(PICTURE)
    assert (read_rgb8(target) == read_rgb8(path.parent / "right.png")).all(), "another picture"
    return found


ANSWERS = Generator("answers", answers(), read, 150, find_address)
