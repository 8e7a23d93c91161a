"""A codec's rate-distortion points, measured or published, with where they come from."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from bench.common.errors import BenchError, ConfigurationError
from bench.metrics import Curve
from bench.metrics.quality import METRICS

Values = tuple[float, ...]


@dataclass(frozen=True)
class Points:
    """Rate points of one codec, on one image or averaged; all tuples are in one order.

    Attributes:
        bpp: bits per original pixel.
        quality: metric to its values, as images have them (MS-SSIM linear); for averages, their mean.
        curve_quality: metric to its qualities along a curve, where these are known apart: the mean of each image's
            (MS-SSIM in dB). Without them they are those of ``quality``.
        encode_s: seconds for an image; None where not known.
        decode_s: seconds for an image; None where not known.

    >>> points = Points(bpp=(0.2, 0.4), quality={"ms-ssim": (0.9, 0.99)})
    >>> [round(value, 6) for value in points.on_curve("ms-ssim")], points.on_curve("psnr")
    ([10.0, 20.0], None)
    """

    bpp: Values
    quality: Mapping[str, Values] = field(default_factory=dict)
    curve_quality: Mapping[str, Values] = field(default_factory=dict)
    encode_s: Values | None = None
    decode_s: Values | None = None
    _on_curve: dict[str, Values | None] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics that have values, in order of registration."""
        return [metric for metric in METRICS if self.on_curve(metric) is not None]

    def on_curve(self, metric: str) -> Values | None:
        """Return the qualities of ``metric`` along a curve, which rise, or None where they are not known.

        They are the mean over images of each image's; where only a mean of the values is known, that of the mean.

        Args:
            metric: a name in ``METRICS``.

        Returns:
            (points,), in the unit that the metric has on curves.

        Raises:
            ConfigurationError: no such metric.
        """
        if metric not in self._on_curve:
            self._on_curve[metric] = self._find_on_curve(metric)
        return self._on_curve[metric]

    def _find_on_curve(self, metric: str) -> Values | None:
        entry = METRICS.get(metric)
        if metric in self.curve_quality:
            return self.curve_quality[metric]
        if metric not in self.quality:
            return None

        values = tuple(entry.curve_value(value) for value in self.quality[metric])
        return None if None in values else tuple(value for value in values if value is not None)

    def take(self, indices: Sequence[int]) -> Points:
        """Return only the points at ``indices``.

        Args:
            indices: of points, in the order wanted.
        """
        return self._of_columns(lambda values: tuple(values[index] for index in indices))

    def _of_columns(self, change: Callable[[Values], Values]) -> Points:
        return Points(
            change(self.bpp), {name: change(values) for name, values in self.quality.items()},
            {name: change(values) for name, values in self.curve_quality.items()},
            self.encode_s and change(self.encode_s), self.decode_s and change(self.decode_s),
        )


class Content(NamedTuple):
    """What a picture is told by: the SHA-256 of its pixels, and that of its file; None where not known."""

    pixels_sha256: str | None
    file_sha256: str | None


