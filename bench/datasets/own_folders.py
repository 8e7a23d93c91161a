"""Folders of a user's own as image sets: git keeps results and reports of the catalogue's sets alone."""

from __future__ import annotations

from pathlib import Path

from bench.common.files import file_name, write_whole, writing
from bench.datasets.catalogue import load_catalogue

IGNORED = ".gitignore"


def is_own_folder(name: str) -> bool:
    """Whether a set, or the folder of its results, is none of the catalogue's."""
    return all(name not in (known, file_name(known)) for known in load_catalogue())


def hide_own_results(folder: Path, dataset: str) -> None:
    """Let git ignore the folder that results of ``dataset`` go to, if that is a folder of the user's.

    Raises:
        BenchError: the folder can't be written.
    """
    if is_own_folder(dataset) and not (folder / IGNORED).exists():
        with writing(folder):
            write_whole(folder / IGNORED, "*\n")
