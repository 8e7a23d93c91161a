"""Computes the BD-rate of two curves."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from tabulate import tabulate

from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE, ConfigurationError
from bench.common.text import format_number
from bench.curves.averaging import average_alike
from bench.curves.pairing import average_over_shared_images
from bench.curves.rd_curve import RDCurve
from bench.curves.sources import read_source
from bench.metrics import METHODS, BDResult, bd_quality, bd_rate, method_spread, per_image_bd
from bench.metrics.quality import METRICS
from bench.metrics.rate.bdrate import MINIMUM_OVERLAP


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
    print(tabulate([(delta.quantity, *delta.cells) for delta in found], disable_numparse=True,
                   headers=("", "method", "value", "integrated over", "overlap", "images"),
                   colalign=("left", "left", "right", "left", "right", "left")))
    reasons = [f"{delta.quantity}: {delta.reason}" for delta in found if delta.reason]
    for kind, lines in (("no number", reasons), ("warning", warnings)):
        for line in dict.fromkeys(lines):
            print(f"{kind}: {line}")
    metric = METRICS.get(args.metric)
    unit = f" in {metric.on_curves.unit}" if metric.on_curves.unit else ""
    print("\nBD-rate: change of rate at equal quality, negative where B needs fewer bits.\n"
          f"BD-quality: gain of B{unit} at equal rate.\n"
          f"Averaged curves: rate and {metric.label} are averaged over the images, then compared.")
    for side, curve in (("A", anchor), ("B", test)):
        print(f"{side}: {curve.convention or 'the source states no convention'}")
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
    curves = anchor.curve(metric), test.curve(metric)
    by_image = anchor.image_curves(metric), test.image_curves(metric)
    counts = " / ".join(dict.fromkeys(str(curve.images or "not stated") for curve in (anchor, test)))
    unit_of_quality = METRICS.get(metric).on_curves.unit
    for measure, name, unit in ((bd_rate, "BD-rate", "%"), (bd_quality, "BD-quality", unit_of_quality)):
        result = measure(*curves, method, min_overlap)
        share = "" if result.overlap is None else f"{result.overlap:.1%}"
        interval = _describe_interval(result, unit_of_quality if measure is bd_rate else None)
        found.append(Delta(f"{name}, averaged curves", result.value, result.reason, result.warnings,
                           (method, _describe_value(result.value, unit), interval, share, counts)))
        if all(by_image):
            mean = per_image_bd(*by_image, measure, method, min_overlap)
            left_out = "; ".join(f"{image}: {reason}" for image, reason in mean.left_out.items())
            found.append(Delta(f"{name}, mean of images", mean.mean, left_out or None, mean.warnings,
                               (method, _describe_value(mean.mean, unit), "", "", mean.statement)))
    return found


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
