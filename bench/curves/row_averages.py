"""Stored rows of one codec to a curve: the mean over the images that all its rate points share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from bench.common.errors import BenchError
from bench.curves.rd_curve import Content, Points, RDCurve, Values, average_points
from bench.metrics.quality import METRICS, QualityMetric
from bench.metrics.rate.curves import MINIMUM_POINTS
from bench.results.machines import describe_mixture
from bench.results.row_selection import Choice, select_rows
from bench.results.rows import OK, Row


class NoCommonImage(BenchError):
    """No image is measured at every rate point, so there is no curve."""


def average_rows(rows: Iterable[Row], metrics: Sequence[str] = ("psnr",)) -> RDCurve:
    """Average rows of one codec on one dataset: the arithmetic mean over images at each rate point.

    All points go over the same images, those measured at each of them with all ``metrics``. Points that
    lack images which others have are left out while at least four points remain. Values of other metrics
    are given where all these images have them.

    Args:
        rows: in the order they were stored.
        metrics: names in METRICS.

    Returns:
        Points by rising mean rate, with those of each image.

    Raises:
        NoCommonImage: no image is measured at every rate point.
        BenchError: the rows are of several codecs or datasets, or there is no such metric.
    """
    rows = list(rows)
    for what, found in (("codecs", {row.name for row in rows}), ("datasets", {row.dataset for row in rows})):
        if len(found) > 1:
            raise BenchError(f"the rows are of several {what}: {', '.join(sorted(found))}")
    return average_choices(select_rows(rows[0].dataset if rows else "", rows).choices, metrics)


def average_choices(choices: Sequence[Choice], metrics: Sequence[str] = ("psnr",)) -> RDCurve:
    """Average the chosen rows of one codec, as :func:`average_rows` does.

    Args:
        choices: of one codec on one dataset, by rising mean rate.
        metrics: names in METRICS.

    Raises:
        NoCommonImage: no image is measured at every rate point.
        ConfigurationError: there is no such metric.
    """
    scales = [METRICS.get(metric) for metric in metrics]
    measured = name_pictures({choice.point: [row for row in choice.rows if _is_measured(row, scales)]
                              for choice in choices})
    points, images, remarks = choose_common_images(measured)
    if not images:
        name = f"{choices[0].name}: " if choices else ""
        raise NoCommonImage(f"{name}no image is measured at every rate point with {' and '.join(metrics)}",
                            "python -m bench evaluate measures what is missing")

    by_point = [[measured[point][image] for image in images] for point in points]
    mixture = describe_mixture(row for rows in by_point for row in rows)
    if mixture:
        remarks.append(mixture)
    per_image = dict(zip(images, _collect_points(by_point)))
    contents = {image: Content(row.pixels_sha256, row.image_sha256) for image, row in zip(images, by_point[0])}
    first = choices[0].rows[0]
    return RDCurve(
        dataset=first.dataset, name=first.name, label=first.label, points=average_points(list(per_image.values())),
        description=f"{first.label} ({first.codec}), measured by this suite; rate points {', '.join(points)}",
        source="measured by this suite", per_image=per_image, contents=contents, images=len(images),
        remarks=tuple(remarks),
        meta={"metric_convention": _state_convention(metrics), "images": images, "points": points},
    )


def _state_convention(metrics: Sequence[str]) -> str:
    return "; ".join((*(METRICS.get(metric).convention for metric in metrics), "bpp from the file"))


def _is_measured(row: Row, metrics: Sequence[QualityMetric]) -> bool:
    if row.status != OK or row.bpp is None:
        return False
    return all(metric.name in row.quality and metric.curve_value(row.quality[metric.name]) is not None
               for metric in metrics)


def name_pictures(rows: Mapping[str, Sequence[Row]]) -> dict[str, dict[str, Row]]:
    """Return the rows of each rate point by the name of their picture, which is one name for one content.

    A picture that was measured under several names has the first one; one that has a name of another has its content
    beside it. An altered one of a set is called so: it must not be paired with values that are known by name alone.

    Args:
        rows: of each rate point.
    """
    pixels = {row.image_sha256: row.pixels_sha256 for members in rows.values() for row in members if row.pixels_sha256}
    names: dict[str, str] = {}
    named: dict[str, dict[str, Row]] = {}
    for point, members in rows.items():
        named[point] = {}
        for row in members:
            content = row.pixels_sha256 or pixels.get(row.image_sha256) or row.image_sha256
            if content not in names:
                name = f"{row.image} (altered)" if row.image_verified is False else row.image
                names[content] = f"{name} ({content[:8]})" if name in names.values() else name
            named[point][names[content]] = row
    return named


def choose_common_images(measured: Mapping[str, Collection[str]]) -> tuple[list[str], list[str], list[str]]:
    """Choose rate points and the images that all of them have; points without any image are left out.

    Args:
        measured: rate point to its measured images.

    Returns:
        (points, images in order of name, remarks on what is left out).

    Four points have both images, so that the fifth, which lacks one, is left out:

    >>> both, one = ["a.png", "b.png"], ["a.png"]
    >>> choose_common_images({"q1": both, "q2": both, "q3": both, "q4": both, "q5": one})
    (['q1', 'q2', 'q3', 'q4'], ['a.png', 'b.png'], ['left out for lack of images: q5 (1 of 2 images)'])

    >>> choose_common_images({"q1": both, "q2": one})
    (['q1', 'q2'], ['a.png'], ['over the 1 of 2 images that all rate points share'])
    """
    most = max(map(len, measured.values()), default=0)
    points = [point for point, images in measured.items() if images]
    complete = [point for point in points if len(measured[point]) == most]
    if len(complete) >= MINIMUM_POINTS:
        points = complete

    remarks = []
    missing = [f"{point} ({len(found)} of {most} images)" for point, found in measured.items() if point not in points]
    if missing:
        remarks.append(f"left out for lack of images: {', '.join(missing)}")

    sets = [set(measured[point]) for point in points]
    images, union = set.intersection(*sets) if sets else set(), set().union(*sets)
    if len(images) < len(union):
        remarks.append(f"over the {len(images)} of {len(union)} images that all rate points share")
    return points, sorted(images), remarks


def _collect_points(by_point: Sequence[Sequence[Row]]) -> Iterator[Points]:
    """Yield the points of each image; a value that one of its rows lacks is left out of all.

    Args:
        by_point: for each rate point the rows of all images, in one order.
    """
    qualities = {metric: _collect_column([row.quality.get(metric) for row in rows] for rows in by_point)
                 for metric in METRICS}
    columns = [_collect_column([getattr(row, name) for row in rows] for rows in by_point)
               for name in ("bpp", "encode_s", "decode_s")]
    for image, (bpp, encode_s, decode_s) in enumerate(zip(*columns)):
        known = {metric: values for metric, column in qualities.items() if (values := column[image]) is not None}
        yield Points(bpp or (), known, encode_s=encode_s, decode_s=decode_s)


def _collect_column(by_point: Iterable[Sequence[float | None]]) -> list[Values | None]:
    """For each image its values at all points, or None where one is missing."""
    return [None if None in values else values for values in zip(*by_point)]
