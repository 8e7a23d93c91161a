"""Files that units name, on another machine: found by content wherever they lie, sent where they don't, never wrong."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import faulty_codecs
import pytest

from bench.common.files import DiskFull
from bench.runners.engines.batches import Batch
from bench.runners.engines.job import prepare_units
from bench.runners.engines.run_folder import files_folder
from bench.runners.evaluate.unit import Unit, UnitImage
from bench.runners.nodes.files import (
    FileFinder,
    FileNotHere,
    NeededFile,
    find_shared_folders,
    lay_out_files,
    list_needed_files,
    take_from,
)


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    """Two pictures and a checkpoint below the driver's shared folder."""
    folder = tmp_path / "driver"
    (folder / "checkpoints").mkdir(parents=True)
    weights = folder / "checkpoints" / "0.01.pth.tar"
    weights.write_bytes(b"weights")
    pictures = []
    for number in range(2):
        path = folder / "data" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"picture %d" % number)
        pictures.append(UnitImage(path.name, str(path), hashlib.sha256(path.read_bytes()).hexdigest()))
    spec = replace(faulty_codecs.spec(), location={"checkpoint": str(weights), "device": "cpu"})
    return Unit(spec, "set", None, tuple(pictures))


def list_paths(unit: Unit) -> list[Path]:
    return [Path(unit.spec.location["checkpoint"]), *(Path(image.path) for image in unit.images)]


def list_needed(unit: Unit, tmp_path: Path) -> list[NeededFile]:
    return list_needed_files(unit, [tmp_path / "driver"])


def refuse(file: NeededFile, arriving: Path) -> None:
    raise AssertionError(f"{file.path} was asked for")


def test_where_the_driver_has_them_they_are_taken_as_they_are(unit: Unit, tmp_path: Path) -> None:
    finder = FileFinder([], tmp_path / "cache", refuse)
    assert finder.localise(unit, list_needed(unit, tmp_path)) == unit
    assert not (tmp_path / "cache").exists()


def test_a_shared_folder_elsewhere_has_them_at_the_same_relative_path(unit: Unit, tmp_path: Path) -> None:
    needed = list_needed(unit, tmp_path)
    assert {file.relative for file in needed} == {"checkpoints/0.01.pth.tar", "data/0.png", "data/1.png"}
    (tmp_path / "driver").rename(tmp_path / "worker")
    here = FileFinder([tmp_path / "other", tmp_path / "worker"], tmp_path / "cache", refuse).localise(unit, needed)
    assert all(path.is_relative_to(tmp_path / "worker") and path.is_file() for path in list_paths(here))
    assert here.spec.location["device"] == "cpu"
    assert [image.name for image in here.images] == ["0.png", "1.png"]


def test_what_is_nowhere_is_sent_once_and_kept_by_content(unit: Unit, tmp_path: Path) -> None:
    needed = list_needed(unit, tmp_path)
    contents = {file.sha256: Path(file.place).read_bytes() for file in needed}
    shutil.rmtree(tmp_path / "driver")
    sent: list[str] = []

    def send(file: NeededFile, arriving: Path) -> None:
        sent.append(file.sha256)
        arriving.write_bytes(contents[file.sha256])

    here = FileFinder([], tmp_path / "cache", send).localise(unit, needed)
    assert sorted(sent) == sorted(contents)
    assert [path.read_bytes() for path in list_paths(here)] == [b"weights", b"picture 0", b"picture 1"]
    assert str(list_paths(here)[0]).endswith(".pth.tar")  # by which readers may choose
    assert FileFinder([], tmp_path / "cache", refuse).localise(unit, needed) == here


