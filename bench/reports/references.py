"""Curves that a report did not measure: VVC anchors, published codecs, and what the user imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench import anchors
from bench.anchors import PublishedCurve
from bench.anchors.catalogue import FOLDERS
from bench.reports.curves import ANCHOR, IMPORTED, PUBLISHED, Points, ReportCurve, average

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
METRIC_NAMES = {"psnr_rgb_db": "psnr", "ms_ssim_db": "ms-ssim"}  # a row's column: the anchors' name for it


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


def _both_metrics(published: PublishedCurve, label: str, origin: str, convention: str,
                  total: int | None) -> list[ReportCurve]:
    parts = (convention, f"source: {published.source}" if published.source else "")
    source = "; ".join(part for part in parts if part)
    curves = []
    for metric, their_name in METRIC_NAMES.items():
        if not published.has(their_name):
            continue
        curve = published.curve(their_name)
        per_image: Mapping[str, Points] = {
            image: (single.rate, single.quality)
            for image, single in published.image_curves(their_name).items()
        }
        rate, quality = average(per_image) if per_image else (curve.rate, curve.quality)
        order = sorted(range(len(rate)), key=rate.__getitem__)
        curves.append(ReportCurve(
            name=published.name, label=label, metric=metric, origin=origin,
            points=tuple(str(index) for index in range(1, len(rate) + 1)),
            rate=tuple(rate[index] for index in order), quality=tuple(quality[index] for index in order),
            images=published.images or total, per_image=per_image, remarks=published.remarks, source=source,
        ))
    return curves
