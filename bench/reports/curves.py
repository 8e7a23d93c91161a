"""Rate-distortion curves of a report: averages over a stated set of images, single images kept."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pandas as pd

from bench.metrics.curves import MINIMUM_POINTS
from bench.rows import OK

METRICS = {"psnr_rgb_db": "PSNR", "ms_ssim_db": "MS-SSIM"}  # columns of a row, with their short names
MEASURED, ANCHOR, PUBLISHED, IMPORTED = "measured", "anchor", "published", "imported"
LEARNED = "learned"  # the codec registry's name of every neural codec

T = TypeVar("T")
Points = tuple[tuple[float, ...], tuple[float, ...]]  # rates in bpp, qualities in dB


@dataclass(frozen=True)
class ReportCurve:
    """One codec's curve in one metric.

    Attributes:
        name: codec as rows call it, or the published curve's name.
        label: how tables and plots call it.
        metric: key of :data:`METRICS`.
        origin: MEASURED here, ANCHOR (a VVC curve shipped with the suite), PUBLISHED or IMPORTED by the user.
        points: labels of the rate points.
        rate: bpp, averaged over ``images``.
        quality: dB, averaged over ``images``.
        images: how many images the averages go over; None where the source does not say.
        whole_set: the averages go over the whole dataset.
        per_image: points of single images, where known; then the averages go over exactly these.
        learned: a neural codec.
        miniature: a small model that is not the authors'.
        remarks: what a reader has to know.
        source: where a curve that was not measured here comes from, and its convention.
    """

    name: str
    label: str
    metric: str
    origin: str
    points: tuple[str, ...]
    rate: tuple[float, ...]
    quality: tuple[float, ...]
    images: int | None = None
    whole_set: bool = True
    per_image: Mapping[str, Points] = field(default_factory=dict)
    learned: bool = False
    miniature: bool = False
    remarks: tuple[str, ...] = ()
    source: str = ""

    def over(self, images: Collection[str]) -> ReportCurve:
        """Return the curve averaged over ``images`` only, all of which must be in ``per_image``."""
        if set(images) == set(self.per_image):
            return self
        kept = {image: self.per_image[image] for image in sorted(images)}
        rate, quality = average(kept)
        return replace(self, rate=rate, quality=quality, images=len(kept), whole_set=False, per_image=kept)


def average(per_image: Mapping[str, Points]) -> Points:
    """Return the arithmetic means over images, point by point."""
    rates, qualities = zip(*per_image.values())
    return _means(rates), _means(qualities)


def _means(columns: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(math.fsum(values) / len(values) for values in zip(*columns))


def measured_curves(frame: pd.DataFrame, metric: str, total: int | None) -> list[ReportCurve]:
    """Return the curve of every codec in ``frame`` that has measured values of ``metric``.

    All points of a curve go over the same images. Rate points that lack images others have are left out
    while at least four points remain; otherwise the images that all points share are used. Learned codecs
    come first.

    Args:
        total: images in the whole dataset; None for a folder of the user's, which counts as whole.
    """
    usable = frame[(frame["status"] == OK) & frame[metric].notna() & frame["bpp"].notna()]
    curves = []
    for name, group in usable.groupby("name", sort=False):
        curve = _measured_curve(str(name), group, metric, total)
        if curve is not None:
            curves.append(curve)
    return sorted(curves, key=lambda curve: not curve.learned)


def _measured_curve(name: str, group: pd.DataFrame, metric: str, total: int | None) -> ReportCurve | None:
    order = group.groupby("point")["bpp"].mean().sort_values(kind="stable").index
    images = {point: set(group.loc[group["point"] == point, "image"]) for point in order}
    points, common, remark = _shared_images(images)
    if not common:
        return None
    table = group[group["image"].isin(common)].set_index(["image", "point"])
    per_image = {
        image: (tuple(float(table.at[(image, point), "bpp"]) for point in points),
                tuple(float(table.at[(image, point), metric]) for point in points))
        for image in sorted(common)
    }
    rate, quality = average(per_image)
    by_rate = sorted(range(len(points)), key=rate.__getitem__)
    first = group.iloc[0]
    return ReportCurve(
        name=name, label=first["label"], metric=metric, origin=MEASURED, points=_take(points, by_rate),
        rate=_take(rate, by_rate), quality=_take(quality, by_rate), images=len(common),
        whole_set=total is None or len(common) == total,
        per_image={image: (_take(rates, by_rate), _take(values, by_rate))
                   for image, (rates, values) in per_image.items()},
        learned=first["codec"] == LEARNED, miniature=bool(first["miniature"]),
        remarks=(remark,) if remark else (),
    )


def _take(values: Sequence[T], order: Sequence[int]) -> tuple[T, ...]:
    return tuple(values[index] for index in order)


def _shared_images(images: Mapping[str, set[str]]) -> tuple[list[str], set[str], str]:
    """Return the points to use, the images they share, and a remark on what is left out."""
    most = max(map(len, images.values()))
    complete = [point for point, members in images.items() if len(members) == most]
    if len(complete) < len(images) and len(complete) >= MINIMUM_POINTS:
        shared = set.intersection(*(images[point] for point in complete))
        left_out = [f"{point} ({len(images[point])} of {most} images)"
                    for point in images if point not in complete]
        return complete, shared, f"left out for lack of images: {', '.join(left_out)}"
    shared = set.intersection(*images.values())
    union = len(set.union(*images.values()))
    remark = f"over the {len(shared)} of {union} images that all points share" if len(shared) < union else ""
    return list(images), shared, remark
