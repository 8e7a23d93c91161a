"""Downloads from a server on this machine: resume, checks, several addresses, failures."""

import hashlib
import http.server
import os
import re
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.common.errors import DatasetError
from bench.datasets import connections, download
from bench.datasets.catalogue import Source
from bench.datasets.download import Downloader, DownloadFailed

BODY = bytes(range(256)) * 2000  # 512 000 bytes
SIZE = len(BODY)
SHA256 = hashlib.sha256(BODY).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.files``; ``server.cut`` breaks the connection after that many bytes."""

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range")))
        body = self.server.files.get(self.path)
        if body is None:
            return self.send_error(404)
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if wanted and self.server.ranges:
            start = int(wanted[1])
            if start >= len(body):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = len(body) if self.server.cut is None else min(len(body), start + self.server.cut)
        self.wfile.write(body[start:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.files, running.requests, running.ranges, running.cut = {"/a.png": BODY}, [], True, None
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def source(server, path="/a.png", sha256=SHA256, size=SIZE):
    return Source(server.url + path, sha256, size)


def part_of(target, sha256=SHA256):
    return target.with_name(f"{target.name}.{sha256[:8]}.part")


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_download(server, tmp_path):
    target = tmp_path / "new" / "a.png"
    Downloader().fetch([source(server)], target)
    assert target.read_bytes() == BODY
    assert os.listdir(target.parent) == ["a.png"]


@pytest.mark.parametrize("sha256, size", [(SHA256, None), (None, len(BODY)), (None, None)])
def test_download_with_less_known(server, tmp_path, sha256, size):
    Downloader().fetch([source(server, sha256=sha256, size=size)], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == BODY


def test_resume_asks_only_for_the_rest(server, tmp_path):
    target = tmp_path / "a.png"
    part_of(target).write_bytes(BODY[:100_000])
    Downloader().fetch([source(server)], target)
    assert target.read_bytes() == BODY
    assert server.requests == [("/a.png", "bytes=100000-")]


def test_resume_where_the_server_can_not(server, tmp_path):
    server.ranges = False
    part_of(tmp_path / "a.png").write_bytes(BODY[:100_000])
    Downloader().fetch([source(server)], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == BODY


@pytest.mark.parametrize("size", [len(BODY), None])
def test_everything_had_arrived_before(server, tmp_path, size):
    """Killed between the last byte and the check."""
    part_of(tmp_path / "a.png").write_bytes(BODY)
    Downloader().fetch([source(server, size=size)], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == BODY


@pytest.mark.parametrize("start", [b"x" * 1000, b"x" * (len(BODY) + 7)])
@pytest.mark.parametrize("size", [len(BODY), None])
def test_a_wrong_beginning_is_thrown_away(server, tmp_path, start, size):
    part_of(tmp_path / "a.png").write_bytes(start)
    Downloader().fetch([source(server, size=size)], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == BODY


def test_a_broken_connection_is_resumed(server, tmp_path):
    server.cut = 200_000
    Downloader().fetch([source(server)], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == BODY
    assert [asked for _, asked in server.requests] == [None, "bytes=200000-", "bytes=400000-"]


def test_a_connection_that_breaks_too_often_keeps_what_arrived(server, tmp_path):
    server.cut = 1000
    with pytest.raises(DownloadFailed, match="broke 3 times"):
        Downloader().fetch([source(server)], tmp_path / "a.png")
    assert part_of(tmp_path / "a.png").read_bytes() == BODY[:3000]
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("body, says", [
    (BODY[:-1] + b"!", "SHA-256"), (BODY + b"!", "more than|not 512,000"),
    (BODY[:-1], "of 512,000|not 512,000")])
def test_a_wrong_file_is_not_put_in_place(server, tmp_path, body, says):
    server.files["/a.png"] = body
    with pytest.raises(DownloadFailed, match=says):
        Downloader().fetch([source(server)], tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_a_file_without_end_is_cut_off(server, tmp_path):
    server.files["/a.png"] = BODY * 4
    with pytest.raises(DownloadFailed, match="sends more than 512,000 bytes"):
        Downloader().fetch([source(server)], tmp_path / "a.png")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= len(BODY)


def test_addresses_are_tried_in_order(server, tmp_path):
    server.files["/wrong.png"] = BODY[::-1]
    nowhere = Source(f"http://127.0.0.1:{unused_port()}/a.png", SHA256, len(BODY))
    sources = [nowhere, source(server, "/absent.png"), source(server, "/wrong.png"), source(server)]
    Downloader().fetch(sources, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == BODY
    assert [path for path, _ in server.requests] == ["/absent.png", "/wrong.png", "/a.png"]


def test_failure_names_every_address_and_reason(server, tmp_path):
    port = unused_port()
    sources = [Source(f"http://127.0.0.1:{port}/a.png"), source(server, "/absent.png")]
    with pytest.raises(DownloadFailed) as caught:
        Downloader().fetch(sources, tmp_path / "a.png")
    assert f"127.0.0.1:{port}/a.png: can't be reached" in str(caught.value)
    assert "/absent.png: HTTP 404" in str(caught.value)


def test_a_silent_host_is_given_up_soon_and_not_asked_again(tmp_path, monkeypatch):
    """A listener whose queue is full neither accepts nor refuses, as an unplugged network does."""
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT_S", 0.3)
    with socket.socket() as silent, socket.socket() as first, socket.socket() as second:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(silent.getsockname())
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.png"
        downloader = Downloader()
        started = time.monotonic()
        for _ in range(10):
            with pytest.raises(DownloadFailed, match="can't be reached"):
                downloader.fetch([Source(url)], tmp_path / "a.png")
        assert time.monotonic() - started < 1.5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_disk(server, tmp_path):
    target = tmp_path / "a.png"
    part_of(target).symlink_to("/dev/full")
    with pytest.raises(DatasetError, match="disk is full") as caught:
        Downloader().fetch([source(server)], target)
    assert "BENCH_DATA" in caught.value.hint and not isinstance(caught.value, DownloadFailed)
    assert caught.value.exit_code == 2


def test_too_little_room_is_noticed_before_writing(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    with pytest.raises(DatasetError, match="needs 512,000 bytes"):
        Downloader().fetch([source(server)], tmp_path / "a.png")


def test_a_folder_that_can_not_be_written(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DownloadFailed, match="can't be written"):
        Downloader().fetch([source(server)], tmp_path / "file" / "a.png")
