"""Fetching what is missing of a set: single images, archives, what is left alone, when to give up."""

import hashlib
import zipfile
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from birds import FILES, PINNED, UNPINNED, birds, data, png_bytes, put, server  # noqa: F401 (fixtures)

from bench.common.errors import DatasetError
from bench.datasets import DatasetIncomplete, DatasetUnavailable, resolve_dataset
from bench.datasets.catalogue import ArchiveSpec, Source


def test_fetch_of_single_images(data, server, capsys):
    put(server.folder)
    put(data / "birds", ["bird2.png"])
    spec = birds(urls=(f"{server.url}/absent/{{name}}", f"{server.url}/bird{{number}}.png"))
    dataset = resolve_dataset("birds", catalogue=spec)
    assert dataset.complete and dataset.root == data / "birds"
    assert not any("bird2.png" in path for path in server.requests)
    assert "fetching bird1.png" in capsys.readouterr().err
    before = len(server.requests)
    resolve_dataset("birds", catalogue=spec)
    assert len(server.requests) == before


def test_partial_is_taken_without_a_download(data, server):
    put(server.folder)
    put(data / "birds", ["bird2.png"])
    spec = birds(urls=(server.url + "/{name}",))
    assert resolve_dataset("birds", catalogue=spec, allow_partial=True).coverage == "1 of 4 images"
    with pytest.raises(DatasetError):
        resolve_dataset("birds", catalogue=spec, fetch=False)
    assert not server.requests


def test_an_altered_image_is_not_overwritten(data, server):
    put(server.folder)
    mine = put(data / "birds", ["bird2.png"]) / "bird1.png"
    mine.write_bytes(b"mine")
    with pytest.raises(DatasetError, match="altered"):
        resolve_dataset("birds", catalogue=birds(urls=(server.url + "/{name}",)))
    assert mine.read_bytes() == b"mine" and (data / "birds" / "bird4.png").exists()


def test_fetching_stops_after_two_failures(data, server):
    with pytest.raises(DatasetUnavailable, match="HTTP 404") as caught:
        resolve_dataset("birds", catalogue=birds(urls=(server.url + "/{name}",)))
    assert caught.value.gap == "none of 4 images is here, the download failed: HTTP 404 File not found"
    asked = {path for path in server.requests if path.startswith("/bird")}
    assert asked == {"/bird1.png", "/bird2.png"}


def zipped(server, members, name="birds.zip"):
    """Put an archive on the server; return its source."""
    with zipfile.ZipFile(server.folder / name, "w") as bundle:
        for path, content in members.items():
            bundle.writestr(path, content)
    content = (server.folder / name).read_bytes()
    return Source(f"{server.url}/{name}", hashlib.sha256(content).hexdigest(), len(content))


def test_fetch_of_an_archive(data, server):
    source = zipped(server, {f"valid/{name}": content for name, content in FILES.items()})
    broken = msgspec.structs.replace(source, sha256="0" * 64)
    (server.folder / "page.zip").write_text("<html>")
    page = Source(f"{server.url}/page.zip")
    for images in (PINNED, UNPINNED):
        spec = birds(images, archive=ArchiveSpec((broken, page, source), "valid/*.png"))
        dataset = resolve_dataset("birds", catalogue=spec)
        assert dataset.complete and dataset.root == data / "birds"
        assert {path.name for path in (data / "birds").iterdir()} == {*FILES, ".lock"}
        for name in FILES:
            (data / "birds" / name).unlink()


def test_an_archive_put_there_by_hand_is_used_and_kept(data, server):
    source = zipped(server, FILES)
    spec = birds(archive=ArchiveSpec((source,)))
    (data / "birds").mkdir(parents=True)
    mine = data / "birds" / "birds.zip"
    mine.write_bytes(b"half of it")
    with pytest.raises(DatasetError, match="has 10 bytes, not"):
        resolve_dataset("birds", catalogue=spec)
    mine.write_bytes((server.folder / "birds.zip").read_bytes())
    assert resolve_dataset("birds", catalogue=spec).complete and mine.exists()
    assert not server.requests


@pytest.mark.parametrize("images", [PINNED, UNPINNED])
def test_an_archive_with_a_wrong_image_gives_nothing(data, server, images):
    source = zipped(server, {**FILES, "bird3.png": png_bytes(3, 6, 7)})
    with pytest.raises(DatasetUnavailable, match="bird3.png"):
        resolve_dataset("birds", catalogue=birds(images, archive=ArchiveSpec((source,))))
    assert [path.name for path in (data / "birds").iterdir()] == [".lock"]


def test_an_incomplete_archive(data, server):
    source = zipped(server, {name: FILES[name] for name in ("bird1.png", "bird2.png")})
    with pytest.raises(DatasetIncomplete, match="missing bird3.png, bird4.png") as caught:
        resolve_dataset("birds", catalogue=birds(archive=ArchiveSpec((source,))))
    assert (caught.value.gap, caught.value.here) == ("2 of 4 images are missing", 2)


def test_two_at_once_do_not_disturb_each_other(data, server):
    put(server.folder)
    spec = birds(urls=(server.url + "/{name}",))
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda _: resolve_dataset("birds", catalogue=spec), range(4)))
    assert all(dataset.complete for dataset in results)
    assert len(server.requests) == len(FILES)


def test_no_place_to_put_it(data, server):
    put(server.folder)
    data.touch()
    with pytest.raises(DatasetUnavailable, match="can't be written") as caught:
        resolve_dataset("birds", catalogue=birds(urls=(server.url + "/{name}",)))
    assert "looked in" in str(caught.value)
