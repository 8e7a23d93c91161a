"""Named columns of numbers to rate points: the spellings in use, and what makes a column wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.common.errors import BenchError
from bench.curves.rd_curve import Points, Values
from bench.metrics.quality import QualityMetric, QualityScale, headline_metrics, known_metrics

BPP, ENCODE_S, DECODE_S = "bpp", "encode_s", "decode_s"
COSTS = {BPP: ("bpp",), ENCODE_S: ("encoding-time", "encode-s"), DECODE_S: ("decoding-time", "decode-s")}


def list_spellings() -> dict[str, tuple[str, ...]]:
    """Return every column that is read, to the names it goes by; compared in lower case with "-" for "_".

    Columns of quality are those of the registered metrics: of their values, and of their qualities along a curve.
    """
    qualities = {scale.column: _list_spellings_of(scale) for metric in known_metrics() for scale in metric.scales}
    return {**COSTS, **qualities}


def _list_spellings_of(scale: QualityScale) -> tuple[str, ...]:
    return (*scale.spellings, scale.column.replace("_", "-"))


def make_points(columns: Mapping[str, Any], where: str) -> Points:
    """Build points from lists of numbers, which must have one length; unknown columns are passed over.

    Args:
        columns: name as written in the file to its values.
        where: what error messages call the file.

    Raises:
        BenchError: bpp or every quality is missing, or a value is impossible.
    """
    written = {str(name).strip().lower().replace("_", "-"): name for name in columns}
    found = {}
    for column, names in list_spellings().items():
        name = next((written[spelling] for spelling in names if spelling in written), None)
        if name is not None:
            found[column] = _require_numbers(columns[name], f"{where}: '{name}'")

    if BPP not in found or not found.keys() - COSTS.keys():
        known = ", ".join(_describe_spellings(metric) for metric in headline_metrics())
        raise BenchError(f"{where} has no {'quality' if BPP in found else BPP} values",
                         f"needed are bpp and a quality: {known}; "
                         f"found: {', '.join(map(str, columns)) or 'nothing'}")
    lengths = {name: len(values) for name, values in found.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise BenchError(f"{where}: lists differ in length: {counts}", "each rate point needs every value")

    _require_ranges(found, where)
    return Points(found[BPP], {metric.name: found[metric.scale.column] for metric in known_metrics()
                               if metric.scale.column in found},
                  {metric.name: found[metric.on_curves.column] for metric in known_metrics()
                   if metric.has_own_curve_scale and metric.on_curves.column in found},
                  found.get(ENCODE_S), found.get(DECODE_S))


def make_columns(points: Points) -> dict[str, Values]:
    """Return ``points`` as columns under the names that this suite writes, unknown ones left out.

    Args:
        points: of one image, or averages.

    Returns:
        Name of a column to its values, (points,).
    """
    columns = {BPP: points.bpp}
    for metric in known_metrics():
        if metric.name in points.quality:
            columns[_list_spellings_of(metric.scale)[0]] = points.quality[metric.name]
        if metric.has_own_curve_scale and metric.name in points.curve_quality:
            columns[_list_spellings_of(metric.on_curves)[0]] = points.curve_quality[metric.name]

    times = {"encoding_time": points.encode_s, "decoding_time": points.decode_s}
    return {**columns, **{name: values for name, values in times.items() if values is not None}}


def _describe_spellings(metric: QualityMetric) -> str:
    values = f"{_list_spellings_of(metric.scale)[0]} ({metric.scale.unit or 'linear'})"
    return f"{values} or {_list_spellings_of(metric.on_curves)[0]}" if metric.has_own_curve_scale else values


def _require_numbers(values: Any, what: str) -> Values:
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise BenchError(f"{what} is not a list of numbers")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise BenchError(f"{what} holds {value!r}, which is no finite number")
    return tuple(float(value) for value in values)


def _require_ranges(found: Mapping[str, Values], where: str) -> None:
    bad = [rate for rate in found[BPP] if rate <= 0]
    if bad:
        raise BenchError(f"{where}: bpp must be positive, but there is {bad[0]:g}")

    for metric in known_metrics():
        for scale in metric.scales:
            outside = [value for value in found.get(scale.column, ()) if not scale.low <= value <= scale.high]
            if outside:
                is_converted = metric.to_curve is not None and scale is metric.scale
                raise BenchError(f"{where}: {metric.label} is {scale.unit or 'linear'} here, from {scale.low:g} to "
                                 f"{scale.high:g}, but there is {outside[0]:g}",
                                 "values in dB become linear by 1 - 10^(-dB / 10)" if is_converted else "")
