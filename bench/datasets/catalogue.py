"""The catalogue of image sets: ``datasets.yaml``, read and validated."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from bench.common.entries import Entry, WrongKey, read_entries
from bench.common.folders import CATALOGUE_NAME, repository_root

Text = Annotated[str, Meta(pattern=r"\S", description="text")]
Positive = Annotated[int, Meta(ge=1, description="a positive integer")]
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z", description="64 lower-case hexadecimal digits")]
FileName = Annotated[str, Meta(pattern=r"\A(?!\.\.?\Z)[^/\\\0]+\Z", description="a plain file name")]
InnerFolder = Annotated[str, Meta(pattern=r"\A(?!/)(?!(.*/)?\.\.(/|\Z)).+\Z",
                                  description="a relative folder without '..'")]


class ImageSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One image of a set; what is None is not published.

    Attributes:
        name: file name.
        sha256: of the file's bytes, 64 hexadecimal digits.
        size: bytes.
        width, height: pixels.
        pixels: width times height, for sets that publish only that.
    """

    name: FileName
    sha256: Sha256 | None = None
    size: Positive | None = None
    width: Positive | None = None
    height: Positive | None = None
    pixels: Positive | None = None

    def __post_init__(self) -> None:
        if (self.width is None) != (self.height is None):
            raise WrongKey(f"'{self.name}' needs both width and height, or neither")


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One address of a file, with what is published about the bytes there."""

    url: str
    sha256: Sha256 | None = None
    size: Positive | None = None

    def __post_init__(self) -> None:
        if not _is_address(self.url):
            raise WrongKey("'url' must be an http or https address", "url")


class ArchiveSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A zip or tar file that holds a set.

    Attributes:
        sources: addresses, tried in order.
        members: shell pattern of the members wanted, matched against the path inside the archive; of these,
            only those that bear the name of one of the set's images are unpacked.
    """

    sources: Annotated[tuple[Source, ...], Meta(min_length=1, description="a list of addresses")]
    members: Text = "*"


class PackageSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Python package that ships the images: import name, folder inside it, name to install."""

    name: Text
    folder: InnerFolder = "."
    distribution: str = ""


class DatasetSpec(Entry, frozen=True, kw_only=True):
    """One image set.

    Attributes:
        folders: names of folders under which a local copy may lie; the first is the set's own name.
        subfolders: layouts inside such a folder, as the archives unpack.
        urls: address templates of single images, with ``{name}`` and ``{number}``; tried in order.
        page: where a person can read about the set.
    """

    name: Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]*\Z", description="small letters, digits and '_'")]
    title: Text
    images: Annotated[tuple[ImageSpec, ...], Meta(min_length=1, description="a list of images")]
    licence: Text
    citation: Text
    note: str = ""
    page: str = ""
    urls: tuple[str, ...] = ()
    archive: ArchiveSpec | None = None
    package: PackageSpec | None = None
    folders: tuple[FileName, ...] = ()
    subfolders: tuple[InnerFolder, ...] = ()

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "folders", tuple(dict.fromkeys([self.name, *self.folders])))
        if self.page and not _is_address(self.page):
            raise WrongKey("'page' must be an http or https address", "page")
        for url in self.urls:
            _check_template(url)
        names: set[str] = set()
        for index, image in enumerate(self.images):
            if image.name in names:
                raise WrongKey(f"image '{image.name}' stands twice", "images", index)
            names.add(image.name)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address the set can be fetched from, templates as they are."""
        archives = tuple(source.url for source in self.archive.sources) if self.archive else ()
        return self.urls + archives

    def image_sources(self, image: ImageSpec) -> tuple[Source, ...]:
        """Return the addresses of one image, in the order to try them."""
        digits = re.search(r"(\d+)$", PurePosixPath(image.name).stem)
        values = {"name": image.name, "number": int(digits[1]) if digits else ""}
        return tuple(Source(url.format(**values), image.sha256, image.size) for url in self.urls)


def load_catalogue(path: Path | None = None) -> dict[str, DatasetSpec]:
    """Read the catalogue, by default the checkout's ``datasets.yaml``.

    Raises:
        ConfigurationError: the file can't be read or says something impossible; names file and line.
    """
    return read_entries(path or repository_root() / CATALOGUE_NAME, DatasetSpec, "dataset")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:  # an address that can't be taken apart
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _check_template(url: str) -> None:
    try:
        filled = url.format(name="a1.png", number=1)
    except (KeyError, IndexError, ValueError, AttributeError):
        raise WrongKey("'urls' may hold {name} and {number} only", "urls") from None
    if not (_is_address(url) and _is_address(filled)):
        raise WrongKey("'urls' must be http or https addresses", "urls")
