"""Claims and what they came to, as text: the words that tables, plots and CI files share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.claims.catalogue import CODECS, OF_QUALITY, Claim
from bench.claims.judgement import is_marked
from bench.claims.result import Interval, Judgement
from bench.claims.wording import format_claimed, format_measured, format_range
from bench.common.text import format_number
from bench.metrics.quality import PSNR
from bench.metrics.statistics.verdicts import INVALID, NOT_MEASURED, REFUTED, REPRODUCED, SUPPORTED, UNDECIDED
from bench.reports.page.table import group_records
from bench.variants import Variant

MEANINGS = {
    REPRODUCED: "a published value came out again, within its tolerance",
    SUPPORTED: "the one-sided 95 % bound lies on the right side of the claim's weaker end; or each of enough files "
               "holds a claim of all",
    REFUTED: "the one-sided 95 % bound lies on the wrong side of the claim's weaker end; or one file does not "
             "hold a claim of all",
    UNDECIDED: "the interval holds the claim's weaker end; the effect that would have been found stands beside it; or "
               "a claim of all files was tried on few; or averaged curves and mean over images don't agree",
    INVALID: "measured, but under a broken condition: an incomplete set, a mismatch, little overlap, a busy machine",
    NOT_MEASURED: "no checkpoint, or nothing here that measures it",
}
METRIC_TEXTS = {
    "encode_time": "encode time", "decode_time": "decode time", "total_time": "encode and decode time",
    "training_time": "training time", "memory": "peak memory", "parameters": "parameters", "macs": "operations",
    "decodes_elsewhere": "files that decode elsewhere", "wrong_elsewhere": "files that come out wrong elsewhere",
}
CODEC_LABELS = {"vtm": "VTM", "bpg": "BPG", "jpeg2000": "JPEG 2000"}
CODECS_LINE, OTHER_LINE = "Classical codecs", "Other"
SMALLEST_P = 1e-4
MARK = "†"
MARK_NOTE = f"{MARK}: no longer beyond chance once corrected for all the claims that were tested."


@dataclass(frozen=True)
class Names:
    """How variants are called, and the line that each belongs to, both by a variant's name."""

    labels: Mapping[str, str]
    lines: Mapping[str, str]

    def label(self, name: str) -> str:
        """Of a variant or a codec; the name itself where it has none."""
        return self.labels.get(name) or CODEC_LABELS.get(name, name)

    def line(self, claim: Claim) -> str:
        """The line of variants that ``claim`` is about."""
        return self.lines.get(claim.variant) or (CODECS_LINE if claim.variant in CODECS else OTHER_LINE)

    def by_line(self, judgements: Iterable[Judgement]) -> dict[str, list[Judgement]]:
        """Judgements by line, in the order of the lines in variants.yaml."""
        groups = group_records(judgements, lambda one: self.line(one.claim))
        return {line: groups[line] for line in (*self.lines.values(), *groups) if line in groups}


def find_names(variants: Iterable[Variant]) -> Names:
    """Return the names of ``variants``."""
    variants = list(variants)
    return Names({one.name: one.label for one in variants}, {one.name: one.line for one in variants})


def make_slug(text: str) -> str:
    """``text`` as a part of a file's name: "Multi-reference" is "multi_reference"."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def is_change(claim: Claim) -> bool:
    """Whether the claim is a difference, written with its sign, and no absolute figure."""
    return claim.value is None


def metric_text(claim: Claim) -> str | None:
    """How readers know what a claim measures: "BD-rate", "BD-rate (MS-SSIM)", "BD-PSNR"; None for others."""
    if claim.metric not in OF_QUALITY:
        return METRIC_TEXTS.get(claim.metric)
    label = claim.quality_metric.label
    if claim.metric == "bd_rate":
        return "BD-rate" if claim.quality_metric is PSNR else f"BD-rate ({label})"
    return f"BD-{label}" if claim.metric == "bd_quality" else label


def what_text(claim: Claim) -> str:
    """"decode time of context s3, with 2 groups"."""
    text = metric_text(claim) or claim.what or claim.metric
    part = f" of {claim.part}" if claim.part else ""
    at_rate = f" at {claim.at_bpp:g} bpp" if claim.at_bpp is not None else ""
    return f"{text}{part}{at_rate}" + (f", with {claim.setting}" if claim.setting else "")


def claimed_text(claim: Claim) -> str:
    """"+10 to +15 %", "81.3 ms": the figures as the authors give them."""
    return format_claimed(claim, *claim.bounds)


def measured_text(judgement: Judgement) -> str | None:
    """"−15.43 %", or None where nothing was measured."""
    return None if judgement.value is None else format_measured(judgement.claim, judgement.value)


def interval_text(judgement: Judgement) -> str | None:
    """"−16.10 to −14.80", or None where there is no interval."""
    return None if judgement.interval is None else format_range(judgement.claim, judgement.interval)


def images_text(judgement: Judgement) -> str | None:
    """"−10.12 (−14.00 to −6.00), median −9.80; one image left out −11.00 to −9.00", or None where not known."""
    spread, claim = judgement.spread, judgement.claim
    if spread is None or spread.mean is None or spread.mean_interval is None or spread.median is None:
        return None
    text = (f"{format_measured(claim, spread.mean)} ({format_range(claim, spread.mean_interval)}), median "
            f"{format_measured(claim, spread.median)}")
    if spread.without_one is None:
        return text
    return f"{text}; averaged curves without one image {format_range(claim, spread.without_one)}"


def over_text(judgement: Judgement) -> str | None:
    """"24 images", "30 rounds"."""
    return f"{judgement.n} {judgement.what_n}".strip() if judgement.n else None


def detectable_text(judgement: Judgement) -> str | None:
    """"1.20 %" without a sign, where the verdict is UNDECIDED for lack of precision."""
    if judgement.detectable is None or judgement.verdict != UNDECIDED:
        return None
    return format_measured(judgement.claim, abs(judgement.detectable)).lstrip("+")


def verdict_text(judgement: Judgement) -> str:
    """The verdict, marked where it does not outlast the correction for many claims."""
    return f"{judgement.verdict} {MARK}" if is_marked(judgement) else judgement.verdict


def p_text(p_value: float | None) -> str | None:
    """"0.012", "< 0.0001"."""
    if p_value is None:
        return None
    return f"{p_value:.2g}" if p_value >= SMALLEST_P else f"< {SMALLEST_P:.4f}"


def percent_text(value: float) -> str:
    """"−15.43 %"."""
    return f"{format_number(value, '+.2f')} %"


def range_text(interval: Interval | None) -> str | None:
    """"−16.10 % to −14.80 %"."""
    return None if interval is None else " to ".join(map(percent_text, interval))
