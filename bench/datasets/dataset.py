"""From a name or a folder to the images that are evaluated."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.common.errors import ConfigurationError, DatasetError
from bench.common.folders import RESULT_FOLDERS
from bench.common.hashing import sha256_of
from bench.common.text import format_count, is_utf8, list_names, suggest_name
from bench.datasets.catalogue import DatasetSpec, load_catalogue
from bench.datasets.download import DownloadFailed
from bench.datasets.fetch import archive_name, fetch_missing
from bench.datasets.images import LOSSLESS_SUFFIXES
from bench.datasets.listing import list_pictures
from bench.datasets.locate import BY_PIXELS, ImageState, Location, download_folder, find_copy, search_roots


class DatasetIncomplete(DatasetError):
    """Images of a set are missing or altered here, and could not be fetched.

    Args:
        gap: what is not here, in a line, with the reason why it could not be fetched.
        here: how many images of the set are here, altered ones included.
    """

    def __init__(self, message: str, hint: str, gap: str, here: int) -> None:
        super().__init__(message, hint)
        self.gap, self.here = gap, here


class DatasetUnavailable(DatasetIncomplete):
    """Not one image of a set is here, and none could be fetched."""


@dataclass(frozen=True)
class ImageFile:
    """One image to evaluate.

    Attributes:
        name: file name.
        sha256: of the file's bytes; empty where they can't be read (reading the image then says why).
            Of a picture that is verified by its pixels, that of the catalogue's file: what is stored of it counts.
        verified: whether it is the catalogue's picture; None where it knows no hash.
        pixels_sha256: of its pixels, where these and not its bytes are the catalogue's.
    """

    name: str
    path: Path
    sha256: str
    verified: bool | None
    pixels_sha256: str | None = None


@dataclass(frozen=True)
class Dataset:
    """The images to evaluate, and how they relate to the whole set.

    Attributes:
        images: what is here, altered ones included, in the catalogue's order (a folder's: by name).
        total: images in the whole set; None for a folder given by path.
        complete: nothing is missing or altered.
        altered, missing: names of images.
        root: folder that holds the images.
        duplicates: files of a folder that are left out, to the one of the same content that counts.
    """

    name: str
    title: str
    images: tuple[ImageFile, ...]
    total: int | None
    complete: bool
    altered: tuple[str, ...]
    missing: tuple[str, ...]
    root: Path | None
    duplicates: Mapping[str, str] = field(default_factory=dict)

    @property
    def coverage(self) -> str:
        """How much of the set this is: "24 images", "1 of 41 images", "24 images, 2 altered"."""
        here = len(self.images)
        whole = self.total is None or here == self.total
        text = format_count(here, "image") if whole else f"{here} of {self.total} images"
        by_pixels = sum(image.pixels_sha256 is not None for image in self.images)
        counts = ((len(self.altered), "altered"), (by_pixels, BY_PIXELS))
        copies = list_names(f"{name} is {other}" for name, other in self.duplicates.items())
        left_out = [f"{format_count(len(self.duplicates), 'duplicate')} left out ({copies})"] if copies else []
        return ", ".join([text, *(f"{count} {word}" for count, word in counts if count), *left_out])


def resolve_dataset(name_or_path: str | os.PathLike[str], *, allow_partial: bool = False, fetch: bool = True,
                    catalogue: Mapping[str, DatasetSpec] | None = None) -> Dataset:
    """Return the image set called ``name_or_path``, or the images of the folder at that path.

    A set is looked for in ``BENCH_DATA``, ``data/`` and ``../shared/data``; what is missing is then
    downloaded. With ``allow_partial`` a part that is here is taken as it is, without downloading.

    Raises:
        ConfigurationError: neither a known name nor a folder.
        DatasetUnavailable: not one image is here and none could be fetched.
        DatasetIncomplete: the set is incomplete or altered and ``allow_partial`` is not given.
        DatasetError: a folder is missing or holds no image.
    """
    specs = load_catalogue() if catalogue is None else catalogue
    name = os.fspath(name_or_path)
    if name in specs:
        return _resolve_known(specs[name], allow_partial, fetch)
    if os.path.isdir(name):
        return _read_folder(Path(name), {*specs, *RESULT_FOLDERS})
    if os.sep in name or os.path.lexists(name):
        raise DatasetError(f"{name}: is no folder{_explain_absence(name)}",
                           f"give a folder with images, or one of: {', '.join(specs)}")
    raise ConfigurationError(f"there is no dataset '{name}', nor a folder of that name", suggest_name(name, specs))


def _explain_absence(path: str) -> str:
    """What the operating system says of a path, in brackets: nothing of one that is there."""
    try:
        os.stat(path)
    except OSError as error:
        return f" ({error.strerror})"
    return ""


def describe_published(name: str) -> Dataset | None:
    """Return a set as the catalogue knows it, whose images need not be here; None where it knows not all of them.

    What is stored of such images can be told without them.
    """
    spec = load_catalogue().get(name)
    if spec is None:
        return None
    folder = download_folder(spec)
    images = tuple(ImageFile(image.name, folder / image.name, image.sha256, True)
                   for image in spec.images if image.sha256)
    whole = len(images) == len(spec.images)
    return Dataset(spec.name, spec.title, images, len(images), True, (), (), folder) if whole else None


def _resolve_known(spec: DatasetSpec, allow_partial: bool, fetch: bool) -> Dataset:
    location = find_copy(spec)
    failed = None
    partial_will_do = allow_partial and location is not None
    if fetch and spec.addresses and not partial_will_do and (location is None or not location.complete):
        try:
            fetch_missing(spec, download_folder(spec))
        except DownloadFailed as failure:
            failed = failure
        location = find_copy(spec)
    if location is None:
        raise DatasetUnavailable(f"dataset '{spec.name}' is not on this machine",
                                 _advise(spec, failed, None), _summarise_gap(spec, failed, None), 0)
    if not location.complete and not allow_partial:
        raise DatasetIncomplete(f"dataset '{spec.name}' is {describe_gaps(location)}",
                                _advise(spec, failed, location), _summarise_gap(spec, failed, location),
                                len(spec.images) - len(location.named("missing")))

    images = tuple(_make_image_file(state, state.path) for state in location.states if state.path is not None)
    return Dataset(spec.name, spec.title, images, len(spec.images), location.complete,
                   location.named("altered"), location.named("missing"), location.folder)


def _make_image_file(state: ImageState, path: Path) -> ImageFile:
    spec = state.spec
    if state.by_pixels:
        return ImageFile(spec.name, path, spec.sha256 or state.sha256 or "", True, spec.pixels_sha256)
    return ImageFile(spec.name, path, state.sha256 or "", state.verified)


def describe_gaps(location: Location) -> str:
    """Say what a copy of a set lacks: "incomplete: 23 of 24 images in ..., missing kodim05.png"."""
    missing, altered = location.named("missing"), location.named("altered")
    total = len(location.states)
    parts = [f"{'incomplete' if missing else 'altered'}: {total - len(missing)} of {total} images"
             f" in {location.folder}"]
    if missing:
        parts.append(f"missing {list_names(missing, most=3)}")
    faults = [f"{state.spec.name} ({state.fault})" for state in location.states if state.word == "altered"]
    if altered:
        parts.append(f"altered {list_names(faults, most=3, letters=200)}")
    return "; ".join(parts)


def _summarise_gap(spec: DatasetSpec, failed: DownloadFailed | None, location: Location | None) -> str:
    """Say in a line what is not here and why: "40 of 41 images are missing, the download failed: HTTP 404"."""
    images = format_count(len(spec.images), "image")
    if location is None:
        gaps = [f"none of {images} is here"]
    else:
        counts = {word: len(location.named(word)) for word in ("missing", "altered")}
        gaps = [f"{number} of {images} {'is' if number == 1 else 'are'} {word}"
                for word, number in counts.items() if number]
    if failed is not None:
        gaps.append(f"the download failed: {'; '.join(failed.reasons)}")
    return ", ".join(gaps)


def _advise(spec: DatasetSpec, failed: DownloadFailed | None, location: Location | None) -> str:
    """Say where the set was looked for and how to get it."""
    folders = spec.folders[0] if len(spec.folders) == 1 else "{" + ",".join(spec.folders) + "}"
    lines = ["looked in:", *(f"  {root / folders}" for root in search_roots())]
    if spec.package is not None:
        lines.append(f"  the Python package {spec.package.name}: pip install {spec.package.distribution}")
    if failed is not None:
        lines.append(str(failed))
    elif spec.addresses:
        lines += ["not downloaded from:", *(f"  {url}" for url in spec.addresses)]
    lines += ["to get it:", f"  put the images into {download_folder(spec)}",
              f"  or set BENCH_DATA to the folder that holds {spec.name}/"]
    if spec.addresses:
        lines.append(f"  or run, with a network: python -m bench datasets fetch {spec.name}")
    if spec.archive is not None:
        archive = archive_name(spec.archive.sources[0])
        lines.append(f"  or put the archive there as {archive} and run the same")
    if spec.page:
        lines.append(f"  the set's page: {spec.page}")
    if location is not None:
        if location.named("altered"):
            lines.append("altered images are never overwritten: delete them to fetch them again")
        lines.append("or evaluate what is here with --allow-partial; every table and plot then says so")
    return "\n".join(lines).replace("\n", "\n  ")


def list_images(folder: Path) -> list[Path]:
    """Return the losslessly coded images of a folder, by name.

    Raises:
        DatasetError: the folder can't be read or holds none, or a link in it leads nowhere.
    """
    paths = list_pictures([folder], LOSSLESS_SUFFIXES, below=False)
    if not paths:
        raise DatasetError(f"{folder}: holds no image",
                           f"images are the files ending in {', '.join(sorted(LOSSLESS_SUFFIXES))}; "
                           "lossy ones and sub-folders are not taken")
    return paths


def _read_folder(folder: Path, taken: Collection[str]) -> Dataset:
    """Return a user's folder as a set of its own, whose rows must not join what has a name in ``taken``."""
    paths = list_images(folder)
    digests = {path: _hash_if_readable(path) for path in paths}
    first: dict[str, Path] = {}
    for path in sorted(paths, key=rank_name):
        first.setdefault(digests[path] or path.name, path)
    duplicates = {path.name: first[digests[path]].name for path in paths
                  if digests[path] and first[digests[path]] != path}
    images = tuple(ImageFile(path.name, path, digests[path], None) for path in paths if path.name not in duplicates)
    name = folder.resolve().name
    if strange := [text for text in (name, *(path.name for path in paths)) if not is_utf8(text)]:
        raise DatasetError(f"{folder}: names that are not UTF-8, which rows can't hold: {list_names(strange)}",
                           "rename them")
    if name.lower() in taken:
        name = f"folder-{name}"
    return Dataset(name, name, images, None, True, (), (), folder, duplicates)


def rank_name(file: Path | ImageFile) -> tuple[int, str]:
    """Return what orders files so that the first of several copies counts: "a (1).png" is one of "a.png"."""
    return len(file.name), file.name


def _hash_if_readable(path: Path) -> str:
    """Return the file's SHA-256, or nothing: reading the image will say what is wrong with it."""
    try:
        return sha256_of(path)
    except OSError:
        return ""
