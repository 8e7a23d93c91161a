"""A codec's rate-distortion points with where they come from."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.errors import BenchError, ConfigurationError
from bench.metrics import Curve
from bench.metrics.quality import ms_ssim_db

METRICS = {"psnr": "PSNR-RGB", "ms-ssim": "MS-SSIM"}  # how the command line and tables call them

Values = tuple[float, ...]


@dataclass(frozen=True)
class Points:
    """Rate points of one codec, on one image or averaged; all tuples are in one order.

    Attributes:
        bpp: bits per original pixel.
        psnr_rgb_db: None where not known, like the others.
        ms_ssim: linear.
        encode_s: seconds for an image.
        decode_s: seconds for an image.
    """

    bpp: Values
    psnr_rgb_db: Values | None = None
    ms_ssim: Values | None = None
    encode_s: Values | None = None
    decode_s: Values | None = None

    @property
    def metrics(self) -> list[str]:
        """Names in :data:`METRICS` that have values."""
        return [metric for metric in METRICS if self.quality_db(metric) is not None]

    def quality_db(self, metric: str) -> Values | None:
        """Return ``metric`` in dB (MS-SSIM as -10 log10(1 - x)), or None where it is not known.

        Raises:
            ConfigurationError: no such metric.
        """
        if metric not in METRICS:
            raise ConfigurationError(f"there is no metric '{metric}'", f"known: {', '.join(METRICS)}")
        if metric == "psnr" or self.ms_ssim is None:
            return self.psnr_rgb_db if metric == "psnr" else None
        return tuple(ms_ssim_db(value) for value in self.ms_ssim)

    def take(self, indices: Sequence[int]) -> Points:
        """Return only the points at ``indices``."""
        columns = (self.bpp, self.psnr_rgb_db, self.ms_ssim, self.encode_s, self.decode_s)
        return Points(*(values and tuple(values[index] for index in indices) for values in columns))


@dataclass(frozen=True)
class PublishedCurve:
    """Points averaged over a dataset, with their provenance. Measured rows take this shape too.

    Attributes:
        dataset: name of the dataset or of the folder in ``data/``.
        name: short name, the file's stem.
        label: how tables and plots call it.
        points: averages over the images.
        description: the codec and its settings in words.
        source: address or document that the values are from.
        meta: everything else that the file says (convention, QPs, cautions).
        per_image: image to its points, in the order of ``points``; empty where not known.
        images: how many images the averages go over; None where the source does not say.
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
    images: int | None = None
    remarks: tuple[str, ...] = ()

    @property
    def bpp(self) -> Values:
        """Bits per original pixel."""
        return self.points.bpp

    @property
    def psnr_rgb_db(self) -> Values | None:
        """Mean PSNR-RGB in dB, or None."""
        return self.points.psnr_rgb_db

    @property
    def ms_ssim(self) -> Values | None:
        """Mean MS-SSIM, linear, or None."""
        return self.points.ms_ssim

    @property
    def convention(self) -> str:
        """How rate and quality were measured, where the source says so."""
        return str(self.meta.get("metric_convention", ""))

    def has(self, metric: str) -> bool:
        """Say whether there are values of ``metric``."""
        return self.points.quality_db(metric) is not None

    def curve(self, metric: str) -> Curve:
        """Return bpp and quality in dB, ready for BD-rate.

        Raises:
            ConfigurationError: there is no such metric, or no values of it.
        """
        return _curve(self.points, metric, self.label)

    def image_curves(self, metric: str) -> dict[str, Curve]:
        """Return the curve of every image; empty where single images are not known."""
        return {image: _curve(points, metric, f"{self.label}, {image}")
                for image, points in self.per_image.items() if points.quality_db(metric) is not None}

    def over(self, images: Collection[str]) -> PublishedCurve:
        """Return the curve averaged over ``images`` only; itself if these are all.

        Raises:
            ConfigurationError: there are no points of one of ``images``.
        """
        if set(images) == set(self.per_image):
            return self
        missing = sorted(set(images) - set(self.per_image))
        if missing or not images:
            raise ConfigurationError(f"{self.label} has no points of {', '.join(missing) or 'no image'}")
        kept = {image: self.per_image[image] for image in sorted(images)}
        return replace(self, points=mean_points(list(kept.values())), per_image=kept, images=len(kept))


def mean_points(members: Sequence[Points]) -> Points:
    """Return the arithmetic means over images, point by point; values that one image lacks are None.

    Raises:
        BenchError: the images have different numbers of points.
    """
    if len({len(member.bpp) for member in members}) != 1:
        raise BenchError("images with different numbers of rate points can't be averaged")

    def means(field_name: str) -> Values | None:
        columns = [getattr(member, field_name) for member in members]
        if any(column is None for column in columns):
            return None
        return tuple(math.fsum(values) / len(values) for values in zip(*columns))

    return Points(means("bpp") or (), *map(means, ("psnr_rgb_db", "ms_ssim", "encode_s", "decode_s")))


def _curve(points: Points, metric: str, label: str) -> Curve:
    quality = points.quality_db(metric)
    if quality is None:
        known = ", ".join(points.metrics)
        raise ConfigurationError(f"{label} has no {METRICS[metric]} values", f"it has: {known}")
    return Curve(points.bpp, quality, label)
