"""The files that a unit names, pictures and checkpoints, wherever a worker finds them: content counts, not the path.

A worker looks where the driver has the file, then below its own shared folders at the same relative path, then in a
cache that is ordered by content; what is nowhere is sent. Whatever it finds is compared by SHA-256 before it is used.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import msgspec

from bench.common.errors import BenchError
from bench.common.files import whole, writing
from bench.common.folders import expand_home, find_home, read_place, repository_root
from bench.common.hashing import sha256_of
from bench.results.schema import Count
from bench.runners.evaluate.unit import Unit
from bench.runners.nodes.unit_json import Sha256, Text

CACHE_VARIABLE = "BENCH_CACHE"
SHARED_VARIABLE = "BENCH_SHARED"  # folders, as PATH names them


class FileNotHere(BenchError):
    """A worker has no copy of a file that its unit needs."""


class NeededFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file by its content.

    Attributes:
        sha256: of its bytes.
        size_bytes: how many these are.
        path: as the unit names it.
        place: where the driver has it.
        relative: the place below the driver's shared folder that holds it; None where none does.
    """

    sha256: Sha256
    size_bytes: Count
    path: Text
    place: Text
    relative: Text | None


Send = Callable[[NeededFile, Path], None]  # writes a file's bytes to a path; raises FileNotHere where it has none


def find_shared_folders() -> list[Path]:
    """Return the folders whose relative paths hold on every machine, the first that counts first.

    These are those that ``BENCH_SHARED`` names, the image sets', the checkout and the user's home.
    """
    named = os.environ.get(SHARED_VARIABLE, "").split(os.pathsep)
    named.append(os.environ.get("BENCH_DATA", ""))
    folders = [*(expand_home(name, SHARED_VARIABLE) for name in named if name), repository_root(), find_home()]
    return list(dict.fromkeys(Path(os.path.abspath(folder)) for folder in folders if folder is not None))


def find_cache() -> Path:
    """Return the folder of files that were sent: ``BENCH_CACHE``, else the user's cache."""
    if named := read_place(CACHE_VARIABLE):
        return named.absolute()
    base = read_place("XDG_CACHE_HOME") or expand_home("~/.cache", f"the default of {CACHE_VARIABLE}")
    return (base / "bench").absolute()


def list_needed_files(unit: Unit, shared: Sequence[Path]) -> list[NeededFile]:
    """Return the files that ``unit`` names and that are here, each once.

    What is not here is left out: measuring then says what is wrong with it.

    Args:
        shared: folders below which relative paths hold elsewhere too.
    """
    paths = [image.path for image in unit.images]
    paths += [value for key, value in unit.spec.location.items() if key != "device"]
    return [_describe_file(path, shared) for path in dict.fromkeys(paths) if os.path.isfile(path)]


def lay_out_files(files: Iterable[NeededFile], outbox: Path) -> None:
    """Copy the files that lie below no shared folder into ``outbox``, which workers can read, each once.

    Raises:
        DiskFull: there is no space.
        BenchError: one can't be read or written.
    """
    for file in files:
        laid_out = outbox / file.sha256
        if file.relative is None and not laid_out.exists():
            with writing(laid_out), whole(laid_out) as arriving:
                shutil.copyfile(file.place, arriving)


def take_from(outbox: Path) -> Send:
    """Return what copies files from where :func:`lay_out_files` put them."""
    def send(file: NeededFile, arriving: Path) -> None:
        try:
            shutil.copyfile(outbox / file.sha256, arriving)
        except FileNotFoundError:
            raise FileNotHere(f"no file here holds what the driver has in {file.place} (SHA-256 {file.sha256[:12]}...),"
                              " and it was not sent, as a shared folder holds it there",
                              f"name in {SHARED_VARIABLE} the folder that holds {file.relative} on this machine"
                              ) from None

    return send


def _describe_file(path: str, shared: Sequence[Path]) -> NeededFile:
    place = Path(os.path.abspath(path))
    holder = next((folder for folder in shared if place.is_relative_to(folder)), None)
    relative = None if holder is None else place.relative_to(holder).as_posix()
    return NeededFile(sha256=sha256_of(place), size_bytes=place.stat().st_size, path=path, place=str(place),
                      relative=relative)


class FileFinder:
    """Finds files on this machine.

    Args:
        shared: folders to look below.
        cache: keeps what is sent.
        send: gets a file from the driver; None where nothing is sent.
    """

    def __init__(self, shared: Sequence[Path], cache: Path, send: Send | None = None) -> None:
        self._shared, self._cache, self._send = shared, cache, send

    def localise(self, unit: Unit, needed: Iterable[NeededFile]) -> Unit:
        """Return ``unit`` with the paths that its files have here.

        Args:
            needed: of the unit, as the driver listed them.

        Raises:
            FileNotHere: one of them can't be had.
            DiskFull: what is sent has no room here.
        """
        paths = {file.path: str(self.find(file)) for file in needed}
        location = {key: paths.get(value, value) for key, value in unit.spec.location.items()}
        images = tuple(replace(image, path=paths.get(image.path, image.path)) for image in unit.images)
        return replace(unit, spec=replace(unit.spec, location=location), images=images)

    def find(self, file: NeededFile) -> Path:
        """Return a file here that holds the same bytes.

        Raises:
            FileNotHere: there is none, and it is not sent.
            DiskFull: what is sent has no room here.
        """
        cached = self._cache / file.sha256[:2] / (file.sha256 + _find_suffix(file.place))
        places = [*self._list_places(file), cached]
        for place in places:
            if _holds(place, file):
                return place

        if self._send is None:
            raise FileNotHere(f"no file here holds what the driver has in {file.place} (SHA-256 {file.sha256[:12]}...);"
                              f" looked at {', '.join(map(str, places))}",
                              f"put it there, or name in {SHARED_VARIABLE} the folder that holds "
                              f"{file.relative or 'it'} on this machine")
        with writing(cached), whole(cached) as arriving:
            self._send(file, arriving)
            if not _holds(arriving, file):
                raise FileNotHere(f"{file.place} did not arrive as it was planned ({file.size_bytes:,} bytes, SHA-256 "
                                  f"{file.sha256[:12]}...)", "did it change meanwhile? run the same command again")
        return cached

    def _list_places(self, file: NeededFile) -> list[Path]:
        places = [Path(file.place)]
        if file.relative is not None and ".." not in PurePosixPath(file.relative).parts:
            places += [folder / file.relative.lstrip("/") for folder in self._shared]
        return list(dict.fromkeys(places))


def _holds(path: Path, file: NeededFile) -> bool:
    """Whether a path leads to these bytes; sizes are compared first."""
    try:
        return path.stat().st_size == file.size_bytes and sha256_of(path) == file.sha256
    except OSError:
        return False


def _find_suffix(path: str) -> str:
    """Return the end of a file's name, by which readers may choose."""
    return ".pth.tar" if path.endswith(".pth.tar") else Path(path).suffix
