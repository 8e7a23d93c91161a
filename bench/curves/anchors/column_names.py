"""How columns of rate points are called: the spellings in use, units in brackets, and what else a table names."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from bench.metrics.quality import METRICS, QualityMetric, QualityScale, headline_metrics, known_metrics

BPP, ENCODE_S, DECODE_S = "bpp", "encode_s", "decode_s"
COSTS = {BPP: ("bpp", "rate-bpp"), ENCODE_S: ("encoding-time", "encode-s"), DECODE_S: ("decoding-time", "decode-s")}
SECONDS = {"s", "sec", "second", "seconds"}
COST_UNITS = {BPP: {"bpp", "bit-pixel", "bits-pixel", "bit-per-pixel", "bits-per-pixel", "bit-px", "bits-px", "b-p"},
              ENCODE_S: SECONDS, DECODE_S: SECONDS}
AVERAGES = {"mean", "average", "avg"}

IMAGES = {"image", "images", "img", "image-name", "img-name", "image-id", "file", "filename", "file-name", "seq",
          "seq-name", "sequence", "sequence-name", "picture", "picture-name", "image-path", "path"}
SETTINGS = {"lmbda", "lambda", "qp", "q", "quality", "quality-level", "point", "rate-point", "level", "crf", "setting"}
KINDS = {"codec", "dataset"}  # of which a curve has one
_BRACKETS = re.compile(r"[(\[{]([^()\[\]{}]*)[)\]}]")


class ColumnName(NamedTuple):
    """What a column's name says.

    Attributes:
        column: as this suite calls it.
        rank: 0 for the most specific spelling; where a file has several, the least counts.
        unknown_unit: what stands in brackets and is not known, or empty.
    """

    column: str
    rank: int
    unknown_unit: str = ""


def join_words(text: str) -> str:
    """Return letters and digits in lower case, anything between them as "-".

    Args:
        text: a name, as written.

    >>> join_words(" MS_SSIM (dB) ")
    'ms-ssim-db'
    """
    return re.sub(r"[^a-z0-9]+", "-", unicodedata.normalize("NFKC", text).lower()).strip("-")


def identify_column(written: str) -> ColumnName | None:
    """Say which column is meant, or None for one that is passed over.

    Args:
        written: its name in a file, which may have a unit in brackets.

    >>> identify_column("BPP (bits/pixel)"), identify_column("remark")
    (ColumnName(column='bpp', rank=0, unknown_unit=''), None)
    >>> identify_column("MS-SSIM (dB form)").column, identify_column("encoding_time [ms]").unknown_unit
    ('ms_ssim_db', 'ms')
    """
    base, units = _BRACKETS.sub(" ", written), _BRACKETS.findall(written)
    if not units and "/" in base:  # as in "PSNR/dB"
        base, _, unit = base.partition("/")
        units = [unit]

    table = _list_names(tuple(METRICS))
    name, others = join_words(base), []
    for unit in (join_words(unit.replace("%", "percent")) for unit in units):
        longer = next((f"{name}-{part}" for part in (unit, unit.partition("-")[0]) if f"{name}-{part}" in table), None)
        name = longer or name
        if longer is None and unit:
            others.append(unit)

    if name not in table:
        return None
    column, rank = table[name]
    return ColumnName(column, rank, next((unit for unit in others if unit not in _list_units(column)), ""))


@lru_cache(maxsize=4)
def _list_names(metrics: tuple[str, ...]) -> dict[str, tuple[str, int]]:
    """Return every spelling to its column and its rank; a unit in it makes none more specific."""
    names: dict[str, tuple[str, int]] = {}
    for column, spellings in COSTS.items():
        names |= dict.fromkeys(spellings, (column, 0))

    for scale in (scale for metric in metrics for scale in METRICS.get(metric).scales):
        unit = join_words(scale.unit)
        ranks: dict[str, int] = {}
        for spelling in list_spellings(scale):
            plain = "-".join(word for word in spelling.split("-") if word != unit)
            names[spelling] = (scale.column, ranks.setdefault(plain, len(ranks)))
    return names


def _list_units(column: str) -> set[str]:
    if column in COST_UNITS:
        return COST_UNITS[column] | AVERAGES
    scale = next(scale for metric in known_metrics() for scale in metric.scales if scale.column == column)
    return {join_words(scale.unit) or "linear", *AVERAGES}


def list_spellings(scale: QualityScale) -> tuple[str, ...]:
    """Return the names that a column of ``scale`` goes by, the one that is written first.

    Args:
        scale: of a registered metric.
    """
    return (*scale.spellings, scale.column.replace("_", "-"))


def describe_needs() -> str:
    """Say which columns make rate points."""
    return f"needed are bpp and a quality: {', '.join(map(_describe_spellings, headline_metrics()))}"


def _describe_spellings(metric: QualityMetric) -> str:
    values = f"{list_spellings(metric.scale)[0]} ({metric.scale.unit or 'linear'})"
    return f"{values} or {list_spellings(metric.on_curves)[0]}" if metric.has_own_curve_scale else values
