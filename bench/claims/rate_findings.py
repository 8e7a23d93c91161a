"""What stored curves say about claims of rate and quality, by any quality metric."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import scipy

from bench.claims.catalogue import CODECS, Claim
from bench.claims.curves import Curves, Measured
from bench.claims.result import MINIATURE, Finding, PairComparison
from bench.common.errors import BenchError
from bench.common.text import format_number
from bench.curves.anchors.check import TOLERANCE_POINTS
from bench.curves.averaging import average_alike
from bench.curves.pairing import average_over_shared_images
from bench.curves.rd_curve import RDCurve
from bench.metrics.rate.bdrate import DEFAULT_METHOD, BDResult, bd_quality, bd_rate, method_spread
from bench.metrics.rate.curves import Curve
from bench.metrics.statistics.bootstrap import BDBootstrap, paired_bd_bootstrap
from bench.metrics.statistics.image_spread import ImageSpread, summarise_images
from bench.metrics.statistics.resampled import PERCENTILE, Resampled

Measure = Literal["rate", "quality"]

MEASURES: dict[str, Measure] = {"bd_rate": "rate", "bd_quality": "quality"}  # of claims that compare curves
FUNCTIONS: dict[Measure, Callable[[Curve, Curve], BDResult]] = {"rate": bd_rate, "quality": bd_quality}
USUAL_DATASET = "kodak"  # of claims that name none


@dataclass(frozen=True)
class _Question:
    """What is asked of the stored curves: a claim on one dataset, of full-width models or of miniatures."""

    claim: Claim
    dataset: str
    suffix: str

    @property
    def metric(self) -> str:
        """Name of the quality metric."""
        return self.claim.quality_metric.name

    @property
    def command(self) -> str:
        """What measures it; empty where that is nothing of this suite's."""
        sides = (self.claim.variant, self.claim.versus)
        names = ",".join(name + self.suffix for name in sides if name is not None and name not in CODECS)
        return f"python -m bench assess {self.dataset} --codecs {names}" if names else ""

    @property
    def blank(self) -> Finding:
        """A finding that says nothing yet."""
        return Finding(place=self.dataset, where=self.dataset, command=self.command)


