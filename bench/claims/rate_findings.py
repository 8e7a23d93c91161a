"""What stored curves say about claims of rate and quality."""

from __future__ import annotations

import math

import numpy as np
from scipy.interpolate import PchipInterpolator

from bench.claims.catalogue import CODECS, Claim
from bench.claims.curves import Curves, Measured, image_arrays, shared_images
from bench.claims.finding import MINIATURE, Finding
from bench.claims.result import PairComparison
from bench.common.errors import BenchError
from bench.common.text import format_number
from bench.curves.anchors.check import TOLERANCE_POINTS
from bench.curves.rd_curve import RDCurve
from bench.metrics.rate.bdrate import DEFAULT_METHOD, BDResult, bd_quality, bd_rate, method_spread
from bench.metrics.statistics.bootstrap import BDBootstrap, paired_bd_bootstrap
from bench.metrics.statistics.resampled import PERCENTILE, Resampled

METRICS = {"bd_rate": "rate", "bd_psnr": "quality", "psnr": "quality"}  # of claims
USUAL_DATASET = "kodak"  # of claims that name none


class RateFindings:
    """Finds what rows and published points say; pairs that were compared are kept in ``pairs``."""

    def __init__(self, curves: Curves) -> None:
        self._curves = curves
        self.pairs: dict[tuple[str, str, str], PairComparison] = {}
        self._bootstraps: dict[tuple[str, str, str, str], BDBootstrap] = {}

    def find(self, claim: Claim, dataset: str, miniature: bool = False) -> list[Finding]:
        """Compare what a claim of rate or quality names, on one dataset: published points, rows, or both.

        Args:
            miniature: compare the miniatures of both.
        """
        suffix = MINIATURE if miniature else ""
        names = self._codecs(claim, suffix)
        command = f"python -m bench evaluate --dataset {dataset} --codecs {names} --report" if names else ""
        if claim.setting is not None:
            return [Finding(missing=f"no variant with {claim.setting} is measured", place=dataset, where=dataset,
                            command="add a variant with this option to variants.yaml")]
        found = [self._published(claim, dataset)] if claim.published is not None and not miniature else []
        test = self._side(dataset, claim.variant, suffix)
        if test.curve is None and found:
            return found
        return [*found, self._measured(claim, dataset, test, suffix, command)]

    def _measured(self, claim: Claim, dataset: str, test: Measured, suffix: str, command: str) -> Finding:
        if test.curve is None:
            return self._nothing(claim.variant + suffix, dataset, test, command)
        if claim.metric == "psnr":
            return self._at_rate(claim, dataset, test, command)
        anchor = self._side(dataset, claim.versus, suffix)
        if anchor.curve is None:
            return self._nothing(claim.versus, dataset, anchor, command)
        return self._compared(claim, dataset, anchor, test, command)

    def _side(self, dataset: str, name: str, suffix: str) -> Measured:
        if name in CODECS:
            return self._curves.codec(dataset, name)
        return self._curves.measured(dataset, name + suffix)

    @staticmethod
    def _codecs(claim: Claim, suffix: str) -> str:
        names = [name + suffix for name in (claim.variant, claim.versus) if name is not None and name not in CODECS]
        return ",".join(names)

    @staticmethod
    def _nothing(name: str, dataset: str, side: Measured, command: str) -> Finding:
        """Why a side has no curve, and what would give one."""
        common = {"place": dataset, "where": dataset}
        if side.fault:
            return Finding(fault=side.fault, command=command, **common)
        if name in CODECS:
            return Finding(missing=side.missing, command=command, **common)
        return Finding(missing=f"no checkpoints of {name} were measured on {dataset}",
                       command=f"{command} (with trained checkpoints in checkpoints/{name})", **common)

    def _published(self, claim: Claim, dataset: str) -> Finding:
        """The published points of the claim's variant against the published anchor."""
        test, anchor = self._curves.published(dataset, claim.published), self._curves.codec(dataset, claim.versus)
        if test is None or anchor.curve is None:
            return Finding(missing=f"no published points on {dataset}", place=dataset, where=dataset)
        result = _measure(claim)(anchor.curve.curve("psnr"), test.curve("psnr"))
        if result.value is None:
            return Finding(fault=result.reason or "", place=dataset, where=dataset)
        self._keep_averages(dataset, claim, anchor.curve, test, result)
        return Finding(value=result.value, tolerance=TOLERANCE_POINTS, published=True, place=dataset, where=dataset,
                       evidence=f"published points of {test.label} against {anchor.curve.label}",
                       command="python -m bench anchors check")

    def _compared(self, claim: Claim, dataset: str, anchor: Measured, test: Measured, command: str) -> Finding:
        fault = test.fault or anchor.fault
        if fault:
            return Finding(fault=fault, place=dataset, where=dataset, command=command)
        evidence = " against ".join(f"{'published points' if side.published else 'rows'} of {side.curve.label}"
                                    for side in (test, anchor))
        common = {"place": dataset, "where": dataset, "evidence": evidence, "command": command,
                  "tolerance": TOLERANCE_POINTS if claim.published else None}
        if not anchor.curve.per_image:
            result = _measure(claim)(anchor.curve.curve("psnr"), test.curve.curve("psnr"))
            if result.value is None:
                return Finding(fault=result.reason or "", **common)
            self._keep_averages(dataset, claim, anchor.curve, test.curve, result)
            return Finding(value=result.value, **common)
        try:
            found = self._bootstrap(dataset, anchor, test, METRICS[claim.metric])
        except (BenchError, ValueError) as error:
            return Finding(fault=str(error), **common)
        self._keep(dataset, claim, anchor, test)
        return Finding(estimate=found.averaged, what_n="images", **common)

    def _bootstrap(self, dataset: str, anchor: Measured, test: Measured, measure: str) -> BDBootstrap:
        key = (dataset, anchor.curve.name, test.curve.name, measure)
        if key not in self._bootstraps:
            images = shared_images(anchor.curve, test.curve)
            self._bootstraps[key] = paired_bd_bootstrap(
                *image_arrays(anchor.curve, images), *image_arrays(test.curve, images), measure=measure)
        return self._bootstraps[key]

    def _keep(self, dataset: str, claim: Claim, anchor: Measured, test: Measured) -> None:
        key = (dataset, anchor.curve.name, test.curve.name)
        if key in self.pairs:
            return
        try:
            found = self._bootstrap(dataset, anchor, test, "rate")
        except ValueError:  # a claim of quality needs none
            return
        single = found.per_image
        self.pairs[key] = PairComparison(
            _title(anchor.curve, test.curve), dataset, anchor.curve, test.curve, found.averaged.value,
            tuple(shared_images(anchor.curve, test.curve)), tuple(found.per_image_values.tolist()),
            found.averaged.interval(), single and single.value, single and single.interval(), found.drop_one,
            found.share_improved, _remarks(anchor.curve, test.curve, found),
            claim.variant + MINIATURE == test.curve.name)

    def _keep_averages(self, dataset: str, claim: Claim, anchor: RDCurve, test: RDCurve, result: BDResult) -> None:
        if claim.metric == "bd_rate":
            key = (dataset, anchor.name, test.name)
            self.pairs.setdefault(key, PairComparison(
                _title(anchor, test), dataset, anchor, test, result.value, remarks=_remarks(anchor, test),
                miniature=claim.variant + MINIATURE == test.name))

    def _at_rate(self, claim: Claim, dataset: str, test: Measured, command: str) -> Finding:
        """Quality at a rate that the claim names, between the measured points."""
        if test.fault:
            return Finding(fault=test.fault, place=dataset, where=dataset, command=command)
        rates, qualities = np.array(test.curve.bpp), np.array(test.curve.curve("psnr").quality)
        where = f"{dataset}, {claim.at_bpp:g} bpp"
        if not rates.min() <= claim.at_bpp <= rates.max():
            return Finding(fault=f"{claim.at_bpp:g} bpp is outside the measured {rates.min():.3f} to {rates.max():.3f}",
                           place=dataset, where=where, command=command)
        order = np.argsort(rates)
        value = float(PchipInterpolator(np.log(rates[order]), qualities[order])(math.log(claim.at_bpp)))
        return Finding(value=value, place=dataset, where=where, command=command,
                       evidence=f"the averaged curve of {test.curve.label}, read at this rate,")


def _measure(claim: Claim):
    return bd_rate if METRICS[claim.metric] == "rate" else bd_quality


def _remarks(anchor: RDCurve, test: RDCurve, found: BDBootstrap | None = None) -> tuple[str, ...]:
    """Overlap, what makes the number doubtful, and how the interval was made."""
    spread = method_spread(anchor.curve("psnr"), test.curve("psnr"))
    result = spread.results[DEFAULT_METHOD]
    texts = [f"{100 * (result.overlap or 0):.0f} % overlap in quality", *result.warnings, *spread.warnings,
             *anchor.remarks, *test.remarks]
    if found is not None:
        texts.append(f"interval: {found.averaged.method}, {found.resamples - found.failed} of {found.resamples} "
                     f"resamples, seed {found.seed}")
        if isinstance(found.averaged, Resampled):
            low, high = found.averaged.interval(method=PERCENTILE)
            texts.append(f"percentile interval {format_number(low, '+.2f')} to {format_number(high, '+.2f')} %")
    return tuple(texts)


def _title(anchor: RDCurve, test: RDCurve) -> str:
    return f"{test.label} against {anchor.label}"
