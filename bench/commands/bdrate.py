"""Computes the BD-rate of two curves."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from tabulate import tabulate

from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE, ConfigurationError
from bench.common.text import format_number
from bench.curves.averaging import MEAN, average_alike, find_averaging
from bench.curves.pairing import average_over_shared_images
from bench.curves.rd_curve import RDCurve
from bench.curves.sources import read_source
from bench.metrics import (
    METHODS,
    BDResult,
    PerImageBD,
    bd_quality,
    bd_rate,
    method_spread,
    paired_bd_bootstrap,
    per_image_bd,
)
from bench.metrics.quality import METRICS, QualityMetric
from bench.metrics.rate.bdrate import DEFAULT_METHOD, MINIMUM_OVERLAP
from bench.metrics.statistics.bootstrap import QUALITY, RATE
from bench.metrics.statistics.image_spread import ImageSpread, summarise_images


def run(args: argparse.Namespace) -> int:
    """Compare two curves and print the table."""
    min_overlap = MINIMUM_OVERLAP if args.min_overlap is None else args.min_overlap
    if not 0 <= min_overlap <= 1:
        raise ConfigurationError(f"--min-overlap {min_overlap:g} is not between 0 and 1")
    anchor, test = (read_source(text, (args.metric,), args.results) for text in (args.anchor, args.test))
    anchor, test, warnings = align_curves(anchor, test, args.metric)
    methods = list(METHODS) if args.method == "all" else [args.method]
    found = [delta for method in methods
             for delta in compute_deltas(anchor, test, args.metric, method, min_overlap)]
    warnings += [warning for delta in found for warning in delta.warnings]
    warnings += method_spread(anchor.curve(args.metric), test.curve(args.metric), min_overlap).warnings
    warnings += [f"{curve.label}: {remark}" for curve in (anchor, test) for remark in curve.remarks]

    print(f"A (anchor): {_describe_curve(anchor)}\nB (test):   {_describe_curve(test)}\n")
    headings = ("", "method", "value", "95 % over images", "integrated over", "overlap", "images")
    rows = [(delta.quantity, *delta.cells) for delta in found]
    print(tabulate(rows, disable_numparse=True, headers=headings,
                   colalign=("left", "left", "right", "right", "left", "right", "left")))
    reasons = [f"{delta.quantity}: {delta.reason}" for delta in found if delta.reason]
    for kind, lines in (("no number", reasons), ("warning", warnings)):
        for line in dict.fromkeys(lines):
            print(f"{kind}: {line}")
    metric = METRICS.get(args.metric)
    unit = f" in {metric.on_curves.unit}" if metric.on_curves.unit else ""
    print("\nBD-rate: change of rate at equal quality, negative where B needs fewer bits.\n"
          f"BD-quality: gain of B{unit} at equal rate.\n"
          f"Averaged curves: rate and {metric.label} are averaged over the images, then compared; without one image: "
          "the\nlowest and the highest of them with any one image left out.")
    for side, curve in (("A", anchor), ("B", test)):
        print(f"{side}: {curve.convention or 'the source states no convention'}{_describe_averaging(curve, metric)}")
    return EXIT_DONE if any(delta.value is not None for delta in found) else EXIT_INCOMPLETE


def align_curves(anchor: RDCurve, test: RDCurve, metric: str) -> tuple[RDCurve, RDCurve, list[str]]:
    """Return both curves averaged over the images they share, where single images are known, and warnings.

    Raises:
        NoSharedImages: single images are known, and none or too few are in both.
    """
    first, second = average_over_shared_images(anchor, test, metric)
    warnings = []
    if anchor.dataset and test.dataset and anchor.dataset != test.dataset:
        warnings.append(f"different datasets: {anchor.label} on {anchor.dataset}, {test.label} on {test.dataset}; "
                        "the number mixes codecs with images")
    own, other, shared = (len(curve.images_with(metric)) for curve in (anchor, test, first))
    if own and other and not own == other == shared:
        warnings.append(f"over the {shared} of {own + other - shared} images that both have")
    if first.images and second.images and first.images != second.images:
        warnings.append(f"averages over different images: {first.label} {first.images}, "
                        f"{second.label} {second.images}")
    if first.has(metric) and second.has(metric):
        first, second, remark = average_alike(first, second, metric)
        warnings += [f"{METRICS.get(metric).label} {remark}"] if remark else []
    return first, second, warnings


class Delta(NamedTuple):
    """One line of the table: the value, or the reason why there is none; and the other cells."""

    quantity: str
    value: float | None
    reason: str | None
    warnings: tuple[str, ...]
    cells: tuple[str, ...]


def compute_deltas(
    anchor: RDCurve, test: RDCurve, metric: str, method: str, min_overlap: float
) -> list[Delta]:
    """Return BD-rate and BD-quality by one method: of the averaged curves and, where known, over images."""
    found = []
    counts = " / ".join(dict.fromkeys(str(curve.images or "not stated") for curve in (anchor, test)))
    unit_of_quality = METRICS.get(metric).on_curves.unit
    for measure, name, unit in ((bd_rate, "BD-rate", "%"), (bd_quality, "BD-quality", unit_of_quality)):
        result = measure(anchor.curve(metric), test.curve(metric), method, min_overlap)
        by_image = anchor.image_curves(metric), test.image_curves(metric)
        spread, lack = None, ""
        if all(by_image) and method == DEFAULT_METHOD and result.value is not None:
            which = RATE if measure is bd_rate else QUALITY
            spread, lack = _find_spread(anchor, test, metric, which, unit, min_overlap)
        remarks = tuple(filter(None, [spread.remark if spread else "", lack]))
        share = "" if result.overlap is None else f"{result.overlap:.1%}"
        interval = _describe_interval(result, unit_of_quality if measure is bd_rate else None)
        over_images = _describe_range(spread.interval if spread else None)
        found.append(Delta(f"{name}, averaged curves", result.value, result.reason, result.warnings + remarks,
                           (method, _describe_value(result.value, unit), over_images, interval, share, counts)))
        if all(by_image):
            mean = per_image_bd(*by_image, measure, method, min_overlap)
            found += _list_deltas_of_images(name, unit, mean, spread)
    return found


def _find_spread(anchor: RDCurve, test: RDCurve, metric: str, measure: str, unit: str,
                 min_overlap: float) -> tuple[ImageSpread | None, str]:
    """What single images say of both numbers, or why they can't; images are those that both sides have."""
    images = sorted(anchor.images_with(metric) & test.images_with(metric))
    stacked = *anchor.stack_images(images, metric), *test.stack_images(images, metric)
    try:
        found = paired_bd_bootstrap(*stacked, measure=measure, min_overlap=min_overlap)
    except ValueError as reason:
        return None, f"no interval over images: {reason}"
    return summarise_images(found, images, unit), ""


