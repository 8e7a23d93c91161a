"""The one reader of files of rate points: CompressAI's JSON, or a table of text."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from bench.common.errors import BenchError, ConfigurationError
from bench.common.files import reading
from bench.curves.anchors.compressai_json import parse_json
from bench.curves.anchors.tables import parse_table
from bench.curves.rd_curve import RDCurve

JSON_SUFFIX = ".json"
SUFFIXES = (JSON_SUFFIX, ".csv", ".tsv", ".txt")
MOST_BYTES = 8 * 2**20  # a table of 428 images at 10 points has half a megabyte


def read_curve_file(path: Path, dataset: str = "", metrics: Collection[str] = ()) -> RDCurve:
    """Read a curve; what it is, its name's ending says, in capitals or not.

    Args:
        path: the file.
        dataset: that of the points; else what the file says counts.
        metrics: names in METRICS that are asked for: a wrong column of another metric is left out with a remark.

    Returns:
        The curve, called like the file.

    Raises:
        BenchError: the file can't be read, is not of its shape, or lacks an asked metric.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigurationError(f"can't tell what {path} is", f"expected a name ending in {', '.join(SUFFIXES)}")

    text = _read_text(path)
    parse = parse_json if suffix == JSON_SUFFIX else parse_table
    return parse(text, str(path), path.stem, dataset, metrics)


def _read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, UTF-16 or UTF-32, which is told by its first bytes."""
    with reading(path), path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise BenchError(f"{path} has more than {MOST_BYTES // 2**20} MiB, too much for a file of rate points")

    encoding = json.detect_encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise BenchError(f"can't read {path}: no text in {encoding.upper()} at byte {error.start}",
                         "save it as UTF-8") from None
    if "\0" in text:
        raise BenchError(f"can't read {path}: it holds NUL characters, so it is no text", "save it as UTF-8")
    return text.removeprefix("\ufeff")
