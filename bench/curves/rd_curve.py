"""A codec's rate-distortion points, measured or published, with where they come from."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from bench.common.errors import BenchError, ConfigurationError
from bench.metrics import Curve
from bench.metrics.quality.fidelity import ms_ssim_db

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
        ms_ssim_db: -10 log10(1 - x) of each image, averaged in dB; None where only the mean x is known.
    """

    bpp: Values
    psnr_rgb_db: Values | None = None
    ms_ssim: Values | None = None
    encode_s: Values | None = None
    decode_s: Values | None = None
    ms_ssim_db: Values | None = None

    @property
    def metrics(self) -> list[str]:
        """Names in :data:`METRICS` that have values."""
        return [metric for metric in METRICS if self.quality_db(metric) is not None]

    def quality_db(self, metric: str) -> Values | None:
        """Return ``metric`` in dB, or None where it is not known.

        MS-SSIM is -10 log10(1 - x) of each image, then the mean; where only the mean x is known, of that.

        Raises:
            ConfigurationError: no such metric.
        """
        if metric not in METRICS:
            raise ConfigurationError(f"there is no metric '{metric}'", f"known: {', '.join(METRICS)}")
        if metric == "psnr":
            return self.psnr_rgb_db
        if self.ms_ssim_db is not None or self.ms_ssim is None:
            return self.ms_ssim_db
        return tuple(ms_ssim_db(value) for value in self.ms_ssim)

    def take(self, indices: Sequence[int]) -> Points:
        """Return only the points at ``indices``."""
        columns = {name: values and tuple(values[index] for index in indices)
                   for name, values in asdict(self).items()}
        return Points(**columns)


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
        """Mean of linear MS-SSIM, or None."""
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
        known = self.images_with(metric)
        return {image: _curve(points, metric, f"{self.label}, {image}")
                for image, points in self.per_image.items() if image in known}

    def images_with(self, metric: str) -> set[str]:
        """Return the images whose own values of ``metric`` are known."""
        return {image for image, points in self.per_image.items() if points.quality_db(metric) is not None}

    def over(self, images: Collection[str]) -> RDCurve:
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

    MS-SSIM is averaged both ways: linear, and each image's in dB.

    Raises:
        BenchError: the images have different numbers of points.
    """
    if len({len(member.bpp) for member in members}) != 1:
        raise BenchError("images with different numbers of rate points can't be averaged")

    columns = {one.name: [getattr(member, one.name) for member in members] for one in fields(Points)}
    columns["ms_ssim_db"] = [member.quality_db("ms-ssim") for member in members]
    return Points(**{name: _means(values) for name, values in columns.items()})


def over_shared_images(first: RDCurve, second: RDCurve, metric: str) -> tuple[RDCurve, RDCurve] | None:
    """Return both curves averaged over the images that both know ``metric`` of; None if there are none.

    Where one of them is known only as averages, both are returned as they are.
    """
    own, other = first.images_with(metric), second.images_with(metric)
    if not (own and other):
        return first, second
    shared = own & other
    return (first.over(shared), second.over(shared)) if shared else None


def _means(columns: Sequence[Values | None]) -> Values | None:
    if any(column is None for column in columns):
        return None
    return tuple(math.fsum(values) / len(values) for values in zip(*columns))


def _curve(points: Points, metric: str, label: str) -> Curve:
    quality = points.quality_db(metric)
    if quality is None:
        known = ", ".join(points.metrics)
        raise ConfigurationError(f"{label} has no {METRICS[metric]} values", f"it has: {known}")
    return Curve(points.bpp, quality, label)
