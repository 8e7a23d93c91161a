"""BD-rate of a report's curves: over the images that both sides share, averaged and image by image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bench import metrics
from bench.common.text import format_count
from bench.curves.rd_curve import over_shared_images
from bench.metrics.quality import QualityMetric, headline_metrics
from bench.metrics.statistics.bootstrap import paired_bd_bootstrap
from bench.reports.rate.curves import ReportCurve

LEAST_SHARE_OF_IMAGES = 0.5  # a mean over fewer of the images would be that of the easiest ones


@dataclass(frozen=True)
class ComparedCodec:
    """A codec in a comparison: its curves by metric (a metric may be missing)."""

    name: str
    label: str
    origin: str
    curves: Mapping[str, ReportCurve]
    source: str = ""

    @property
    def main(self) -> ReportCurve:
        """The curve of the first headline metric that it has."""
        return next(self.curves[metric.name] for metric in headline_metrics() if metric.name in self.curves)


@dataclass(frozen=True)
class Comparison:
    """One codec against one anchor. Percentages are rate changes; negative means fewer bits than the anchor.

    Attributes:
        images: how many images the averaged curves go over; None where the sources do not say.
        bd_rate_percent: of the averaged curves of the leading metric, PSNR.
        interval_percent: of the BD-rate at 95 %, over images; None where single images are not known or not asked for.
        per_image_percent: mean of the BD-rates of single images; None if less than half of them have one.
        per_image_count: how many images have a BD-rate.
        bd_quality: change of the leading metric at equal rate, averaged curves.
        overlap_percent: common part of both ranges of the leading metric, of their union.
        other_percent: BD-rates of the averaged curves by every other headline metric that has one.
        remarks: why a value is missing, and warnings.
    """

    test: ComparedCodec
    images: int | None = None
    bd_rate_percent: float | None = None
    interval_percent: tuple[float, float] | None = None
    per_image_percent: float | None = None
    per_image_count: int = 0
    bd_quality: float | None = None
    overlap_percent: float | None = None
    other_percent: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def has_bd_rate(self) -> bool:
        """Whether there is a BD-rate by any metric."""
        return self.bd_rate_percent is not None or bool(self.other_percent)


@dataclass(frozen=True)
class AnchorComparisons:
    """All codecs against one anchor, the anchor against itself among them where it is one of them."""

    anchor: ComparedCodec
    comparisons: tuple[Comparison, ...]

    @property
    def others(self) -> list[Comparison]:
        """Comparisons of other codecs than the anchor."""
        return [one for one in self.comparisons if one.test is not self.anchor]


def group_by_codec(curves: Iterable[ReportCurve]) -> list[ComparedCodec]:
    """Group curves of all metrics by codec, in order of appearance."""
    grouped: dict[tuple[str, str], dict[str, ReportCurve]] = {}
    for curve in curves:
        grouped.setdefault((curve.origin, curve.name), {})[curve.metric] = curve
    codecs = []
    for (origin, name), members in grouped.items():
        first = next(iter(members.values()))
        codecs.append(ComparedCodec(name, first.label, origin, members, first.source))
    return codecs


def align_curves(anchor: ReportCurve, test: ReportCurve) -> tuple[ReportCurve, ReportCurve] | str:
    """Return both curves as averages over the same images, or the reason why that can't be done."""
    if anchor.image_curves and test.image_curves:
        shared = over_shared_images(anchor.data, test.data, anchor.metric)
        if shared is None:
            return "no image in common with the anchor"
        return anchor.over_data(shared[0]), test.over_data(shared[1])

    for curve, other in ((test, anchor), (anchor, test)):
        if not curve.whole_set:
            covered = format_count(curve.images or 0, "image")
            return (f"{curve.label} covers only {covered} of the set, and {other.label} is known only as an "
                    "average over all of them")
    return anchor, test


def compare_with_all(anchor: ComparedCodec, tests: Iterable[ComparedCodec]) -> AnchorComparisons:
    """Compare every codec of ``tests`` with ``anchor``."""
    return AnchorComparisons(anchor, tuple(compare_codecs(anchor, test) for test in tests))


