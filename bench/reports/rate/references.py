"""Curves that a report did not measure: VVC anchors, published codecs, and what the user imported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.curves import anchors
from bench.curves.anchors.catalogue import FOLDERS
from bench.curves.rd_curve import RDCurve
from bench.metrics.quality import headline_metrics
from bench.reports.rate.curves import ANCHOR, IMPORTED, PUBLISHED, ReportCurve

HPCM_BASE_PUBLISHED = "hpcm-base-mse"
SHOWN = {  # published curve: how tables call it
    HPCM_BASE_PUBLISHED: "HPCM-Base",
    "hpcm-large-mse": "HPCM-Large",
    "dcae-mse": "DCAE",
    "lalic-mse": "LALIC",
    "mlicplusplus-mse": "MLIC++",
    "tcm-large-mse": "TCM-Large",
    "elic-mse": "ELIC",
    "cheng2020-attn-mse-compressai": "cheng2020-attn",
    "mbt2018-mse-compressai": "mbt2018",
    "hpcm-base-ms-ssim": "HPCM-Base for MS-SSIM",
    "hpcm-large-ms-ssim": "HPCM-Large for MS-SSIM",
}
PLOTTED = frozenset({HPCM_BASE_PUBLISHED, "hpcm-large-mse", "hpcm-base-ms-ssim", "hpcm-large-ms-ssim"})
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
    for anchor in anchors.anchors(dataset):
        published = anchor.load()
        convention = f"{ROLES[anchor.role]}; {anchor.convention}"
        curves += _both_metrics(published, anchor.label, ANCHOR, convention, total)
    known = set(anchors.names(dataset)) if dataset in FOLDERS else ()  # a folder of that name is another set
    for name, label in SHOWN.items():
        if name in known:
            published = anchors.load(dataset, name)
            curves += _both_metrics(published, f"{label} (published)", PUBLISHED, published.convention, total)
    for published in anchors.imported(results_dir, dataset):
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
