"""Digests of all that a report is made from, taken without what makes it: no row is parsed, no library imported."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import bench
from bench.common.files import explain_os_error
from bench.common.folders import CATALOGUE_NAME, default_file
from bench.common.hashing import digest_json, sha256_of
from bench.common.plugins import VARIABLE
from bench.results.machines import Machine, find_machine

MADE_ON = re.compile(rb'"device": ?"[^"]*"(?:, ?"instructions": ?"[^"]*")?')
PACKAGE = Path(bench.__file__).parent
CODE = (".py", ".j2", ".json")  # modules, templates, published curves
YAML_FILES = (CATALOGUE_NAME, "variants.yaml", "claims.yaml")
LIBRARIES = ("python", "jinja2", "matplotlib", "msgspec", "numpy", "optuna", "pandas", "pillow", "pyyaml", "scipy",
             "tabulate")


def digest_report(kind: str, name: str, root: Path, inputs: Iterable[Path],
                  machine: Machine | None = None) -> str:
    """Return a digest of everything that decides what the files of one report hold.

    Args:
        kind, name: of the report.
        root: folder of stored results, from which files are named.
        inputs: files and folders below it; what isn't there, and files whose name begins with a dot, don't count.
        machine: the only one whose rows count; None for all.
    """
    files = find_files(root, inputs)
    digests = {path: sha256_of(path) for path in files.values()}
    mixed = any(_mixes_machines(path, digest) for path, digest in digests.items())
    return digest_json({
        "report": [kind, name, machine],
        "here": find_machine() if mixed else None,  # its rows count before others
        "code": digest_code(), "libraries": find_versions(*LIBRARIES),
        "plugins": _digest_plugins(), "settings": [_digest_file(default_file(one)) for one in YAML_FILES],
        "results": {name: digests[path] for name, path in files.items()},
    })


def find_files(root: Path, inputs: Iterable[Path]) -> dict[str, Path]:
    """Return all files in ``inputs``, files or folders, by their names below ``root``."""
    files = {path.relative_to(root): path for one in inputs for path in _list_files(one)}
    return {name.as_posix(): path for name, path in sorted(files.items())
            if not any(part.startswith(".") for part in name.parts)}


def _list_files(path: Path) -> Iterator[Path]:
    """Yield a file, or all below a folder, in linked folders too; nothing where neither is."""
    if path.is_file():
        yield path
    elif path.is_dir():
        for folder, _, names in os.walk(path, onerror=_refuse, followlinks=True):
            yield from (found for name in names if (found := Path(folder, name)).is_file())


def _refuse(error: OSError) -> None:
    raise explain_os_error(error) from None


@cache
def _mixes_machines(path: Path, sha256: str) -> bool:
    """Whether a file may have rows of several machines, of which those made here count first."""
    return path.suffix == ".jsonl" and len(set(MADE_ON.findall(path.read_bytes()))) > 1


@cache
def digest_code(*packages: str) -> str:
    """Return a digest of the suite's modules, templates and published curves, or of those of some packages."""
    digest = hashlib.sha256()
    for folder in [PACKAGE / name for name in packages] or [PACKAGE]:
        for path in sorted(path for path in folder.rglob("*") if path.suffix in CODE):
            digest.update(f"{path.relative_to(PACKAGE).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def find_versions(*libraries: str) -> tuple[str, ...]:
    """Return the installed versions, "python" being that of the interpreter; empty where one is not installed."""
    return tuple(map(_find_version, libraries))


def _find_version(library: str) -> str:
    if library == "python":
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""


def _digest_plugins() -> list[str]:
    """Digests of the modules that the environment names, which are imported by now."""
    names = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    files = [getattr(sys.modules.get(name), "__file__", None) for name in names]
    return [_digest_file(Path(file)) for file in files if file]


def _digest_file(path: Path) -> str:
    return sha256_of(path) if path.is_file() else ""
