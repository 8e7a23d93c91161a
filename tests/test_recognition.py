"""A set's pictures are known by their pixels, under other bytes and other names."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import faulty_codecs
import numpy as np
import pytest
from birds import FILES, PINNED, birds, data, png_bytes, put  # noqa: F401 (data is a fixture)
from msgspec import structs
from PIL import Image

from bench.cli import main
from bench.common.hashing import sha256_of_pixels
from bench.datasets import resolve_dataset
from bench.datasets.images import decode_rgb8
from bench.datasets.locate import BY_PIXELS, find_copy
from bench.results.rows import FAILED, OK
from bench.runners.evaluate.measure import run_unit
from bench.runners.evaluate.unit import Unit, name_images

KODAK = Path(__file__).parents[2] / "shared" / "data" / "kodak"
PIXELS = {name: decode_rgb8(content, name) for name, content in FILES.items()}
KNOWN = tuple(structs.replace(image, pixels_sha256=sha256_of_pixels(PIXELS[image.name])) for image in PINNED)


def encode_again(content: bytes) -> bytes:
    """The same pixels in other bytes."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(content)).save(stream, "PNG", compress_level=0)
    assert stream.getvalue() != content
    return stream.getvalue()


def put_as(folder: Path, names: dict[str, str], again: bool = False) -> None:
    """Write the set's files under other names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, other in names.items():
        (folder / other).write_bytes(encode_again(FILES[name]) if again else FILES[name])


@pytest.mark.parametrize("rename", [
    lambda name: name, lambda name: name[4:], str.upper,
    lambda name: {"1": "2", "2": "1"}.get(name[4], name[4]) + ".PNG",
    lambda name: f"bird{dict(zip('1234', '2143'))[name[4]]}.png",
], ids=["same", "number", "upper", "numbers-upper", "swapped"])
def test_pixels_are_recognised_under_other_bytes_and_names(data, rename):  # noqa: F811
    put_as(data / "birds", {name: rename(name) for name in FILES}, again=True)
    dataset = resolve_dataset("birds", catalogue=birds(KNOWN), fetch=False)
    assert dataset.complete and dataset.coverage == "4 images, 4 verified by pixels"
    for image, spec in zip(dataset.images, KNOWN):
        assert (image.name, image.sha256, image.verified) == (spec.name, spec.sha256, True)
        assert np.array_equal(decode_rgb8(image.path.read_bytes(), image.name), PIXELS[spec.name])
    assert find_copy(birds(KNOWN)["birds"]).named(BY_PIXELS) == tuple(FILES)


def test_the_same_bytes_under_other_names_are_plainly_verified(data):  # noqa: F811
    put_as(data / "birds", {name: name[4:] for name in FILES})
    dataset = resolve_dataset("birds", catalogue=birds(KNOWN), fetch=False)
    assert dataset.coverage == "4 images" and all(image.verified for image in dataset.images)


def test_other_pixels_are_altered_all_the_same(data):  # noqa: F811
    put(data / "birds")
    (data / "birds" / "bird2.png").write_bytes(png_bytes(77))
    (data / "birds" / "more.png").write_bytes(png_bytes(78))
    location = find_copy(birds(KNOWN)["birds"])
    assert location.named("altered") == ("bird2.png",) and location.good == 3
    assert "doesn't hold the same pixels" in location.states[1].fault


def test_a_row_of_such_a_picture_has_the_key_of_the_catalogues(data, tmp_path, monkeypatch):  # noqa: F811
    for name in ("BENCH_PLUGINS", "PYTHONPATH"):
        monkeypatch.setenv(name, faulty_codecs.environment()[name])
    put(data / "birds")
    plain = resolve_dataset("birds", catalogue=birds(KNOWN), fetch=False)
    again = data / "again"
    put_as(again / "birds", {name: name[4:] for name in FILES}, again=True)
    monkeypatch.setenv("BENCH_DATA", str(again))
    other = resolve_dataset("birds", catalogue=birds(KNOWN), fetch=False)

    unit = Unit(faulty_codecs.spec(), "birds", 4, name_images(plain))
    first = list(run_unit(unit))
    second = list(run_unit(replace(unit, images=name_images(other))))
    assert [(row.key, row.status, row.image_verified, row.pixels_sha256) for row in first] == [
        (row.key, OK, True, row.pixels_sha256) for row in second]

    Path(other.images[0].path).write_bytes(png_bytes(77))
    changed = next(run_unit(replace(unit, images=name_images(other)[:1])))
    assert changed.status == FAILED and "its pixels are others" in changed.reason


def test_stored_rows_of_kodak_are_found_under_other_bytes_and_names(tmp_path, monkeypatch, capsys):
    """The plan is that of the files as they are published."""
    if not KODAK.is_dir():
        pytest.skip("../shared/data/kodak is not here")
    command = ["evaluate", "--dataset", "kodak", "--codecs", "jpeg", "--plan"]
    monkeypatch.setenv("BENCH_DATA", str(KODAK.parent))
    assert main(command) == 0
    published = capsys.readouterr().out
    folder = tmp_path / "data" / "kodak"
    folder.mkdir(parents=True)
    for path in KODAK.glob("*.png"):
        shutil.copy(path, folder / path.name.upper())
    for number in range(1, 4):
        path = folder / f"KODIM0{number}.PNG"
        Image.open(path).save(folder / f"{number}.png", compress_level=1)
        path.unlink()
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    assert main(["datasets", "verify", "kodak"]) == 0
    assert capsys.readouterr().out.count("verified by pixels") == 3
    assert main(command) == 0
    assert capsys.readouterr().out == published.replace("24 images", "24 images, 3 verified by pixels", 1)
