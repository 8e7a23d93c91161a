"""A report as it stands in its folder, and the manifest beside it, which tells whether it is still the right one."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.common.hashing import sha256_of

MANIFEST = "files.json"


@dataclass(frozen=True)
class WrittenReport:
    """A report as it stands in its folder.

    Attributes:
        name: of the page.
        folder: that of its files.
        paths: every file, README.md first.
        summary: what a terminal prints of it.
        worse: something got worse beyond its uncertainty since the accepted state.
        unchanged: it was not made again, because nothing that it is made from has changed.
    """

    name: str
    folder: Path
    paths: tuple[Path, ...]
    summary: str
    worse: bool = False
    unchanged: bool = False

    @property
    def page(self) -> Path:
        """The file to open in a browser."""
        return self.folder / "index.html"


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a report was made from and what was written.

    Attributes:
        inputs: digest of all that it was made from; empty where that is not known.
        formats: of figures, beside those that the pages show.
        files: path within the folder to SHA-256, README.md first.
        figures: path of a figure's file to a digest of what it is drawn from.
    """

    inputs: str = ""
    formats: list[str] = []
    name: str = ""
    summary: str = ""
    worse: bool = False
    files: dict[str, str] = {}
    figures: dict[str, str] = {}

    def is_current(self, folder: Path, figure: str, digest: str) -> bool:
        """Whether the file of a figure is there as it was written, and drawn from the same."""
        return self.figures.get(figure) == digest and self._is_whole(folder, figure)

    def find_report(self, folder: Path, inputs: str, formats: Collection[str]) -> WrittenReport | None:
        """Return the report in ``folder`` if it is made from ``inputs`` and every file is as it was written."""
        if not inputs or self.inputs != inputs or not set(formats) <= set(self.formats):
            return None
        if not all(self._is_whole(folder, name) for name in self.files):
            return None
        paths = tuple(folder / name for name in self.files)
        return WrittenReport(self.name, folder, paths, self.summary, self.worse, unchanged=True)

    def _is_whole(self, folder: Path, name: str) -> bool:
        try:
            return sha256_of(folder / name) == self.files[name]
        except (OSError, KeyError):
            return False


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest in ``folder``; an empty one where there is none, or none that this version writes."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Manifest()


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the manifest as the same bytes for the same report, a line each entry."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def remove_files(folder: Path, names: Iterable[str]) -> None:
    """Remove files of an earlier report by their paths within ``folder``, and folders that are empty then."""
    root = folder.resolve()
    for name in names:
        path = Path(os.path.normpath(root / name))
        if not path.parent.resolve().is_relative_to(root):
            continue  # an edited manifest must not reach outside
        path.unlink(missing_ok=True)
        if path.parent != root and path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()
