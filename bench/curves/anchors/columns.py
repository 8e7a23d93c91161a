"""Named columns of numbers to rate points: what makes a column wrong, and what a wrong one costs."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from bench.common.errors import BenchError
from bench.curves.anchors.column_names import (
    BPP,
    COSTS,
    DECODE_S,
    ENCODE_S,
    describe_needs,
    identify_column,
    list_spellings,
)
from bench.curves.rd_curve import Points, Values
from bench.metrics.quality import METRICS, known_metrics

LARGEST = 1e9  # of any rate, quality or time
MOST_VALUES = 100_000  # of a column
MOST_NAMES = 20  # that a message lists
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


class Doubled(str):
    """A value whose name stands twice in a mapping, so that nobody knows it."""


class NamedColumn(NamedTuple):
    """A column under its name in the file."""

    name: str
    values: Any


class _Wrong(Exception):
    """Why a column can't be read."""


def quote(value: object) -> str:
    """Return ``value`` as messages show it: in quotes, short, control characters written out.

    Args:
        value: of a file.

    >>> quote("bpp"), len(quote("b" * 10**6))
    ("'bpp'", 60)
    """
    return _SHORT.repr(value)


def make_points(columns: Iterable[NamedColumn], where: str, metrics: Collection[str] = (),
                places: Sequence[str] | None = None) -> tuple[Points, tuple[str, ...]]:
    """Build points from columns of numbers, which must have one length; unknown columns are passed over.

    A column that is wrong is left out, unless it is the rate or all that there is of an asked metric.

    Args:
        columns: as the file has them.
        where: what error messages call the file.
        metrics: names in METRICS that are asked for.
        places: what error messages call each value ("line 4"); counted by default.

    Returns:
        (points, remarks on what is left out).

    Raises:
        BenchError: bpp, every quality or an asked one is missing or wrong.
    """
    columns = list(columns)
    named = _choose_columns(columns)
    if BPP not in named or not named.keys() - COSTS.keys():
        seen = ", ".join(islice((quote(column.name).strip("'") for column in columns), MOST_NAMES))
        more = ", ..." if len(columns) > MOST_NAMES else ""
        raise BenchError(f"{where} has no {'quality' if BPP in named else BPP} values",
                         f"{describe_needs()}; found: {seen or 'nothing'}{more}")

    found: dict[str, Values] = {}
    wrong: dict[str, str] = {}
    for column in sorted(named, key=lambda column: column != BPP):  # the rate tells how many values there must be
        try:
            values = _read_column(named[column], places)
            _require_length(named[column][0].name, values, found.get(BPP, values))
            _require_range(named[column][0].name, values, column)
        except _Wrong as reason:
            wrong[column] = str(reason)
        else:
            found[column] = values

    _require_asked(found, wrong, where, metrics)
    return _gather_points(found), tuple(f"left out: {reason}" for reason in wrong.values())


def _choose_columns(columns: Iterable[NamedColumn]) -> dict[str, list[NamedColumn]]:
    """Return the column of each known kind that has the most specific name; several where they are equally so."""
    ranked: dict[str, dict[int, list[NamedColumn]]] = {}
    for column in columns:
        name = identify_column(column.name)
        if name is not None:
            ranked.setdefault(name.column, {}).setdefault(name.rank, []).append(column)
    return {column: by_rank[min(by_rank)] for column, by_rank in ranked.items()}


def _read_column(candidates: Sequence[NamedColumn], places: Sequence[str] | None) -> Values:
    name, values = candidates[0]
    if len(candidates) > 1 or isinstance(values, Doubled):
        names = " and ".join(quote(column.name) for column in candidates[:MOST_NAMES])
        raise _Wrong(f"{names} stands twice" if len(candidates) == 1 else f"{names} are names of one column; keep one")

    identified = identify_column(name)
    if identified is not None and identified.unknown_unit:
        raise _Wrong(f"{quote(name)}: the unit '{identified.unknown_unit}' is not one of this column")
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise _Wrong(f"{quote(name)} is not a list of numbers")
    if len(values) > MOST_VALUES:
        raise _Wrong(f"{quote(name)} has {len(values)} values, more than {MOST_VALUES}")
    return tuple(_read_number(value, f"{places[index] if places else f'value {index + 1}'}, {quote(name)}")
                 for index, value in enumerate(values))


