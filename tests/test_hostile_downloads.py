"""Servers that lie or stammer: a whole file or an error of the suite's own, and never a part taken for the whole."""

from __future__ import annotations

import socketserver
import threading
import time

import pytest
from birds import FILES, UNPINNED, birds, data, png_bytes  # noqa: F401 (a fixture)

from bench.datasets import DatasetUnavailable, connections, resolve_dataset
from bench.datasets.catalogue import Source
from bench.datasets.download import Downloader, DownloadFailed

PICTURE = png_bytes(0, 40, 40)
LONG = b"9" * 5000
SQUARED = "²".encode("latin-1")


class Answer(socketserver.StreamRequestHandler):
    """Reads a request and sends ``server.answer``, whatever that is."""

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(self.server.answer)
        self.wfile.flush()
        if self.server.stays_open:
            self.rfile.read(1)


@pytest.fixture(scope="module")
def server():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as running:
        running.daemon_threads, running.stays_open = True, False
        running.url = f"http://127.0.0.1:{running.server_address[1]}/a.png"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def answer(*headers: bytes, body: bytes = PICTURE, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *headers, b"", body])


@pytest.mark.parametrize(("sent", "said"), [
    (answer(b"Content-Length: " + LONG), "Content-Length"),
    (answer(b"Content-Length: " + SQUARED), "Content-Length"),
    (answer(b"Content-Length: 100", b"Content-Length: %d" % len(PICTURE)), "Content-Length"),
    (answer(b"Content-Length: 100, 200"), "Content-Length"), (answer(b"Content-Length: -1"), "Content-Length"),
    (answer(b"Content-Length: +9"), "Content-Length"), (answer(b"Content-Length: "), "Content-Length"),
    (answer(b"Content-Range: bytes " + LONG + b"-", status=b"206 Partial"), "wrong place"),
    (answer(b"Content-Range: bytes " + SQUARED + b"-", status=b"206 Partial"), "wrong place"),
    (answer(b"Location: http://[", status=b"302 Found"), "no address"),
    (answer(b"Location: http://a..b\xff/", status=b"302 Found"), "a.png: "),
    (answer(b"Location: http://127.0.0.1:99999999/", status=b"302 Found"), "a.png: "),
    (answer(b"Location: ftp://127.0.0.1:1/a", status=b"302 Found"), "is not of http"),
    (answer(b"Location: file:///etc/passwd", status=b"302 Found"), "302"),
    (answer(b"Content-Length: 100"), "sends more than 100 bytes"), (answer(b"Content-Length: 0"), "sends more than 0"),
    (b"HTTP/1.1 " + LONG + b" OK\r\n\r\n", "broke 3 times"), (b"\0" * 300, "broke 3 times"), (b"", "broke 3 times"),
    (answer(b"Transfer-Encoding: chunked", body=LONG + b"\r\nabc"), "broke 3 times"),
    (answer(b"Transfer-Encoding: chunked", body=b"-5\r\nabc"), "broke 3 times"),
    (answer(b"X: " + bytes(70_000)), "broke 3 times"), (answer(*[b"X: 1"] * 200), "broke 3 times"),
])
def test_odd_answers_are_refused_and_named(server, tmp_path, sent, said):
    server.answer = sent
    with pytest.raises(DownloadFailed, match=said) as caught:
        Downloader().fetch([Source(server.url)], tmp_path / "a.png")
    assert server.url in str(caught.value) and not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("sent", [
    answer(b"Content-Length: %d" % len(PICTURE)), answer(), answer(*[b"Content-Length: %d" % len(PICTURE)] * 2),
    answer(b"Transfer-Encoding: chunked", b"Content-Length: 7",
           body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(PICTURE), PICTURE)),
])
def test_whole_files_are_taken_however_they_are_announced(server, tmp_path, sent):
    server.answer = sent
    Downloader().fetch([Source(server.url)], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == PICTURE


@pytest.mark.parametrize("headers", [[], [b"Content-Length: 5000"], [b"Content-Length: 99999999999999"]])
def test_no_more_arrives_than_a_picture_may_have(server, tmp_path, headers):
    server.answer = answer(*headers, body=bytes(5000))
    with pytest.raises(DownloadFailed, match="more than .*4,000"):
        Downloader().fetch([Source(server.url)], tmp_path / "a.png", most_bytes=4000)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0


def test_a_server_that_does_not_close_is_not_waited_for(server, tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "CLOSING_TIMEOUT_S", 0.05)
    monkeypatch.setattr(server, "stays_open", True)
    server.answer = answer(b"Content-Length: %d" % len(PICTURE))
    started = time.monotonic()
    Downloader().fetch([Source(server.url)], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == PICTURE and time.monotonic() - started < 10


@pytest.mark.parametrize("body", [FILES["bird1.png"][:-30], FILES["bird1.png"][:60], b"<html>", png_bytes(1, 6, 7)])
def test_a_picture_without_a_hash_is_decoded_before_it_is_taken(data, server, body):  # noqa: F811
    server.answer = answer(b"Content-Length: %d" % len(body), body=body)
    with pytest.raises(DatasetUnavailable, match="bird1.png"):
        resolve_dataset("birds", catalogue=birds(UNPINNED[:1], urls=(server.url,)))
    assert [path.name for path in (data / "birds").iterdir()] == [".lock"]

    server.answer = answer(body=FILES["bird1.png"])
    assert resolve_dataset("birds", catalogue=birds(UNPINNED[:1], urls=(server.url,))).complete
