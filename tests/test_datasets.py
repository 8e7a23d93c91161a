"""From a name or a folder to images: where they are found, and what is said when they are not all right."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from birds import FILES, UNPINNED, birds, data, png_bytes, put  # noqa: F401 (data is a fixture)
from PIL import Image

from bench.common.errors import ConfigurationError, DatasetError
from bench.common.folders import BASELINE, RESULT_FOLDERS
from bench.datasets import DatasetUnavailable, load_catalogue, locate, read_rgb8, resolve_dataset
from bench.datasets.catalogue import PackageSpec
from bench.datasets.own_folders import hide_own_results
from bench.reports.kinds import SEARCH, TRAINING
from bench.results.crosschecks import FOLDER as CROSSCHECK
from bench.results.reproductions import FOLDER as REPRODUCTION
from bench.results.stored import LATENCY

SHARED = Path(__file__).parents[2] / "shared" / "data"
# Of the 24 files in order; published by NeuralCompression.
KODAK_SHA1 = "076e2a5fd4515b5fda677f15fe63dd112d266bc5"


# --- lookup -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("place", ["data/birds", "data/birds_sample", "checkout/project/data/birds",
                                   "checkout/shared/data/birds", "data/birds/valid", "data/birds/deep/er"])
def test_lookup(data, tmp_path, place):
    folder = put(tmp_path / place)
    dataset = resolve_dataset("birds", catalogue=birds(subfolders=("valid", "deep/er")))
    assert dataset.root == folder and dataset.complete and dataset.total == 4
    assert dataset.coverage == "4 images"
    assert [image.name for image in dataset.images] == list(FILES)
    for image in dataset.images:
        assert image.verified is True
        assert image.sha256 == hashlib.sha256(FILES[image.name]).hexdigest()


def test_a_complete_copy_is_preferred(data, tmp_path):
    put(data / "birds", ["bird1.png", "bird2.png"])
    later = put(tmp_path / "checkout" / "shared" / "data" / "birds_sample")
    assert resolve_dataset("birds", catalogue=birds()).root == later


def test_the_first_complete_copy_counts(data, tmp_path):
    put(tmp_path / "checkout" / "shared" / "data" / "birds")
    first = put(data / "birds")
    assert resolve_dataset("birds", catalogue=birds()).root == first


def test_without_published_hashes(data):
    put(data / "birds")
    dataset = resolve_dataset("birds", catalogue=birds(UNPINNED))
    assert dataset.complete and {image.verified for image in dataset.images} == {None}
    assert dataset.images[0].sha256 == hashlib.sha256(FILES["bird1.png"]).hexdigest()


@pytest.mark.parametrize("name, content, says", [
    ("bird1.png", png_bytes(1, 4, 5), "is 4x5, not 5x4"),
    ("bird3.png", png_bytes(1, 5, 5), "25 pixels, not 20"),
    ("bird4.png", b"", "0 bytes"), ("bird4.png", FILES["bird4.png"][:-30], "truncated")])
def test_wrong_images_without_published_hashes(data, name, content, says):
    (put(data / "birds") / name).write_bytes(content)
    with pytest.raises(DatasetError, match=says):
        resolve_dataset("birds", catalogue=birds(UNPINNED))


# --- incomplete and altered sets --------------------------------------------------------------------------

def test_incomplete(data):
    put(data / "birds", ["bird2.png"])
    with pytest.raises(DatasetError) as caught:
        resolve_dataset("birds", catalogue=birds(page="https://example.org/birds"), fetch=False)
    assert not isinstance(caught.value, DatasetUnavailable) and caught.value.exit_code == 2
    for words in ("1 of 4 images", "bird1.png, bird3.png, bird4.png", "--allow-partial", "example.org/birds",
                  str(data), "checkout/project/data/", "checkout/shared/data/", "birds_sample"):
        assert words in str(caught.value)
    dataset = resolve_dataset("birds", catalogue=birds(), allow_partial=True)
    assert dataset.coverage == "1 of 4 images" and not dataset.complete
    assert dataset.missing == ("bird1.png", "bird3.png", "bird4.png")


def test_altered(data):
    folder = put(data / "birds")
    (folder / "bird3.png").write_bytes(png_bytes(99))
    with pytest.raises(DatasetError, match="altered.*bird3.png.*SHA-256") as caught:
        resolve_dataset("birds", catalogue=birds())
    assert "delete them" in str(caught.value)
    dataset = resolve_dataset("birds", catalogue=birds(), allow_partial=True)
    assert dataset.coverage == "4 images, 1 altered" and not dataset.complete
    assert dataset.altered == ("bird3.png",) and dataset.missing == ()
    assert [image.verified for image in dataset.images] == [True, True, False, True]
    (folder / "bird1.png").unlink()
    assert resolve_dataset("birds", catalogue=birds(), allow_partial=True).coverage == "3 of 4 images, 1 altered"


def test_a_changed_file_is_hashed_again(data):
    folder = put(data / "birds")
    assert resolve_dataset("birds", catalogue=birds()).complete
    (folder / "bird1.png").write_bytes(png_bytes(99))
    assert resolve_dataset("birds", catalogue=birds(), allow_partial=True).altered == ("bird1.png",)


def test_nothing_at_all(data):
    spec = birds(package=PackageSpec("no_such_package", "data", "no-such-package"),
                 urls=("http://127.0.0.1:9/{name}",))
    for options in ({}, {"allow_partial": True}, {"fetch": False}):
        with pytest.raises(DatasetUnavailable) as caught:
            resolve_dataset("birds", catalogue=spec, **options)
        assert str(data / "{birds,birds_sample}") in str(caught.value)
        assert "http://127.0.0.1:9/" in str(caught.value) and "no-such-package" in str(caught.value)


def test_unknown_names(data):
    with pytest.raises(ConfigurationError, match="did you mean birds"):
        resolve_dataset("brids", catalogue=birds())
    with pytest.raises(ConfigurationError, match="known: birds"):
        resolve_dataset("zzz", catalogue=birds())


# --- folders ----------------------------------------------------------------------------------------------

def test_folder(tmp_path):
    folder = put(tmp_path / "photos")
    Image.fromarray(np.zeros((3, 3, 3), np.uint8)).save(folder / "a.TIF", "TIFF")
    (folder / "notes.txt").touch()
    (folder / "lossy.jpg").touch()
    (folder / ".hidden.png").touch()
    (folder / "folder.png").mkdir()
    dataset = resolve_dataset(folder)
    assert (dataset.name, dataset.total, dataset.complete) == ("photos", None, True)
    assert [image.name for image in dataset.images] == ["a.TIF", *FILES]
    assert dataset.coverage == "5 images"
    assert dataset.images[1].sha256 == hashlib.sha256(FILES["bird1.png"]).hexdigest()
    assert dataset.images[1].verified is None


def test_a_broken_image_does_not_hide_the_folder(tmp_path):
    """It becomes a row with its reason, so it has to be listed."""
    folder = put(tmp_path / "photos", ["bird1.png"])
    (folder / "broken.png").touch()
    assert resolve_dataset(folder).coverage == "2 images"


def test_one_image_is_singular(tmp_path):
    assert resolve_dataset(put(tmp_path / "photos", ["bird1.png"])).coverage == "1 image"


def test_files_of_equal_content_count_once_and_are_named(tmp_path):
    folder = put(tmp_path / "photos", ["bird1.png", "bird2.png"])
    for name in ("bird1 (1).png", "a.png"):
        (folder / name).write_bytes(FILES["bird1.png"])
    (folder / "empty.png").touch()
    dataset = resolve_dataset(folder)
    assert [image.name for image in dataset.images] == ["a.png", "bird2.png", "empty.png"]
    assert dataset.coverage == "3 images, 2 duplicates left out (bird1 (1).png is a.png, bird1.png is a.png)"


@pytest.mark.parametrize("name", ["birds", "Birds"])
def test_a_folder_called_like_a_set_is_another_set(tmp_path, name):
    folder = put(tmp_path / name, ["bird1.png"])
    dataset = resolve_dataset(folder, catalogue=birds())
    assert (dataset.name, dataset.title, dataset.total) == (f"folder-{name}", f"folder-{name}", None)


@pytest.mark.parametrize("name", sorted(RESULT_FOLDERS))
def test_a_folder_called_like_other_results_is_not_mixed_with_them(tmp_path, name):
    folder = put(tmp_path / name, ["bird1.png"])
    assert resolve_dataset(folder, catalogue=birds()).name == f"folder-{name}"


def test_folders_of_results_are_known():
    """Those of every kind of stored results."""
    assert RESULT_FOLDERS == {BASELINE, CROSSCHECK, LATENCY, REPRODUCTION, SEARCH, TRAINING}


def test_rows_of_an_own_folder_are_hidden_from_git(tmp_path):
    for name, hidden in (("kodak", False), ("pictures", True)):
        hide_own_results(tmp_path / name, name)
        assert (tmp_path / name / ".gitignore").exists() == hidden
    (tmp_path / "pictures" / ".gitignore").write_text("# mine\n")
    hide_own_results(tmp_path / "pictures", "pictures")
    assert (tmp_path / "pictures" / ".gitignore").read_text() == "# mine\n"


def test_bad_folders(tmp_path):
    with pytest.raises(DatasetError, match="holds no image"):
        resolve_dataset(tmp_path)
    with pytest.raises(DatasetError, match="is no folder"):
        resolve_dataset(tmp_path / "absent")
    put(tmp_path, ["bird1.png"])
    with pytest.raises(DatasetError, match="is no folder"):
        resolve_dataset(tmp_path / "bird1.png")


# --- the shipped sets -------------------------------------------------------------------------------------

def test_sample_needs_no_network(data):
    dataset = resolve_dataset("sample", fetch=False)
    assert dataset.complete and all(image.verified for image in dataset.images)
    shapes = {spec.name: (spec.height, spec.width, 3) for spec in load_catalogue()["sample"].images}
    assert {image.name: read_rgb8(image.path).shape for image in dataset.images} == shapes


def test_kodak_is_the_published_one(monkeypatch):
    if not (SHARED / "kodak").is_dir():
        pytest.skip("../shared/data/kodak is not here")
    monkeypatch.setenv("BENCH_DATA", str(SHARED))
    dataset = resolve_dataset("kodak", fetch=False)
    assert dataset.coverage == "24 images" and all(image.verified for image in dataset.images)
    whole = hashlib.sha1(b"".join(image.path.read_bytes() for image in dataset.images))
    assert whole.hexdigest() == KODAK_SHA1


@pytest.mark.parametrize("name, coverage", [("clic2020", "1 of 41 images"), ("tecnick", "1 of 100 images")])
def test_samples_of_the_other_sets(monkeypatch, name, coverage):
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not here")
    monkeypatch.setenv("BENCH_DATA", str(SHARED))
    monkeypatch.setattr(locate, "repository_root", lambda: SHARED / "nowhere" / "project")
    dataset = resolve_dataset(name, allow_partial=True, fetch=False)
    assert dataset.coverage == coverage and dataset.altered == ()
    assert read_rgb8(dataset.images[0].path).shape[2] == 3
