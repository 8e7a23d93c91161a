"""Any curve by one text: a file of rows, CompressAI's JSON, CSV, or a published curve's name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.common.errors import BenchError, ConfigurationError
from bench.common.text import suggest_name
from bench.curves.anchors.catalogue import (
    find_folders,
    list_anchors,
    list_curves,
    load_anchor,
    load_curve,
    read_imported,
)
from bench.curves.anchors.curve_files import SUFFIXES, read_curve_file
from bench.curves.rd_curve import RDCurve
from bench.curves.row_averages import average_rows
from bench.results.folder_record import keep_covered
from bench.results.rows import Row
from bench.results.store import read_rows

ROWS_SUFFIX = ".jsonl"
ROLES = {"anchor": "default", "strict-anchor": "strict"}  # names of anchors
KINDS = ("FILE.jsonl or FILE.jsonl#NAME (stored rows), FILE.json (CompressAI's shape), FILE.csv, .tsv or .txt, "
         "DATASET/NAME (a published or imported curve), DATASET/anchor, DATASET/strict-anchor")


def read_source(text: str, metrics: Sequence[str] = ("psnr",), results: Path | None = None) -> RDCurve:
    """Return the curve that ``text`` names.

    Args:
        text: a file or a published curve, see :data:`KINDS`.
        metrics: names in METRICS that every image of a file of rows must have to count.
        results: folder of stored rows, where imported curves are too.

    Raises:
        BenchError: there is no such curve, or its file is damaged.

    >>> read_source("kodak/anchor").label
    'VTM 22.2 intra (8-bit 4:4:4 planes)'
    """
    path, name = split_name(text)
    suffix = path.suffix.lower()
    if suffix == ROWS_SUFFIX:
        return read_rows_curve(path, name, metrics)
    if suffix in SUFFIXES:
        if name:
            raise ConfigurationError(f"{path} holds one curve", f"leave '#{name}' away: only {ROWS_SUFFIX} has names")
        return read_curve_file(path, metrics=metrics)

    dataset, slash, curve = text.partition("/")
    if not slash or os.path.exists(path):
        raise ConfigurationError(f"'{text}' is no curve", f"expected {KINDS}")
    role = ROLES.get(curve)
    if role is None:
        return _load_named(dataset, curve, read_imported(results, dataset) if results else [])
    for anchor in list_anchors(dataset):
        if anchor.role == role:
            return load_anchor(dataset, anchor)
    raise ConfigurationError(f"dataset '{dataset}' has no {role} anchor",
                             "python -m bench anchors list" if list_curves(dataset)
                             else suggest_name(dataset, find_folders(), "python -m bench anchors list"))


def _load_named(dataset: str, name: str, imported: Sequence[RDCurve]) -> RDCurve:
    """Return a curve of a dataset, one of those ``imported`` or a published one."""
    found = next((curve for curve in imported if curve.name == name), None)
    known = [*(curve.name for curve in imported), *list_curves(dataset)]
    if found is None and known and name not in known:
        raise ConfigurationError(f"there is no curve '{name}' of dataset '{dataset}'",
                                 suggest_name(name, [*ROLES, *known], f"python -m bench anchors list {dataset}"))
    return found or load_curve(dataset, name)


def split_name(text: str) -> tuple[Path, str]:
    """Split FILE#NAME; a path that exists wins, so that names of files and folders may hold "#".

    Args:
        text: of a file, which may not exist, or of anything else.

    Returns:
        (path, NAME or an empty text).

    >>> split_name("results/none.jsonl#webp")[1]
    'webp'
    """
    ends = [len(text), *(place for place in range(len(text) - 1, 0, -1) if text[place] == "#")]
    for end in ends:
        if os.path.isfile(text[:end]):
            return Path(text[:end]), text[end + 1:]

    path, _, name = text.rpartition("#")
    return (Path(path), name) if path.lower().endswith(ROWS_SUFFIX) else (Path(text), "")


def read_rows_curve(path: Path, name: str = "", metrics: Sequence[str] = ("psnr",)) -> RDCurve:
    """Return the average over a file of rows, with a remark where it does not cover the whole dataset.

    Of a folder of the user's its rows are those of the pictures that the last run covered.

    Args:
        path: the file.
        name: the codec, which may be empty where all rows are of one.
        metrics: names in METRICS that every image must have to count.

    Raises:
        BenchError: the file is damaged or empty, or has no such codec, or no image at every rate point.
    """
    rows = _take_named(keep_covered(read_rows(path, Row), path.parent), name, path)
    try:
        curve = average_rows(rows, metrics)
    except BenchError as error:
        raise BenchError(f"{path}: {error.args[0]}", error.hint) from None

    total = max(row.dataset_total or 0 for row in rows)
    if total <= (curve.images or 0):
        return curve
    remark = f"{curve.images} of {total} images of {curve.dataset}"
    return replace(curve, remarks=(*curve.remarks, remark))


def _take_named(rows: Sequence[Row], name: str, path: Path) -> list[Row]:
    """Return the rows called ``name``, which may be empty where all rows have one name."""
    found = sorted({row.name for row in rows})
    if not rows:
        raise BenchError(f"{path} holds no rows")
    if not name and len(found) > 1:
        choices = ", ".join(f"{path}#{one}" for one in found)
        raise ConfigurationError(f"{path} holds several codecs", f"choose one: {choices}")
    if name and name not in found:
        raise ConfigurationError(f"{path}: no rows are called '{name}'", f"there are: {', '.join(found)}")
    return [row for row in rows if row.name == (name or found[0])]
