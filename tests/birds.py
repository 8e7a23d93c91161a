"""A made-up image set of four small images, an empty place for it, and a server that has it."""

import hashlib
import http.server
import io
import threading
from functools import partial

import numpy as np
import pytest
from PIL import Image

from bench.datasets import DatasetSpec, ImageSpec, locate


def png_bytes(seed, width=5, height=4):
    """Return a PNG file of noise."""
    samples = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, "PNG")
    return buffer.getvalue()


FILES = {f"bird{n}.png": png_bytes(n) for n in range(1, 5)}
PINNED = tuple(ImageSpec(name, hashlib.sha256(content).hexdigest(), len(content), 5, 4)
               for name, content in FILES.items())
UNPINNED = (*(ImageSpec(name, width=5, height=4) for name in list(FILES)[:2]),
            *(ImageSpec(name, pixels=20) for name in list(FILES)[2:]))


@pytest.fixture
def data(tmp_path, monkeypatch):
    """An empty BENCH_DATA, and nothing found elsewhere."""
    monkeypatch.setattr(locate, "repository_root", lambda: tmp_path / "checkout" / "project")
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "data"


@pytest.fixture
def server(tmp_path):
    """Serves the folder ``served``; ``requests`` collects the paths asked for."""
    folder, requests = tmp_path / "served", []
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            requests.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running.folder, running.requests = folder, requests
        running.url = f"http://127.0.0.1:{running.server_port}"
        yield running
        running.shutdown()
        thread.join()


def birds(images=PINNED, **options):
    """Return a catalogue with the set."""
    folders = ("birds", "birds_sample")
    return {"birds": DatasetSpec(name="birds", title="Birds", images=images, licence="CC0", citation="nobody",
                                 folders=folders, **options)}


def put(folder, names=tuple(FILES)):
    """Write some of the set's images into a folder; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(FILES[name])
    return folder
