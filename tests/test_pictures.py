"""Pictures that are kept between rate points."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.common.errors import ImageError
from bench.datasets.images import MAX_BYTES, image_size, read_rgb8
from bench.runners.evaluate import pictures
from bench.runners.evaluate.pictures import Pictures
from bench.runners.evaluate.unit import UnitImage


def write_picture(path: Path, seed: int) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the files that are decoded."""
    seen: list[str] = []
    decode = pictures.decode_rgb8
    monkeypatch.setattr(pictures, "decode_rgb8",
                        lambda content, name: (seen.append(Path(name).name), decode(content, name))[1])
    return seen


def name_image(path: Path) -> UnitImage:
    return UnitImage(path.name, str(path), hashlib.sha256(path.read_bytes()).hexdigest())


def test_each_file_is_decoded_once_and_what_was_written_into_it_is_gone(tmp_path: Path, reads: list[str]) -> None:
    kept = Pictures()
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    wanted = [write_picture(path, number) for number, path in enumerate(paths)]
    images = [name_image(path) for path in paths]
    for _ in range(3):
        for image, pixels in zip(images, wanted):
            given = kept.read(image)
            assert np.array_equal(given, pixels) and given.flags.writeable
            given[:] = 0
    assert reads == ["0.png", "1.png", "2.png"]


def test_a_file_that_changed_is_read_anew_and_refused_as_another_picture(tmp_path: Path) -> None:
    kept, path = Pictures(), tmp_path / "a.png"
    write_picture(path, 1)
    first = name_image(path)
    kept.read(first)
    other = write_picture(path, 2)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000))
    with pytest.raises(ImageError, match=r"a\.png: holds another picture than when the run was planned"):
        kept.read(first)
    assert np.array_equal(kept.read(name_image(path)), other)


def test_those_that_fit_stay_and_others_are_read_each_time(tmp_path: Path, reads: list[str]) -> None:
    kept = Pictures(budget_bytes=2 * 8 * 12 * 3)
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        write_picture(path, number)
    images = [name_image(path) for path in paths]
    for _ in range(2):
        for image in images:
            kept.read(image)
    assert reads == ["0.png", "1.png", "2.png", "2.png"]


def test_what_cannot_be_read_says_so_each_time(tmp_path: Path) -> None:
    kept, path = Pictures(), tmp_path / "a.png"
    write_picture(path, 1)
    image = name_image(path)
    path.rename(tmp_path / "away.png")
    for _ in range(2):
        with pytest.raises(ImageError, match=r"a\.png: No such file"):
            kept.read(image)
    (tmp_path / "away.png").rename(path)
    assert kept.read(image).shape == (8, 12, 3)


def test_a_file_of_gigabytes_is_refused_unread(tmp_path: Path, reads: list[str]) -> None:
    path = tmp_path / "a.png"
    write_picture(path, 1)
    image = name_image(path)
    with path.open("r+b") as file:
        file.truncate(MAX_BYTES + 1)  # which takes no room on the disk
    for read in (lambda: Pictures().read(image), lambda: read_rgb8(path), lambda: image_size(path)):
        with pytest.raises(ImageError, match="a.png: has more than 1,073,741,824 bytes"):
            read()
    assert not reads
