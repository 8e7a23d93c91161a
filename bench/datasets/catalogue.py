"""The catalogue of image sets: ``datasets.yaml``, read and validated."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from bench.common.errors import ConfigurationError
from bench.common.folders import CATALOGUE_NAME, repository_root
from bench.common.yaml_files import LinedMapping, read_yaml


@dataclass(frozen=True)
class ImageSpec:
    """One image of a set; what is None is not published.

    Attributes:
        name: file name.
        sha256: of the file's bytes, 64 hexadecimal digits.
        size: bytes.
        width, height: pixels.
        pixels: width times height, for sets that publish only that.
    """

    name: str
    sha256: str | None = None
    size: int | None = None
    width: int | None = None
    height: int | None = None
    pixels: int | None = None


@dataclass(frozen=True)
class Source:
    """One address of a file, with what is published about the bytes there."""

    url: str
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class ArchiveSpec:
    """A zip or tar file that holds a set.

    Attributes:
        sources: addresses, tried in order.
        members: shell pattern of the members wanted, matched against the path inside the archive; of these,
            only those that bear the name of one of the set's images are unpacked.
    """

    sources: tuple[Source, ...]
    members: str = "*"


@dataclass(frozen=True)
class PackageSpec:
    """A Python package that ships the images: import name, folder inside it, name to install."""

    name: str
    folder: str = "."
    distribution: str = ""


@dataclass(frozen=True)
class DatasetSpec:
    """One image set.

    Attributes:
        folders: names of folders under which a local copy may lie; the first is the set's own name.
        subfolders: layouts inside such a folder, as the archives unpack.
        urls: address templates of single images, with ``{name}`` and ``{number}``; tried in order.
        page: where a person can read about the set.
    """

    name: str
    title: str
    images: tuple[ImageSpec, ...]
    licence: str
    citation: str
    note: str = ""
    page: str = ""
    urls: tuple[str, ...] = ()
    archive: ArchiveSpec | None = None
    package: PackageSpec | None = None
    folders: tuple[str, ...] = ()
    subfolders: tuple[str, ...] = ()

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
    path = Path(path) if path is not None else repository_root() / CATALOGUE_NAME
    document = read_yaml(path)
    try:
        return _catalogue(document)
    except _Wrong as wrong:
        raise ConfigurationError(f"{path}:{wrong.line}: {wrong}") from None


class _Wrong(Exception):
    """What is wrong with the catalogue, and on which line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


Check = Callable[[Any], str | None]


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "must be text"


def _positive(value: Any) -> str | None:
    good = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return None if good else "must be a positive integer"


def _hash(value: Any) -> str | None:
    good = isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value)
    return None if good else "must be 64 lower-case hexadecimal digits"


def _file_name(value: Any) -> str | None:
    good = isinstance(value, str) and value not in ("", ".", "..") and not re.search(r"[/\\\0]", value)
    return None if good else "must be a plain file name"


def _inner_folder(value: Any) -> str | None:
    good = isinstance(value, str) and value and not value.startswith("/") and ".." not in value.split("/")
    return None if good else "must be a relative folder without '..'"


def _url(value: Any) -> str | None:
    try:
        good = isinstance(value, str) and urlsplit(value).scheme in ("http", "https") and urlsplit(value).netloc
    except ValueError:  # an address that can't be taken apart
        good = False
    return None if good else "must be an http or https address"


def _url_template(value: Any) -> str | None:
    try:
        return _url(value) or _url(value.format(name="a1.png", number=1))
    except (KeyError, IndexError, ValueError, AttributeError):
        return "may hold {name} and {number} only"


def _list_of(check: Check) -> Check:
    def checked(value: Any) -> str | None:
        if not isinstance(value, list):
            return "must be a list"
        return next((f"{item!r} {wrong}" for item in value if (wrong := check(item))), None)
    return checked


def _mapping(value: Any) -> str | None:
    return None if isinstance(value, LinedMapping) else "must be a mapping"


_IMAGE = {"name": _file_name, "sha256": _hash, "size": _positive, "width": _positive, "height": _positive,
          "pixels": _positive}
_SOURCE = {"url": _url, "sha256": _hash, "size": _positive}
_ARCHIVE = {"sources": _list_of(_mapping), "members": _text}
_PACKAGE = {"name": _text, "folder": _inner_folder, "distribution": _text}
_DATASET = {"title": _text, "licence": _text, "citation": _text, "note": _text, "page": _url,
            "urls": _list_of(_url_template), "archive": _mapping, "package": _mapping,
            "folders": _list_of(_file_name), "subfolders": _list_of(_inner_folder),
            "images": _list_of(_mapping)}


def _checked(value: Any, line: int, what: str, checks: dict[str, Check],
             needed: tuple[str, ...]) -> LinedMapping:
    """Return ``value`` if it is a mapping with the keys of ``checks``, each passing its check."""
    if not isinstance(value, LinedMapping):
        raise _Wrong(line, f"{what} must be a mapping")
    for key, item in value.items():
        if key not in checks:
            known = ", ".join(checks)
            raise _Wrong(value.line_of(key), f"{what}: unknown key '{key}'; known: {known}")
        if wrong := checks[key](item):
            raise _Wrong(value.line_of(key), f"{what}: {key} {wrong}")
    for key in needed:
        if not value.get(key):
            raise _Wrong(value.line, f"{what}: '{key}' is missing")
    return value


def _catalogue(document: Any) -> dict[str, DatasetSpec]:
    if not isinstance(document, LinedMapping) or not document:
        raise _Wrong(1, "must be a mapping from names of image sets to what they are")
    specs = {}
    for name, value in document.items():
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise _Wrong(document.line_of(name),
                         f"'{name}' can't name a set: use small letters, digits and '_'")
        specs[name] = _dataset(name, value, document.line_of(name))
    return specs


def _dataset(name: str, value: Any, line: int) -> DatasetSpec:
    values = dict(_checked(value, line, name, _DATASET, ("title", "licence", "citation", "images")))
    images: dict[str, ImageSpec] = {}
    for item in values["images"]:
        image = ImageSpec(**_checked(item, item.line, f"{name}: image", _IMAGE, ("name",)))
        if (image.width is None) != (image.height is None):
            raise _Wrong(item.line, f"{name}: image '{image.name}' needs both width and height, or neither")
        if image.name in images:
            raise _Wrong(item.line, f"{name}: image '{image.name}' stands twice")
        images[image.name] = image
    values["images"] = tuple(images.values())
    if archive := values.get("archive"):
        _checked(archive, archive.line, f"{name}: archive", _ARCHIVE, ("sources",))
        sources = (_checked(source, source.line, f"{name}: archive source", _SOURCE, ("url",))
                   for source in archive["sources"])
        values["archive"] = ArchiveSpec(**{**archive, "sources": tuple(Source(**s) for s in sources)})
    if package := values.get("package"):
        _checked(package, package.line, f"{name}: package", _PACKAGE, ("name",))
        values["package"] = PackageSpec(**package)
    values["folders"] = tuple(dict.fromkeys([name, *values.get("folders", [])]))
    for key in ("urls", "subfolders"):
        values[key] = tuple(values.get(key, ()))
    return DatasetSpec(name=name, **values)
