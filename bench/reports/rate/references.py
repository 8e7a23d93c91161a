"""Curves that a report did not measure: VVC anchors, published codecs, and what the user imported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.curves.anchors.catalogue import find_published, list_anchors, load_anchor, load_curve, read_imported
from bench.curves.rd_curve import RDCurve
from bench.metrics.quality import headline_metrics
from bench.reports.rate.curves import ANCHOR, IMPORTED, PUBLISHED, ReportCurve

HPCM_BASE_PUBLISHED = "hpcm-base-mse"
ROLES = {"default": "default anchor, made as papers make theirs",
         "strict": "strict anchor, without the rate that rounding colours to 8 bits costs the default one"}


def reference_curves(dataset: str, results_dir: Path, total: int | None) -> list[ReportCurve]:
    """Return the VVC anchors of ``dataset``, default first, then the published codecs and the imported ones.

    Args:
        total: images in the whole dataset, which averages without a stated number are taken to go over.

    Raises:
        BenchError: an imported file is damaged.
    """
    curves: list[ReportCurve] = []
    for anchor in list_anchors(dataset):
        published = load_anchor(dataset, anchor)
        convention = f"{ROLES[anchor.role]}; {anchor.convention}"
        curves += _both_metrics(published, anchor.label, ANCHOR, convention, total)
    for name, label in find_published(dataset).shown.items():
        published = load_curve(dataset, name)
        curves += _both_metrics(published, f"{label} (published)", PUBLISHED, published.convention, total)
    for published in read_imported(results_dir, dataset):
        label = f"{published.label} (imported)"
        curves += _both_metrics(published, label, IMPORTED, published.convention, total)
    return curves


def _both_metrics(published: RDCurve, label: str, origin: str, convention: str,
                  total: int | None) -> list[ReportCurve]:
    parts = (convention, f"source: {published.source}" if published.source else "")
    source = "; ".join(part for part in parts if part)
    data = replace(published, label=label, images=published.images or total)
    return [ReportCurve(data, metric.name, origin, source=source)
            for metric in headline_metrics() if published.has(metric.name)]
