"""The catalogue of image sets: ``datasets.yaml``, read and validated."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from bench.common.entries import Entry, WrongKey, read_entries
from bench.common.folders import CATALOGUE_NAME, default_file

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
        pixels_sha256: of its pixels, 8-bit RGB row by row.
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
    pixels_sha256: Sha256 | None = None

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


class AnchorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A published VVC curve that a dataset's codecs are compared with.

    Attributes:
        name: the published curve.
        role: "default", or "strict" for the one shown beside it.
        label: what tables call it.
        convention: exactly which encoder, colours and scoring.
        qps: smallest and largest QP used; None for all.
    """

    name: Text
    role: Literal["default", "strict"]
    label: Text
    convention: Text
    qps: Annotated[tuple[int, int], Meta(description="[smallest, largest] QP")] | None = None


class PublishedSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The curves that are published on a dataset.

    Attributes:
        folder: of the curves' files; empty where nothing is published.
        anchors: the VVC curves, the default first.
        shown: curve to how tables call it.
        plotted: those of them that plots show.
        codecs: codec to the curve that stands for it where it has no rows.
    """

    folder: FileName = ""
    anchors: tuple[AnchorSpec, ...] = ()
    shown: dict[str, Text] = {}
    plotted: tuple[str, ...] = ()
    codecs: dict[str, Text] = {}

    def __post_init__(self) -> None:
        roles = [anchor.role for anchor in self.anchors]
        if roles and (roles[0] != "default" or roles.count("default") > 1):
            raise WrongKey("'anchors' must begin with the one default anchor", "anchors")
        if strange := [name for name in self.plotted if name not in self.shown]:
            raise WrongKey(f"'plotted' has '{strange[0]}', which is not among those shown", "plotted")


class DatasetSpec(Entry, frozen=True, kw_only=True):
    """One image set.

    Attributes:
        title: how reports call it.
        short_title: how plots of a paper's column call it; filled in with the title.
        report_note: what its report says first.
        folders: names of folders under which a local copy may lie; the first is the set's own name.
        subfolders: layouts inside such a folder, as the archives unpack.
        urls: address templates of single images, with ``{name}`` and ``{number}``; tried in order.
        page: where a person can read about the set.
    """

    name: Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]*\Z", description="small letters, digits and '_'")]
    title: Text
    short_title: str = ""
    images: Annotated[tuple[ImageSpec, ...], Meta(min_length=1, description="a list of images")]
    licence: Text
    citation: Text
    note: str = ""
    report_note: str = ""
    published: PublishedSpec = PublishedSpec()
    page: str = ""
    urls: tuple[str, ...] = ()
    archive: ArchiveSpec | None = None
    package: PackageSpec | None = None
    folders: tuple[FileName, ...] = ()
    subfolders: tuple[InnerFolder, ...] = ()

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "short_title", self.short_title or self.title)
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
    """Read the catalogue, by default ``BENCH_DATASETS`` or else the checkout's ``datasets.yaml``.

    Raises:
        ConfigurationError: the file can't be read or says something impossible; names file and line.
    """
    path = (path or default_file(CATALOGUE_NAME)).absolute()
    about = path.stat() if path.is_file() else None
    return dict(_read_catalogue(path, about and (about.st_mtime_ns, about.st_size)))


@lru_cache(maxsize=4)
def _read_catalogue(path: Path, state: tuple[int, int] | None) -> dict[str, DatasetSpec]:
    """Read a file once for each state that it is in: every published curve asks for its folder."""
    return read_entries(path, DatasetSpec, "dataset")


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
