"""BD-rate of a report's curves: over the images that both sides share, averaged and image by image."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from bench import metrics
from bench.common.text import format_count
from bench.curves.averaging import average_alike
from bench.curves.pairing import NoSharedImages, average_over_shared_images
from bench.metrics.quality import QualityMetric, headline_metrics
from bench.metrics.statistics.bootstrap import RATE, bd_of_curves, paired_bd_bootstrap
from bench.metrics.statistics.image_spread import LEAST_SHARE_OF_IMAGES, ImageSpread, summarise_images
from bench.reports.rate.curves import ReportCurve

Stacked = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


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


@dataclass
class Comparison:
    """One codec against one anchor. Percentages are rate changes; negative means fewer bits than the anchor.

    Attributes:
        images: how many images the averaged curves go over; None where the sources do not say.
        bd_rates_percent: of the averaged curves, by each headline metric that has one.
        spread: both numbers with intervals over images; None where single images are not known or not asked for.
        per_image_percent: mean of the BD-rates of single images; None if less than half of them have one.
        per_image_count: how many images have a BD-rate.
        bd_quality: change of the leading metric, PSNR, at equal rate, averaged curves.
        overlap_percent: common part of both ranges of the leading metric, of their union.
        averaging: metric to what has to be said of how the qualities of both sides were averaged.
        remarks: why a value is missing, and warnings.
    """

    test: ComparedCodec
    images: int | None
    remarks: list[str]
    bd_rates_percent: dict[str, float] = field(default_factory=dict)
    spread: ImageSpread | None = None
    per_image_percent: float | None = None
    per_image_count: int = 0
    bd_quality: float | None = None
    overlap_percent: float | None = None
    averaging: dict[str, str] = field(default_factory=dict)

    @property
    def bd_rate_percent(self) -> float | None:
        """The BD-rate by the leading metric."""
        return self.bd_rates_percent.get(headline_metrics()[0].name)


class AlignedCurves(NamedTuple):
    """Both sides of a comparison, and what has to be said of how their qualities were averaged."""

    anchor: ReportCurve
    test: ReportCurve
    remark: str = ""


@dataclass(frozen=True)
class AnchorComparisons:
    """All codecs against one anchor, the anchor against itself among them where it is one of them."""

    anchor: ComparedCodec
    comparisons: tuple[Comparison, ...]
    _spreads: dict[tuple[str, str, str], ImageSpread | None] = field(default_factory=dict, repr=False)

    @property
    def others(self) -> list[Comparison]:
        """Comparisons of other codecs than the anchor."""
        return [one for one in self.comparisons if one.test is not self.anchor]

    def find_spread(self, test: ComparedCodec, metric: str = "") -> ImageSpread | None:
        """As the function of that name, which takes long: computed when it is first asked for."""
        metric = metric or headline_metrics()[0].name
        key = (test.origin, test.name, metric)
        if key not in self._spreads:
            self._spreads[key] = find_spread(self.anchor, test, metric)
        return self._spreads[key]


def group_by_codec(curves: Iterable[ReportCurve]) -> list[ComparedCodec]:
    """Group curves of all metrics by codec, in order of appearance."""
    grouped: dict[tuple[str, str], dict[str, ReportCurve]] = {}
    for curve in curves:
        grouped.setdefault((curve.origin, curve.name), {})[curve.metric] = curve
    firsts = [next(iter(members.values())) for members in grouped.values()]
    return [ComparedCodec(first.name, first.label, first.origin, members, first.source)
            for first, members in zip(firsts, grouped.values())]


def align_curves(anchor: ReportCurve, test: ReportCurve) -> AlignedCurves | str:
    """Return both curves as averages over the same images, in the same way, or the reason why that can't be done."""
    try:
        shared = average_over_shared_images(anchor.data, test.data, anchor.metric)
    except NoSharedImages as lack:
        return str(lack).partition("\n")[0]
    if anchor.knows_images and test.knows_images:
        return AlignedCurves(anchor.over_data(shared[0]), test.over_data(shared[1]))

    for curve, other in ((test, anchor), (anchor, test)):
        if not curve.whole_set:
            covered = format_count(curve.images or 0, "image")
            return (f"{curve.label} covers only {covered} of the set, and {other.label} is known only as an "
                    "average over all of them")
    *alike, remark = average_alike(anchor.data, test.data, anchor.metric)
    return AlignedCurves(anchor.over_data(alike[0]), test.over_data(alike[1]), remark)


def compare_with_all(anchor: ComparedCodec, tests: Iterable[ComparedCodec]) -> AnchorComparisons:
    """Compare every codec of ``tests`` with ``anchor``."""
    return AnchorComparisons(anchor, tuple(compare_codecs(anchor, test) for test in tests))


