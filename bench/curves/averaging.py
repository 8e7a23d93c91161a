"""How a curve's qualities were averaged over images, and both sides of a comparison averaged alike.

It matters where the quality along a curve is no linear function of an image's value: the mean of each image's MS-SSIM
in dB lies above the dB of the mean MS-SSIM, so that one codec would differ from itself by some percent of rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bench.common.text import list_names
from bench.curves.rd_curve import Points, RDCurve
from bench.metrics.quality import METRICS, QualityMetric, known_metrics

MEAN, MEAN_OF_DB, DB_OF_MEAN, UNKNOWN = "mean", "mean of dB", "dB of mean", "unknown"
AVERAGING = "averaging"  # the key of a file's ``meta``
SAME_DB = 0.05  # what rounding to four decimals makes of a good MS-SSIM in dB; both averages differ by more


def find_averaging(curve: RDCurve, metric: str) -> str:
    """Return how the qualities of ``metric`` along a curve were averaged.

    Args:
        curve: with values of the metric.
        metric: a name in ``METRICS``.

    Returns:
        :data:`MEAN` where there is but one way, else :data:`MEAN_OF_DB`, :data:`DB_OF_MEAN` or :data:`UNKNOWN`.
    """
    if METRICS.get(metric).to_curve is None:
        return MEAN
    stated = curve.averaging.get(metric)
    if stated is not None and not curve.images_with(metric):
        return stated
    return _tell_by_points(curve.points, metric)


def average_alike(first: RDCurve, second: RDCurve, metric: str) -> tuple[RDCurve, RDCurve, str]:
    """Return both curves with qualities that were averaged alike, where that can be done.

    Where one side knows only the mean of linear values, the other side's is put on the curve in the same way.

    Args:
        first, second: of one dataset, with values of the metric.
        metric: a name in ``METRICS``.

    Returns:
        (first, second, what has to be said with a number of both; empty where there is nothing).

    >>> images = {name: Points((0.2,), {"ms-ssim": (value,)}) for name, value in (("a", 0.9), ("b", 0.99))}
    >>> from bench.curves.rd_curve import average_points
    >>> measured = RDCurve("kodak", "mine", "Mine", average_points(list(images.values())), per_image=images)
    >>> published = RDCurve("kodak", "theirs", "Theirs", Points((0.2,), {"ms-ssim": (0.945,)}))
    >>> own, other, remark = average_alike(measured, published, "ms-ssim")
    >>> [round(curve.points.on_curve("ms-ssim")[0], 2) for curve in (measured, own, other)]
    [15.0, 12.6, 12.6]
    """
    entry = METRICS.get(metric)
    sides = (first, second)
    ways = [find_averaging(curve, metric) for curve in sides]
    if entry.to_curve is None or set(ways) == {MEAN_OF_DB}:
        return first, second, ""

    if all(way == DB_OF_MEAN or (way == MEAN_OF_DB and metric in curve.points.quality)
           for way, curve in zip(ways, sides)):
        known = list_names([curve.label for way, curve in zip(ways, sides) if way == DB_OF_MEAN])
        one, other = (_take_db_of_mean(curve, metric) for curve in sides)
        return one, other, f"{DB_OF_MEAN} on both sides, all that is known of {known}"

    listed = ", ".join(f"{curve.label} {way}" for way, curve in zip(ways, sides))
    return first, second, f"not known to be averaged alike ({listed}), which alone may move it by 4 %"


def settle_averaging(curve: RDCurve) -> RDCurve:
    """Return a curve that was read from a file, which says how each of its qualities was averaged.

    What its ``meta`` states counts: a column of linear values that was made from means of dB becomes these again.
    Columns of both kinds tell by themselves; dB alone doesn't.

    Args:
        curve: as its columns have it.
    """
    written = curve.meta.get(AVERAGING)
    stated: Mapping[str, object] = written if isinstance(written, Mapping) else {}
    for metric in known_metrics():
        if metric.to_curve is not None and curve.has(metric.name) and not curve.images_with(metric.name):
            curve = _settle_metric(curve, metric, stated.get(metric.name))
    return curve


def _settle_metric(curve: RDCurve, metric: QualityMetric, stated: object) -> RDCurve:
    points, name = curve.points, metric.name
    if stated in (MEAN_OF_DB, UNKNOWN) and name not in points.curve_quality:
        points = Points(points.bpp, {key: values for key, values in points.quality.items() if key != name},
                        {**points.curve_quality, name: points.on_curve(name) or ()}, points.encode_s, points.decode_s)

    if stated in (MEAN_OF_DB, DB_OF_MEAN, UNKNOWN):
        way = str(stated)
    elif name not in points.curve_quality:
        way = DB_OF_MEAN
    elif name not in points.quality:
        way = UNKNOWN
    else:
        converted = map(metric.curve_value, points.quality[name])
        same = all(other is not None and abs(value - other) <= SAME_DB
                   for value, other in zip(points.curve_quality[name], converted))
        way = DB_OF_MEAN if same else MEAN_OF_DB
    told = {} if way == _tell_by_points(points, name) else {name: way}
    return replace(curve, points=points, averaging={**curve.averaging, **told})


def _tell_by_points(points: Points, metric: str) -> str:
    return MEAN_OF_DB if metric in points.curve_quality else DB_OF_MEAN


def _take_db_of_mean(curve: RDCurve, metric: str) -> RDCurve:
    """Return a curve with the dB of the mean along it; itself where that is what it has."""
    points = curve.points
    if metric not in points.quality or metric not in points.curve_quality:
        return curve
    others = {name: values for name, values in points.curve_quality.items() if name != metric}
    return replace(curve, points=replace(points, curve_quality=others),
                   averaging={**curve.averaging, metric: DB_OF_MEAN}, per_image={})