class RateFindings:
    """Finds what rows and published points say; pairs that were compared are kept in ``pairs``."""

    def __init__(self, curves: Curves) -> None:
        self._curves = curves
        self.pairs: dict[tuple[str, str, str, str], PairComparison] = {}
        self._bootstraps: dict[tuple[str, str, str, str, Measure], BDBootstrap] = {}

    def find_rates(self, claim: Claim, dataset: str, miniature: bool = False) -> list[Finding]:
        """Compare what a claim of rate or quality names, on one dataset: published points, rows, or both.

        Args:
            miniature: compare the miniatures of both.
        """
        question = _Question(claim, dataset, MINIATURE if miniature else "")
        if claim.setting is not None:
            return [replace(question.blank, missing=f"no variant with {claim.setting} is measured",
                            command="add a variant with this option to variants.yaml")]

        found = [self._find_published(question)] if claim.published is not None and not miniature else []
        test = self._find_side(question, claim.variant)
        if test.curve is None and found:
            return found
        return [*found, self._find_measured(question, test)]

    def _find_measured(self, question: _Question, test: Measured) -> Finding:
        claim = question.claim
        if test.curve is None:
            return self._find_nothing(question, claim.variant + question.suffix, test)
        if claim.metric == "quality":
            return self._find_at_rate(question, test, test.curve)

        versus = claim.versus or ""
        anchor = self._find_side(question, versus)
        if anchor.curve is None:
            return self._find_nothing(question, versus, anchor)
        return self._compare_curves(question, anchor, anchor.curve, test, test.curve)

    def _find_side(self, question: _Question, name: str) -> Measured:
        if name in CODECS:
            return self._curves.find_codec(question.dataset, name, question.metric)
        return self._curves.find_measured(question.dataset, name + question.suffix, question.metric)

    @staticmethod
    def _find_nothing(question: _Question, name: str, side: Measured) -> Finding:
        """Why a side has no curve, and what would give one."""
        if side.fault:
            return replace(question.blank, fault=side.fault)
        if side.lacks_metric or name in CODECS:
            return replace(question.blank, missing=side.missing)
        return replace(question.blank, missing=f"no checkpoints of {name} were measured on {question.dataset}",
                       command=f"{question.command} (with trained checkpoints in checkpoints/{name})")

    def _find_published(self, question: _Question) -> Finding:
        """The published points of the claim's variant against the published anchor."""
        claim, dataset = question.claim, question.dataset
        test = self._curves.find_published_curve(dataset, claim.published or "", question.metric)
        anchor = self._curves.find_codec(dataset, claim.versus or "", question.metric).curve
        blank = replace(question.blank, command="")
        if test is None or anchor is None:
            return replace(blank, missing=f"no published points on {dataset}")

        return self._compare_averages(question, anchor, test, replace(
            blank, tolerance=TOLERANCE_POINTS, published=True, command="python -m bench anchors check",
            evidence=f"published points of {test.label} against {anchor.label}"))

    def _compare_curves(self, question: _Question, anchor: Measured, anchor_curve: RDCurve, test: Measured,
                        test_curve: RDCurve) -> Finding:
        fault = test.fault or anchor.fault
        if fault:
            return replace(question.blank, fault=fault)
        sides = [f"{'published points' if side.published else 'rows'} of {curve.label}"
                 for side, curve in ((test, test_curve), (anchor, anchor_curve))]
        blank = replace(question.blank, evidence=" against ".join(sides),
                        tolerance=TOLERANCE_POINTS if question.claim.published else None)

        if not anchor_curve.per_image:
            return self._compare_averages(question, anchor_curve, test_curve, blank)
        try:
            anchor_curve, test_curve = average_over_shared_images(anchor_curve, test_curve, question.metric)
            found = self._resample(question, anchor_curve, test_curve, MEASURES[question.claim.metric])
        except (BenchError, ValueError) as error:
            return replace(blank, fault=str(error))
        self._keep_resampled(question, anchor_curve, test_curve)
        spread = _put_side_by_side(question, anchor_curve, found, MEASURES[question.claim.metric])
        return replace(blank, estimate=found.averaged, spread=spread, what_n="images",
                       of_images=None if spread.mean is None else found.per_image)

    def _compare_averages(self, question: _Question, anchor: RDCurve, test: RDCurve, blank: Finding) -> Finding:
        anchor, test, remark = average_alike(anchor, test, question.metric)
        if remark:
            label = question.claim.quality_metric.label
            blank = replace(blank, evidence=f"{blank.evidence}, {label} {remark}")
        measure = MEASURES[question.claim.metric]
        result = FUNCTIONS[measure](anchor.curve(question.metric), test.curve(question.metric))
        if result.value is None:
            return replace(blank, fault=result.reason or "")
        if measure == "rate":
            self._keep_pair(question, anchor, test, result.value)
        return replace(blank, value=result.value)

    def _resample(self, question: _Question, anchor: RDCurve, test: RDCurve, measure: Measure) -> BDBootstrap:
        metric = question.metric
        key = (question.dataset, anchor.name, test.name, metric, measure)
        if key not in self._bootstraps:
            images = sorted(anchor.images_with(metric))
            self._bootstraps[key] = paired_bd_bootstrap(
                *anchor.stack_images(images, metric), *test.stack_images(images, metric), measure=measure)
        return self._bootstraps[key]

    def _keep_resampled(self, question: _Question, anchor: RDCurve, test: RDCurve) -> None:
        try:
            found = self._resample(question, anchor, test, "rate")
        except ValueError:  # a claim of quality needs none
            return

        self._keep_pair(
            question, anchor, test, found.averaged.value, found,
            images=tuple(sorted(anchor.images_with(question.metric))),
            per_image_percent=tuple(found.per_image_values.tolist()),
            spread=_put_side_by_side(question, anchor, found, "rate"), drop_one=found.drop_one,
            share_improved=found.share_improved)

    def _keep_pair(self, question: _Question, anchor: RDCurve, test: RDCurve, value: float,
                   found: BDBootstrap | None = None, **details: Any) -> None:
        key = (question.dataset, anchor.name, test.name, question.metric)
        if key not in self.pairs:
            self.pairs[key] = PairComparison(
                title=f"{test.label} against {anchor.label}", dataset=question.dataset, metric=question.metric,
                anchor=anchor, test=test, value_percent=value, remarks=_list_remarks(question, anchor, test, found),
                miniature=question.claim.variant + MINIATURE == test.name, **details)

    @staticmethod
    def _find_at_rate(question: _Question, test: Measured, curve: RDCurve) -> Finding:
        """Quality at a rate that the claim names, between the measured points: the mean over images of their values."""
        at_bpp = question.claim.at_bpp or math.nan
        qualities = curve.points.quality.get(question.metric)
        if test.fault or qualities is None:
            label = question.claim.quality_metric.label
            return replace(question.blank, fault=test.fault or f"{curve.label} has no {label} of single images")

        rates = np.array(curve.bpp)
        blank = replace(question.blank, where=f"{question.dataset}, {at_bpp:g} bpp")
        if not rates.min() <= at_bpp <= rates.max():
            return replace(blank, fault=f"{at_bpp:g} bpp is outside the measured {rates.min():.3f} to "
                                        f"{rates.max():.3f}")
        order = np.argsort(rates)
        quality_at = scipy.interpolate.PchipInterpolator(np.log(rates[order]), np.array(qualities)[order])
        value = float(quality_at(math.log(at_bpp)))
        return replace(blank, value=value, evidence=f"the averaged curve of {curve.label}, read at this rate,")


def _put_side_by_side(question: _Question, anchor: RDCurve, found: BDBootstrap, measure: Measure) -> ImageSpread:
    """Averaged curves and mean over single images."""
    scale = question.claim.quality_metric.on_curves
    unit, digits = ("%", 2) if measure == "rate" else (scale.unit, scale.digits)
    return summarise_images(found, sorted(anchor.images_with(question.metric)), unit, digits)


def _list_remarks(question: _Question, anchor: RDCurve, test: RDCurve, found: BDBootstrap | None) -> tuple[str, ...]:
    """Overlap, what makes the number doubtful, and how the interval was made."""
    spread = method_spread(anchor.curve(question.metric), test.curve(question.metric))
    result = spread.results[DEFAULT_METHOD]
    texts = [f"{100 * (result.overlap or 0):.0f} % overlap in quality", *result.warnings, *spread.warnings,
             *anchor.remarks, *test.remarks]
    if found is not None:
        texts += filter(None, [_put_side_by_side(question, anchor, found, "rate").remark])
        texts.append(f"interval: {found.averaged.method}, {found.resamples - found.failed} of {found.resamples} "
                     f"resamples, seed {found.seed}")
        if isinstance(found.averaged, Resampled):
            low, high = found.averaged.interval(method=PERCENTILE)
            texts.append(f"percentile interval {format_number(low, '+.2f')} to {format_number(high, '+.2f')} %")
    return tuple(texts)