def test_other_content_at_the_right_path_is_never_taken(unit: Unit, tmp_path: Path) -> None:
    """Neither one of another size nor one of the same size, nor what somebody changed in the cache."""
    needed = list_needed(unit, tmp_path)
    checkpoint, _, picture = list_paths(unit)
    checkpoint.write_bytes(b"weightS")
    picture.write_bytes(b"another picture")
    with pytest.raises(FileNotHere, match="1.png .*looked at") as caught:
        FileFinder([tmp_path / "driver"], tmp_path / "cache").localise(unit, needed)
    assert "BENCH_SHARED" in str(caught.value) and "data/1.png" in str(caught.value)

    def send(file: NeededFile, arriving: Path) -> None:
        arriving.write_bytes(b"weights" if file.path == str(checkpoint) else b"picture 1")

    finder = FileFinder([], tmp_path / "cache", send)
    here = finder.localise(unit, needed)
    cached = list_paths(here)[0]
    cached.write_bytes(b"damaged")
    assert finder.localise(unit, needed) == here and cached.read_bytes() == b"weights"


def test_what_arrives_otherwise_is_refused_and_not_kept(unit: Unit, tmp_path: Path) -> None:
    needed = list_needed(unit, tmp_path)
    shutil.rmtree(tmp_path / "driver")
    finder = FileFinder([], tmp_path / "cache", lambda file, arriving: arriving.write_bytes(b"half") and None)
    with pytest.raises(FileNotHere, match="did not arrive"):
        finder.localise(unit, needed)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_full_disk_is_said_to_be_full(unit: Unit, tmp_path: Path) -> None:
    needed = list_needed(unit, tmp_path)
    shutil.rmtree(tmp_path / "driver")

    def send(file: NeededFile, arriving: Path) -> None:
        raise OSError(28, "No space left on device", str(arriving))

    with pytest.raises(DiskFull):
        FileFinder([], tmp_path / "cache", send).localise(unit, needed)


@pytest.mark.parametrize("relative", ["../secret", "a/../../secret", "/etc/passwd"])
def test_a_relative_path_leads_out_of_no_shared_folder(relative: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    file = NeededFile(sha256=hashlib.sha256(b"secret").hexdigest(), size_bytes=6, path="a", place="/nowhere/a",
                      relative=relative)
    (tmp_path / "shared" / "a").mkdir(parents=True)
    with pytest.raises(FileNotHere):
        FileFinder([tmp_path / "shared"], tmp_path / "cache").find(file)


def test_files_that_are_not_here_are_left_for_measuring_to_tell(unit: Unit, tmp_path: Path) -> None:
    list_paths(unit)[1].unlink()
    assert [file.relative for file in list_needed(unit, tmp_path)] == ["data/1.png", "checkpoints/0.01.pth.tar"]


def test_shared_folders_are_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_SHARED", f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "c"))
    assert find_shared_folders()[:3] == [tmp_path / name for name in "abc"]


def test_what_no_shared_folder_holds_is_laid_out_for_workers(unit: Unit, tmp_path: Path) -> None:
    shared, alone = list_needed_files(unit, [tmp_path / "driver" / "data"]), list_needed_files(unit, [])
    lay_out_files(shared, tmp_path / "outbox")
    checkpoint = list_paths(unit)[0]
    assert [path.read_bytes() for path in (tmp_path / "outbox").iterdir()] == [checkpoint.read_bytes()]
    shutil.rmtree(tmp_path / "driver")

    finder = FileFinder([], tmp_path / "cache", take_from(tmp_path / "outbox"))
    assert finder.find(next(file for file in alone if file.path == str(checkpoint))).read_bytes() == b"weights"
    with pytest.raises(FileNotHere, match="was not sent.*\n.*BENCH_SHARED.* 0.png"):
        finder.localise(unit, shared)


def test_a_job_gets_what_its_node_lacks_from_the_runs_folder(unit: Unit, tmp_path: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    needed = list_needed_files(unit, [])
    shard = tmp_path / "run" / "shards" / "00001-1.jsonl"
    lay_out_files(needed, files_folder(shard))
    shutil.rmtree(tmp_path / "driver")
    here, = prepare_units(Batch("00001-1", (unit,), str(shard), "slurm", files=tuple(needed)))
    assert all(path.is_relative_to(tmp_path / "cache") for path in list_paths(here))
    assert [path.read_bytes() for path in list_paths(here)] == [b"weights", b"picture 0", b"picture 1"]
