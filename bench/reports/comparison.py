"""BD-rate of a report's curves: which images both sides share, averaged curves, single images, both metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench import metrics
from bench.reports.curves import ReportCurve

PSNR, MS_SSIM = "psnr_rgb_db", "ms_ssim_db"


@dataclass(frozen=True)
class Subject:
    """A codec in a comparison: its curves by metric (a metric may be missing)."""

    name: str
    label: str
    origin: str
    curves: Mapping[str, ReportCurve]
    source: str = ""

    @property
    def main(self) -> ReportCurve:
        """The PSNR curve, else the MS-SSIM curve."""
        return self.curves.get(PSNR) or self.curves[MS_SSIM]


@dataclass(frozen=True)
class Comparison:
    """One codec against one anchor. Percentages are rate changes; negative means fewer bits than the anchor.

    Attributes:
        images: how many images both averaged curves go over; None where the sources do not say.
        bd_rate_percent: of the averaged PSNR curves.
        per_image_percent: mean of the BD-rates of single images.
        per_image_count: how many images that mean goes over.
        bd_psnr_db: quality change at equal rate, averaged curves.
        overlap_percent: common part of the two PSNR intervals, of their union.
        ms_ssim_percent: BD-rate of the averaged MS-SSIM curves.
        remarks: why a value is missing, and warnings.
    """

    anchor: str
    test: Subject
    images: int | None = None
    bd_rate_percent: float | None = None
    per_image_percent: float | None = None
    per_image_count: int = 0
    bd_psnr_db: float | None = None
    overlap_percent: float | None = None
    ms_ssim_percent: float | None = None
    remarks: tuple[str, ...] = ()


def subjects_of(curves: Sequence[ReportCurve]) -> list[Subject]:
    """Group curves of both metrics by codec, in order of appearance."""
    grouped: dict[str, dict[str, ReportCurve]] = {}
    for curve in curves:
        grouped.setdefault(curve.label, {})[curve.metric] = curve
    subjects = []
    for label, members in grouped.items():
        first = next(iter(members.values()))
        subjects.append(Subject(first.name, label, first.origin, members, first.source))
    return subjects


def align(anchor: ReportCurve, test: ReportCurve) -> tuple[ReportCurve, ReportCurve] | str:
    """Return both curves as averages over the same images, or the reason why that can't be done."""
    if anchor.per_image and test.per_image:
        shared = set(anchor.per_image) & set(test.per_image)
        return (anchor.over(shared), test.over(shared)) if shared else "no image in common with the anchor"
    for curve, other in ((test, anchor), (anchor, test)):
        if not curve.whole_set:
            return (f"{curve.label} covers only {curve.images} of the set's images, and {other.label} is known "
                    "only as an average over all of them")
    return anchor, test


def compare(anchor: Subject, test: Subject) -> Comparison:
    """Compare ``test`` with ``anchor`` in both metrics."""
    values: dict[str, object] = {}
    remarks: list[str] = list(test.main.remarks)
    for metric in (PSNR, MS_SSIM):
        if metric not in anchor.curves or metric not in test.curves:
            lacking = anchor if metric not in anchor.curves else test
            if metric == PSNR or metric in lacking.main.metric:
                remarks.append(f"{lacking.label} has no {_short(metric)} values")
            continue
        aligned = align(anchor.curves[metric], test.curves[metric])
        if isinstance(aligned, str):
            remarks.append(f"{_short(metric)} N/A: {aligned}")
            continue
        values |= _psnr_values(*aligned, remarks) if metric == PSNR else _ms_ssim_values(*aligned, remarks)
    return Comparison(anchor.label, test, remarks=tuple(dict.fromkeys(remarks)), **values)


def _short(metric: str) -> str:
    return "PSNR" if metric == PSNR else "MS-SSIM"