def compare_codecs(anchor: ComparedCodec, test: ComparedCodec) -> Comparison:
    """Compare ``test`` with ``anchor`` by every headline metric; an anchor differs from itself by nothing."""
    leading, *others = headline_metrics()
    result = Comparison(test, test.main.images, remarks=test.main.remarks)
    if test is anchor:
        return replace(result, bd_rate_percent=0.0 if leading.name in test.curves else None,
                       other_percent={metric.name: 0.0 for metric in others if metric.name in test.curves})

    for metric in (leading, *others):
        if metric.name not in test.curves or metric.name not in anchor.curves:
            owner = "" if metric.name not in test.curves else "the anchor has "
            result = _add_remarks(result, [f"{owner}no {metric.label} values"])
            continue

        aligned = align_curves(anchor.curves[metric.name], test.curves[metric.name])
        if isinstance(aligned, str):
            result = _add_remarks(result, [f"{metric.label} N/A: {aligned}"])
        elif metric is leading:
            result = _with_leading(result, metric, *aligned)
        else:
            result = _with_other(result, metric, *aligned)
    return result


def find_interval(anchor: ComparedCodec, test: ComparedCodec) -> tuple[float, float] | None:
    """95 % interval of the BD-rate by the leading metric in percent; None where single images are not known.

    Images are resampled for both codecs alike (:func:`~bench.metrics.paired_bd_bootstrap`): the interval says
    how much the choice of images matters, not what another training would have given.
    """
    leading = headline_metrics()[0].name
    if not all(leading in side.curves and side.curves[leading].image_curves for side in (anchor, test)):
        return None
    aligned = align_curves(anchor.curves[leading], test.curves[leading])
    if isinstance(aligned, str):
        return None

    images = sorted(aligned[0].image_curves)
    anchor_rates, anchor_qualities = _image_arrays(aligned[0], images)
    test_rates, test_qualities = _image_arrays(aligned[1], images)
    try:
        found = paired_bd_bootstrap(anchor_rates, anchor_qualities, test_rates, test_qualities)
    except ValueError:  # no BD-rate, or none for too many resamples
        return None
    return found.averaged.interval()


def _image_arrays(curve: ReportCurve, images: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Rates and qualities of single images, (images, points)."""
    curves = [curve.image_curves[image] for image in images]
    return np.array([one.rate for one in curves]), np.array([one.quality for one in curves])


def _with_leading(result: Comparison, metric: QualityMetric, anchor: ReportCurve, test: ReportCurve) -> Comparison:
    spread = metrics.method_spread(anchor.curve, test.curve)
    rate = spread.results["pchip"]
    quality = metrics.bd_quality(anchor.curve, test.curve)
    remarks = [f"N/A: {rate.reason}"] if rate.value is None else [*_name_small_overlap(rate), *spread.warnings]
    if quality.value is None and quality.reason != rate.reason:
        remarks.append(f"BD-{metric.label} N/A: {quality.reason}")
    result = replace(result, images=test.images or anchor.images, bd_rate_percent=rate.value,
                     bd_quality=quality.value,
                     overlap_percent=None if rate.overlap is None else 100 * rate.overlap)

    if anchor.image_curves and test.image_curves:
        single = metrics.per_image_bd(anchor.image_curves, test.image_curves)
        number, total = len(single.values), len(anchor.image_curves)
        enough = number >= LEAST_SHARE_OF_IMAGES * total
        result = replace(result, per_image_percent=single.mean if enough else None, per_image_count=number)
        if not enough:
            remarks.append(f"no mean of single images: only {number} of {total} have a BD-rate")
    return _add_remarks(result, remarks)


def _with_other(result: Comparison, metric: QualityMetric, anchor: ReportCurve, test: ReportCurve) -> Comparison:
    rate = metrics.bd_rate(anchor.curve, test.curve)
    if rate.value is None:
        remarks = [f"{metric.label} N/A: {rate.reason}"]
    else:
        remarks = _name_small_overlap(rate, f" of {metric.label}")
        result = replace(result, other_percent={**result.other_percent, metric.name: rate.value})

    if test.images not in (None, result.images):
        remarks.append(f"{metric.label} over {test.images} images")
    return _add_remarks(result, remarks)


def _name_small_overlap(rate: metrics.BDResult, subject: str = "") -> list[str]:
    """Put BD-rate's only warning, a small overlap, into a few words."""
    return [f"small overlap{subject} ({rate.overlap or 0:.0%})"] if rate.warnings else []


def _add_remarks(result: Comparison, remarks: Sequence[str]) -> Comparison:
    return replace(result, remarks=tuple(dict.fromkeys((*result.remarks, *remarks))))
