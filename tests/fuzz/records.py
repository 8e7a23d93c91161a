"""Files of one JSON object: the record of a trial, of the pictures of a run, the front page's answer, exports."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import msgspec
from fuzz.damage import damaged
from fuzz.json_values import respelled, wrong_texts
from fuzz.trials import Generator, Trial
from hypothesis import strategies as st
from PIL import Image
from tiny_models import picture

from bench.reports.front.answer import read_answer
from bench.results.folder_record import read_record
from bench.runners.crosscheck import exchange
from bench.training.search.record import read_trial

ANSWER = "answer.json"
RECORDS: dict[str, Any] = {
    "trial.json": {"lambda": 0.013, "parameters": {"gamma": 0.003}, "state": "complete", "steps": 20, "loss": 1.5,
                   "bpp": 0.5, "psnr_db": 30.25, "variant": "a", "own": {"gamma": 0.001}, "training": "1f"},
    "pictures.json": {"place": "ab", "pictures": {"a.png": "00", "b.png": "01"}},
    ANSWER: {"schema": 1, "datasets": [{"name": "kodak", "title": "Kodak", "images": 24, "benchmark": True}],
             "rows": [], "claims": [{"claim": "a", "codec": "b", "what": "c", "claimed": "d", "verdict": "SUPPORTED"}],
             "changes": [], "compared": False},
}


@st.composite
def records(draw: st.DrawFn) -> Trial:
    """A record with mistakes, or spelled in another way."""
    name, values = draw(st.sampled_from(list(RECORDS.items())))
    if name == ANSWER or draw(st.integers(0, 3)):
        content = st.one_of(wrong_texts(values).map(str.encode), damaged(json.dumps(values).encode()))
        return Trial({name: draw(content)})
    return Trial({name: draw(respelled(values)).encode()}, values, refusable=False)


def read(path: Path) -> Any:
    """Read a record as the suite does."""
    if path.name == ANSWER:
        return json.loads(read_answer(path).to_bytes())
    if path.name == "pictures.json":
        return msgspec.to_builtins(read_record(path.parent))
    trial = msgspec.to_builtins(read_trial(path))
    return {name: value for name, value in trial.items() if name != "place"}


def make_export() -> dict[str, bytes]:
    """The files of an exported folder, the manifest first."""
    stream, png = b"stream", io.BytesIO()
    Image.fromarray(picture(8, 6)).save(png, "PNG")
    digests = [hashlib.sha256(content).hexdigest() for content in (stream, png.getvalue())]
    file = {"image": "a.png", "image_sha256": "0" * 64, "stream_sha256": digests[0], "picture_sha256": digests[1],
            "width": 8, "height": 6, "latents_crc": 7}
    unit = {"name": "tiny", "point": "0.01", "label": "Tiny", "miniature": True, "exact": False, "format": 2,
            "identity": {"codec": "learned", "settings": {"a": [1, 2]}}, "files": [file]}
    manifest = {"schema": 1, "dataset": "kodak", "encoder_machine": "cpu", "encoder_setting": "same",
                "code_version": "0.1", "units": [unit]}
    return {exchange.MANIFEST: json.dumps(manifest).encode(), f"{digests[0]}.bin": stream,
            f"{digests[1]}.png": png.getvalue()}


EXPORT = make_export()
PIXELS = picture(8, 6)
RIGHT = [["stream", hashlib.sha256(PIXELS).hexdigest()]]


@st.composite
def exports(draw: st.DrawFn) -> Trial:
    """An exported folder with mistakes in one of its files; nothing else than its own picture may come out."""
    files = dict(EXPORT)
    name = draw(st.sampled_from([exchange.MANIFEST, exchange.MANIFEST, *files]))
    if name != exchange.MANIFEST:
        files[name] = draw(damaged(files[name]))
        return Trial(files, RIGHT)

    values = json.loads(files[name])
    if draw(st.integers(0, 4)) == 0:
        return Trial({**files, name: draw(respelled(values)).encode()}, RIGHT, refusable=False)
    files[name] = draw(st.one_of(wrong_texts(values).map(str.encode), damaged(files[name])))
    return Trial(files)


def read_export(path: Path) -> Any:
    """Read a manifest, and all that it names."""
    manifest = exchange.read_manifest(path.parent)
    found = []
    for file in (file for unit in manifest.units for file in unit.files):
        stream = exchange.find_stream(path.parent, file).read_bytes()
        pixels = exchange.read_picture(path.parent, file)
        assert stream == b"stream" and (pixels == PIXELS).all(), "what is not what was exported"
        found.append([stream.decode(), hashlib.sha256(pixels).hexdigest()])
    return found


RECORD_FILES = Generator("records", records(), read, 200)
EXPORTS = Generator("exports", exports(), read_export, 200, lambda path: str(path.parent))
