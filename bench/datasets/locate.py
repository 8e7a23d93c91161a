"""Where an image set lies on this machine, and in which state each of its images is."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bench.common.errors import DatasetError, ImageError
from bench.common.folders import read_place, repository_root
from bench.common.hashing import sha256_of
from bench.datasets.catalogue import DatasetSpec, ImageSpec
from bench.datasets.images import LOSSLESS_SUFFIXES, image_size
from bench.datasets.listing import list_pictures
from bench.datasets.recognition import is_picture_of

BY_PIXELS = "verified by pixels"


@dataclass(frozen=True)
class ImageState:
    """One image of a set as found in a folder.

    Attributes:
        path: the file, or None where it is missing.
        sha256: of the file's bytes; None where it is missing or can't be read.
        fault: why the file is not the catalogue's, or None.
        by_pixels: the pixels are the catalogue's, and the bytes are others.
    """

    spec: ImageSpec
    path: Path | None = None
    sha256: str | None = None
    fault: str | None = None
    by_pixels: bool = False

    @property
    def verified(self) -> bool | None:
        """Whether the picture is the catalogue's; None where it knows no hash."""
        return self.by_pixels or (None if self.spec.sha256 is None else self.sha256 == self.spec.sha256)

    @property
    def word(self) -> str:
        """The state: "missing", "altered", "verified", "verified by pixels", or "unpinned" (no hash is published)."""
        if self.path is None:
            return "missing"
        if self.fault is not None:
            return "altered"
        if self.by_pixels:
            return BY_PIXELS
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
        return sum(state.word in ("verified", BY_PIXELS, "unpinned") for state in self.states)

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
    chosen = read_place("BENCH_DATA")
    roots = [chosen.absolute()] if chosen else []
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
            location = Location(layout, tuple(inspect_folder(spec, layout)))
            if location.complete:
                return location
            present = len(location.states) - len(location.named("missing"))
            if present and (best is None or location.good > best.good):
                best = location
    return best


def inspect_folder(spec: DatasetSpec, folder: Path) -> list[ImageState]:
    """Return the state of each image of a set in a folder; those under other names are known by their content."""
    states = [inspect_image(image, folder / image.name) for image in spec.images]
    unfound = [state.spec for state in states if state.path is None or state.fault is not None]
    if not any(image.pixels_sha256 for image in unfound):
        return states

    taken = {state.path for state in states if state.path is not None and state.fault is None}
    found: dict[str, ImageState] = {}
    for path in _list_others(folder, taken):
        for image in unfound:
            if image.name not in found and is_picture_of(image, path):
                found[image.name] = inspect_image(image, path)
                break
    return [found.get(state.spec.name, state) for state in states]


def _list_others(folder: Path, taken: Collection[Path]) -> list[Path]:
    try:
        return [path for path in list_pictures([folder], LOSSLESS_SUFFIXES, below=False) if path not in taken]
    except DatasetError:  # what can't be listed holds none of the set's
        return []


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
    if sha256 != spec.sha256 and is_picture_of(spec, path):
        return ImageState(spec, path, sha256, by_pixels=True)
    return ImageState(spec, path, sha256, _find_fault(spec, path, sha256, decode))


def _find_fault(spec: ImageSpec, path: Path, sha256: str, decode: bool) -> str | None:
    if spec.sha256 is not None:
        so = "" if spec.pixels_sha256 is None else ", and it doesn't hold the same pixels"
        return None if sha256 == spec.sha256 else f"its SHA-256 is another{so}"
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
