"""Writing a report's folder: every file whole or not at all, files of earlier reports cleared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from bench.common.errors import BenchError
from bench.common.whole_files import write_whole

MANIFEST = "files.json"


def write_folder(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write ``contents`` (path within ``folder`` to bytes) and return the paths.

    Files that an earlier report wrote, by its manifest, and that are no longer among ``contents`` are
    removed; nothing else in the folder is touched.

    Raises:
        BenchError: the folder can't be written.
    """
    try:
        stale = set(_manifest(folder)) - set(contents)
        paths = [write_whole(folder / name, data) for name, data in contents.items()]
        write_whole(folder / MANIFEST, (json.dumps(sorted(contents), indent=1) + "\n").encode())
        for name in sorted(stale):
            _remove(folder, name)
    except OSError as error:
        raise BenchError(f"can't write the report in {folder}: {error.strerror or error}",
                         "free some space or choose another folder with --reports") from error
    return paths


def _manifest(folder: Path) -> list[str]:
    try:
        names = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _remove(folder: Path, name: str) -> None:
    """Remove one file of an earlier report, and its folder if that is empty now."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        return  # an edited manifest must not reach outside
    path.unlink(missing_ok=True)
    if path.parent != folder.resolve() and path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()