def compare_codecs(anchor: ComparedCodec, test: ComparedCodec) -> Comparison:
    """Compare ``test`` with ``anchor`` by every headline metric; an anchor differs from itself by nothing."""
    result = Comparison(test, test.main.images, list(test.main.remarks))
    if test is anchor:
        result.bd_rates_percent = dict.fromkeys(test.curves, 0.0)
        return result

    for metric in headline_metrics():
        if metric.name not in test.curves or metric.name not in anchor.curves:
            owner = "" if metric.name not in test.curves else "the anchor has "
            result.remarks.append(f"{owner}no {metric.label} values")
            continue

        aligned = align_curves(anchor.curves[metric.name], test.curves[metric.name])
        if isinstance(aligned, str):
            result.remarks.append(f"{metric.label} N/A: {aligned}")
            continue
        if metric is headline_metrics()[0]:
            _compare_leading(result, metric, aligned.anchor, aligned.test)
        else:
            _compare_other(result, metric, aligned.anchor, aligned.test)
        if aligned.remark and metric.name in result.bd_rates_percent:
            result.averaging[metric.name] = aligned.remark
            result.remarks.append(f"{metric.label} {aligned.remark}")
    return result


def find_spread(anchor: ComparedCodec, test: ComparedCodec, metric: str) -> ImageSpread | None:
    """BD-rate by ``metric`` in percent, averaged and of single images; None where these are not known.

    Images are resampled for both codecs alike (:func:`~bench.metrics.paired_bd_bootstrap`): the interval says
    how much the choice of images matters, not what another training would have given.
    """
    if not all(metric in side.curves and side.curves[metric].knows_images for side in (anchor, test)):
        return None
    aligned = align_curves(anchor.curves[metric], test.curves[metric])
    if isinstance(aligned, str):
        return None

    try:
        found = paired_bd_bootstrap(*_stack_images(aligned.anchor, aligned.test, metric))
    except ValueError:  # no BD-rate, or none for too many resamples
        return None
    return summarise_images(found, _list_images(aligned.anchor, aligned.test, metric))


def _compare_leading(result: Comparison, metric: QualityMetric, anchor: ReportCurve, test: ReportCurve) -> None:
    """Add the BD-rate by the leading metric to ``result``, and every detail of it."""
    spread = metrics.method_spread(anchor.curve, test.curve)
    rate = spread.results["pchip"]
    quality = metrics.bd_quality(anchor.curve, test.curve)
    _add_bd_rate(result, metric, rate, "", "")
    result.remarks += spread.warnings
    if quality.value is None and quality.reason != rate.reason:
        result.remarks.append(f"BD-{metric.label} N/A: {quality.reason}")
    result.images = test.images
    result.bd_quality = quality.value
    result.overlap_percent = None if rate.overlap is None else 100 * rate.overlap

    if anchor.knows_images and test.knows_images:
        _add_per_image(result, _stack_images(anchor, test, metric.name))


def _stack_images(anchor: ReportCurve, test: ReportCurve, metric: str) -> Stacked:
    """Rates and qualities of the anchor, then of the test, each (images, points), over the images that both know."""
    images = _list_images(anchor, test, metric)
    return *anchor.data.stack_images(images, metric), *test.data.stack_images(images, metric)


def _list_images(anchor: ReportCurve, test: ReportCurve, metric: str) -> list[str]:
    return sorted(anchor.data.images_with(metric) & test.data.images_with(metric))


def _add_per_image(result: Comparison, stacked: Stacked) -> None:
    """Add the mean of single images' BD-rates to ``result``."""
    anchor_rate, anchor_quality, test_rate, test_quality = (part.T for part in stacked)
    single = bd_of_curves((anchor_rate, anchor_quality), (test_rate, test_quality), RATE)
    values = single[~np.isnan(single)]
    result.per_image_count, total = len(values), len(single)
    if values.size >= LEAST_SHARE_OF_IMAGES * total:
        result.per_image_percent = math.fsum(values) / len(values)
    else:
        result.remarks.append(f"no mean of single images: only {result.per_image_count} of {total} have a BD-rate")


def _compare_other(result: Comparison, metric: QualityMetric, anchor: ReportCurve, test: ReportCurve) -> None:
    """Add the BD-rate by another metric to ``result``."""
    _add_bd_rate(result, metric, metrics.bd_rate(anchor.curve, test.curve), f"{metric.label} ", f" of {metric.label}")
    if test.images not in (None, result.images):
        result.remarks.append(f"{metric.label} over {test.images} images")


def _add_bd_rate(result: Comparison, metric: QualityMetric, rate: metrics.BDResult, owner: str, subject: str) -> None:
    if rate.value is None:
        result.remarks.append(f"{owner}N/A: {rate.reason}")
        return
    result.bd_rates_percent[metric.name] = rate.value
    if rate.warnings:  # BD-rate has only one, a small overlap
        result.remarks.append(f"small overlap{subject} ({rate.overlap or 0:.0%})")