def _read_number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _Wrong(f"{place}: {quote(value)} is no number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _Wrong(f"{place}: {quote(value)} is no finite number")
    if abs(number) > LARGEST:
        raise _Wrong(f"{place}: {quote(value)} is more than any rate, quality or time")
    return number


def _require_length(name: str, values: Values, rates: Values) -> None:
    if len(values) != len(rates):
        raise _Wrong(f"lists differ in length: bpp {len(rates)}, {quote(name)} {len(values)}; "
                     "each rate point needs every value")


def _require_range(name: str, values: Values, column: str) -> None:
    if column in COSTS:
        bad = [value for value in values if value < 0 or (column == BPP and value == 0)]
        if bad:
            raise _Wrong(f"{quote(name)} must be positive, but there is {bad[0]:g}")
        return

    metric, scale = next((metric, scale) for metric in known_metrics() for scale in metric.scales
                         if scale.column == column)
    outside = [value for value in values if not scale.low <= value <= scale.high]
    is_converted = metric.to_curve is not None and scale is metric.scale
    if outside:
        hint = f"; call the column {list_spellings(metric.on_curves)[0]} if it is in dB" if is_converted else ""
        raise _Wrong(f"{quote(name)}: {metric.label} is {scale.unit or 'linear'} here, from {scale.low:g} to "
                     f"{scale.high:g}, but there is {outside[0]:g}{hint}")

    endless = [value for value in values if is_converted and metric.curve_value(value) is None]
    if endless:
        raise _Wrong(f"{quote(name)}: {metric.label} of {endless[0]:g} has no finite value in "
                     f"{metric.on_curves.unit or 'curves'}")


def _require_asked(found: Mapping[str, Values], wrong: Mapping[str, str], where: str, metrics: Collection[str]) -> None:
    """Raise the first reason why the rate, an asked metric, or every quality can't be read."""
    if BPP in wrong:
        raise BenchError(f"{where}: {wrong[BPP]}")
    for metric in metrics:
        columns = [scale.column for scale in METRICS.get(metric).scales]
        reasons = [wrong[column] for column in columns if column in wrong]
        if reasons and not any(column in found for column in columns):
            raise BenchError(f"{where}: {reasons[0]}")
    if not found.keys() - COSTS.keys():
        raise BenchError(f"{where}: {next(wrong[column] for column in wrong if column not in COSTS)}")


def _gather_points(found: Mapping[str, Values]) -> Points:
    metrics = known_metrics()
    return Points(
        found[BPP], {metric.name: found[metric.scale.column] for metric in metrics if metric.scale.column in found},
        {metric.name: found[metric.on_curves.column] for metric in metrics
         if metric.has_own_curve_scale and metric.on_curves.column in found},
        found.get(ENCODE_S), found.get(DECODE_S))


def make_columns(points: Points) -> dict[str, Values]:
    """Return ``points`` as columns under CompressAI's names, unknown ones left out.

    Args:
        points: of one image, or averages.

    Returns:
        Name of a column to its values, (points,).
    """
    columns = {BPP: points.bpp}
    for metric in known_metrics():
        if metric.name in points.quality:
            columns[list_spellings(metric.scale)[0]] = points.quality[metric.name]
        if metric.has_own_curve_scale and metric.name in points.curve_quality:
            columns[list_spellings(metric.on_curves)[0]] = points.curve_quality[metric.name]

    times = {"encoding_time": points.encode_s, "decoding_time": points.decode_s}
    return {**columns, **{name: values for name, values in times.items() if values is not None}}