@dataclass(frozen=True)
class RDCurve:
    """Points averaged over a dataset, with their provenance: published, imported, or measured here.

    Attributes:
        dataset: name of the dataset or of the folder of published curves.
        name: short name: the file's stem, or how rows call the codec.
        label: how tables and plots call it.
        points: averages over the images.
        description: the codec and its settings in words.
        source: address or document that the values are from.
        meta: everything else that the file says (convention, QPs, cautions).
        per_image: image to its points, in the order of ``points``; empty where not known.
        contents: image to what it is told by, whatever it is called; empty where only names are known.
        images: how many images the averages go over; None where the source does not say.
        averaging: metric to how its qualities along the curve were averaged (see :mod:`bench.curves.averaging`), where
            the source says it or the points alone don't tell.
        remarks: what a reader has to know about these averages.
    """

    dataset: str
    name: str
    label: str
    points: Points
    description: str = ""
    source: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    per_image: Mapping[str, Points] = field(default_factory=dict)
    contents: Mapping[str, Content] = field(default_factory=dict)
    images: int | None = None
    averaging: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def bpp(self) -> Values:
        """Bits per original pixel."""
        return self.points.bpp

    @property
    def convention(self) -> str:
        """How rate and quality were measured, where the source says so."""
        return str(self.meta.get("metric_convention", ""))

    def has(self, metric: str) -> bool:
        """Say whether there are values of ``metric``.

        Args:
            metric: a name in ``METRICS``.
        """
        return self.points.on_curve(metric) is not None

    def curve(self, metric: str) -> Curve:
        """Return bpp and the quality along the curve, ready for BD-rate.

        Args:
            metric: a name in ``METRICS``.

        Raises:
            ConfigurationError: there is no such metric, or no values of it.
        """
        return _make_curve(self.points, metric, self.label)

    def image_curves(self, metric: str) -> dict[str, Curve]:
        """Return the curve of every image; empty where single images are not known.

        Args:
            metric: a name in ``METRICS``.

        Returns:
            Image to its rates in bpp and its qualities along the curve.
        """
        known = self.images_with(metric)
        return {image: _make_curve(points, metric, f"{self.label}, {image}")
                for image, points in self.per_image.items() if image in known}

    def images_with(self, metric: str) -> set[str]:
        """Return the images whose own values of ``metric`` are known.

        Args:
            metric: a name in ``METRICS``.
        """
        return {image for image, points in self.per_image.items() if points.on_curve(metric) is not None}

    def stack_images(self, images: Sequence[str], metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the points of single images as arrays.

        Args:
            images: names in :attr:`per_image`.
            metric: a name in ``METRICS``.

        Returns:
            Rates in bpp and qualities along the curve, each (images, points).
        """
        members = [self.per_image[image] for image in images]
        return np.array([one.bpp for one in members]), np.array([one.on_curve(metric) for one in members])

    def over(self, images: Collection[str]) -> RDCurve:
        """Return the curve averaged over ``images`` only; itself if these are all.

        Args:
            images: names in :attr:`per_image`, at least one.

        Raises:
            ConfigurationError: there are no points of one of ``images``.

        >>> images = {"a.png": Points((0.2,), {"psnr": (30.0,)}), "b.png": Points((0.4,), {"psnr": (34.0,)})}
        >>> both = RDCurve("kodak", "mine", "Mine", average_points(list(images.values())), per_image=images, images=2)
        >>> one = both.over(["b.png"])
        >>> both.points.on_curve("psnr"), one.points.on_curve("psnr"), one.bpp
        ((32.0,), (34.0,), (0.4,))
        """
        if set(images) == set(self.per_image):
            return self

        missing = sorted(set(images) - set(self.per_image))
        if missing or not images:
            raise ConfigurationError(f"{self.label} has no points of {', '.join(missing) or 'no image'}")

        kept = {image: self.per_image[image] for image in sorted(images)}
        return replace(self, points=average_points(list(kept.values())), per_image=kept, images=len(kept))


def average_points(members: Sequence[Points]) -> Points:
    """Return the arithmetic means over images, point by point; what one image lacks is left out.

    A quality is averaged both ways: as images have it, and along the curve (MS-SSIM: linear, and each image's in dB).

    Args:
        members: points of each image, all in one order; at least one image.

    Raises:
        BenchError: the images have different numbers of points.

    >>> both = average_points([Points((0.2,), {"ms-ssim": (0.9,)}), Points((0.4,), {"ms-ssim": (0.99,)})])
    >>> f"{both.bpp[0]:.2f} bpp, {both.quality['ms-ssim'][0]:.3f}, {both.on_curve('ms-ssim')[0]:.2f} dB"
    '0.30 bpp, 0.945, 15.00 dB'
    """
    if len({len(member.bpp) for member in members}) != 1:
        raise BenchError("images with different numbers of rate points can't be averaged")

    quality = {metric: _average_columns([member.quality.get(metric) for member in members]) for metric in METRICS}
    on_curve = {metric: _average_columns([member.on_curve(metric) for member in members]) for metric in METRICS}
    return Points(
        bpp=_average_columns([member.bpp for member in members]) or (), quality=_drop_unknown(quality),
        curve_quality=_drop_unknown(on_curve), encode_s=_average_columns([member.encode_s for member in members]),
        decode_s=_average_columns([member.decode_s for member in members]),
    )


def _average_columns(columns: Sequence[Values | None]) -> Values | None:
    known = [column for column in columns if column is not None]
    if len(known) < len(columns):
        return None
    return tuple(math.fsum(values) / len(values) for values in zip(*known))


def _drop_unknown(columns: Mapping[str, Values | None]) -> dict[str, Values]:
    return {name: values for name, values in columns.items() if values is not None}


def _make_curve(points: Points, metric: str, label: str) -> Curve:
    quality = points.on_curve(metric)
    if quality is None:
        known = ", ".join(points.metrics)
        raise ConfigurationError(f"{label} has no {METRICS.get(metric).label} values", f"it has: {known}")
    return Curve(points.bpp, quality, label)
