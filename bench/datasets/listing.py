"""Which files of a folder are pictures, to evaluate and to train on alike."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from bench.common.errors import DatasetError
from bench.common.text import list_names
from bench.datasets.images import LOSSLESS_SUFFIXES

PICTURE_SUFFIXES = LOSSLESS_SUFFIXES | {".jpg", ".jpeg", ".webp"}
LEFT_BY_MACS = "__MACOSX"  # in archives, beside "._" files: what is no picture under a picture's name


def list_pictures(folders: Iterable[Path], suffixes: Collection[str], *, below: bool) -> list[Path]:
    """Return the files of folders that are pictures by their names, sorted.

    Hidden files and folders are left out, and so is what macOS leaves in archives. Links to files and folders are
    followed; a folder that several lead to counts once.

    Args:
        suffixes: in lower case, with the dot.
        below: take folders in folders too.

    Raises:
        DatasetError: a folder can't be read, or a link leads nowhere; the message names it.
    """
    found: list[Path] = []
    broken: list[str] = []
    seen: set[tuple[int, int]] = set()
    waiting = list(folders)
    linked: list[Path] = []
    while waiting or linked:
        folder = waiting.pop() if waiting else linked.pop(0)  # a folder's own path goes before links to it
        for path in _list_new(folder, seen):
            is_picture, is_link = path.suffix.lower() in suffixes, path.is_symlink()
            if os.path.isdir(path):
                (linked if is_link else waiting).extend([path] if below else [])
            elif is_link and not os.path.exists(path) and (is_picture or below):
                broken.append(f"{path} to {os.readlink(path)}")
            elif is_picture and os.path.isfile(path):
                found.append(path)

    if broken:
        raise DatasetError(f"links that lead nowhere: {list_names(sorted(broken), letters=400)}", "mend or remove them")
    return sorted(found)


def _list_new(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """What is in a folder, unless it was seen before."""
    try:
        status = folder.stat()
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise DatasetError(f"{folder}: {error.strerror}", "check the folder's permissions") from None

    place = status.st_dev, status.st_ino
    if place not in seen:
        seen.add(place)
        yield from (folder / name for name in names if not name.startswith(".") and name != LEFT_BY_MACS)
