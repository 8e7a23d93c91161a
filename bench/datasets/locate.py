"""Where an image set lies on this machine, and in which state each of its images is."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from bench.common.errors import ImageError
from bench.common.folders import repository_root
from bench.common.hashing import sha256_of
from bench.datasets.catalogue import DatasetSpec, ImageSpec
from bench.datasets.images import image_size


@dataclass(frozen=True)
class ImageState:
    """One image of a set as found in a folder.

    Attributes:
        path: the file, or None where it is missing.
        sha256: of the file's bytes; None where it is missing or can't be read.
        fault: why the file is not the catalogue's, or None.
    """

    spec: ImageSpec
    path: Path | None = None
    sha256: str | None = None
    fault: str | None = None

    @property
    def verified(self) -> bool | None:
        """Whether the bytes are the catalogue's; None where it knows no hash."""
        return None if self.spec.sha256 is None else self.sha256 == self.spec.sha256

    @property
    def word(self) -> str:
        """The state in one word: "missing", "altered", "verified", or "unpinned" (no hash is published)."""
        if self.path is None:
            return "missing"
        if self.fault is not None:
            return "altered"
        return "verified" if self.verified else "unpinned"


@dataclass(frozen=True)
class Location:
    """A set as found in one folder."""

    folder: Path
    states: tuple[ImageState, ...]

    def named(self, word: str) -> tuple[str, ...]:
        """Return the names of the images in one state."""
        return tuple(state.spec.name for state in self.states if state.word == word)

    @property
    def good(self) -> int:
        """How many images are there and not altered."""
        return sum(state.word in ("verified", "unpinned") for state in self.states)

    @property
    def complete(self) -> bool:
        """Whether every image is there and none is altered."""
        return self.good == len(self.states)


def download_folder(spec: DatasetSpec) -> Path:
    """Return the folder that a download of the set goes to."""
    return search_roots()[0] / spec.name


def search_roots() -> list[Path]:
    """Return the folders that hold image sets, in the order they are searched."""
    root = repository_root()
    chosen = os.environ.get("BENCH_DATA", "").strip()
    roots = [Path(chosen).expanduser().absolute()] if chosen else []
    return [*roots, root / "data", root.parent / "shared" / "data"]


def list_candidates(spec: DatasetSpec) -> list[Path]:
    """Return the folders where the set may lie, in the order they are searched, existing or not."""
    folders = [root / name for root in search_roots() for name in spec.folders]
    if spec.package is not None and (package := _package_folder(spec.package.name)) is not None:
        folders.append(package / spec.package.folder)
    return folders


def find_copy(spec: DatasetSpec) -> Location | None:
    """Return the first complete copy of the set, else the fullest one, else None.

    Every image of the copies looked at is hashed, or opened where no hash is published.
    """
    best = None
    for folder in list_candidates(spec):
        for layout in (folder, *(folder / sub for sub in spec.subfolders)):
            if not layout.is_dir():
                continue
            location = Location(layout, tuple(inspect_image(image, layout / image.name) for image in spec.images))
            if location.complete:
                return location
            present = len(location.states) - len(location.named("missing"))
            if present and (best is None or location.good > best.good):
                best = location
    return best


def inspect_image(spec: ImageSpec, path: Path, decode: bool = False) -> ImageState:
    """Compare one file with what the catalogue knows of it.

    Args:
        decode: where no hash is published, decode it as well, so that what is cut or damaged is seen.
    """
    if not path.is_file():
        return ImageState(spec)
    try:
        sha256 = sha256_of(path)
    except OSError as error:
        return ImageState(spec, path, fault=error.strerror or str(error))
    return ImageState(spec, path, sha256, _find_fault(spec, path, sha256, decode))


def _find_fault(spec: ImageSpec, path: Path, sha256: str, decode: bool) -> str | None:
    if spec.sha256 is not None:
        return None if sha256 == spec.sha256 else "its SHA-256 is another"
    if spec.size is not None and path.stat().st_size != spec.size:
        return f"has {path.stat().st_size} bytes, not {spec.size}"
    try:
        width, height = image_size(path, decode)
    except ImageError as error:
        return str(error).splitlines()[0]
    if spec.width is not None and (width, height) != (spec.width, spec.height):
        return f"is {width}x{height}, not {spec.width}x{spec.height}"
    if spec.pixels is not None and width * height != spec.pixels:
        return f"has {width * height} pixels, not {spec.pixels}"
    return None


def _package_folder(name: str) -> Path | None:
    """Return the folder of an installed package without importing it."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    places = list(found.submodule_search_locations or ()) if found else []
    return Path(places[0]) if places else None