def _list_deltas_of_images(name: str, unit: str, mean: PerImageBD, spread: ImageSpread | None) -> list[Delta]:
    """Lines of single images: their mean, and where resamples are known median and the range without one image."""
    left_out = "; ".join(f"{image}: {reason}" for image, reason in mean.left_out.items())
    interval = _describe_range(spread.mean_interval if spread else None)
    lines = [Delta(f"{name}, mean of images", mean.mean, left_out or None, mean.warnings,
                   (mean.method, _describe_value(mean.mean, unit), interval, "", "", mean.statement))]
    if spread is not None and spread.median is not None:
        lines.append(Delta(f"{name}, median of images", spread.median, None, (),
                           (mean.method, _describe_value(spread.median, unit), "", "", "", "")))
    if spread is not None and spread.without_one is not None:
        lines.append(Delta(f"{name}, averaged curves without one image", spread.averaged, None, (),
                           (mean.method, f"{_describe_range(spread.without_one)} {unit}".strip(), "", "", "", "")))
    return lines


def _describe_averaging(curve: RDCurve, metric: QualityMetric) -> str:
    """How the qualities that were compared had been averaged, where there is more than one way."""
    way = find_averaging(curve, metric.name)
    return "" if way == MEAN else f"; compared by {metric.label}: {way}"


def _describe_range(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else " to ".join(format_number(end, "+.2f") for end in ends)


def _describe_value(value: float | None, unit: str) -> str:
    return "N/A" if value is None else f"{format_number(value, '+.2f')} {unit}".strip()


def _describe_interval(result: BDResult, unit: str | None) -> str:
    """The integrated range: of quality in ``unit``, or of log10 rate where that is None."""
    if result.interval is None:
        return ""
    low, high = result.interval
    if unit is None:
        return f"{10**low:.4f} to {10**high:.4f} bpp"
    return f"{format_number(low, '.2f')} to {format_number(high, '.2f')} {unit}".strip()


def _describe_curve(curve: RDCurve) -> str:
    where = f", {curve.dataset}" if curve.dataset else ""
    source = f"; {curve.source}" if curve.source else ""
    return f"{curve.label}{where}, {len(curve.bpp)} points{source}"
