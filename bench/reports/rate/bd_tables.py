"""BD-rate tables: one over all anchors, and one with every detail for each anchor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

from bench.common.text import format_count, format_number
from bench.metrics.quality import QualityMetric, headline_metrics
from bench.metrics.rate.curves import MINIMUM_POINTS
from bench.metrics.statistics.image_spread import ImageSpread
from bench.metrics.statistics.noise import run_noise
from bench.reports.page.table import Column, Table
from bench.reports.rate.comparison import (
    AnchorComparisons,
    ComparedCodec,
    Comparison,
    compare_with_all,
)
from bench.reports.rate.coverage import CONVENTION, SHORT_CONVENTION, Coverage
from bench.reports.rate.curves import ANCHOR, HPCM_BASE_PUBLISHED, MEASURED
from bench.results.labels import BASE_MINIATURE, SEED_MINIATURES

BD_NOTE = (
    "BD-rate: mean rate change at equal quality, negative where the codec needs fewer bits than the anchor; "
    "PCHIP on the logarithm of the rate over the common quality interval, never extrapolated; N/A where the "
    "curves share less than half of their quality range, \"small overlap\" below three quarters."
)
INTERVAL_NOTE = (
    "95 % interval of the BD-rate: paired bootstrap over images, 10,000 resamples, where single images of both are "
    "known; it says how much the choice of images matters, not what another training would give. The mean of images "
    "counts each once, averaged curves by its bits; \"one image left out\": lowest and highest BD-rate of the averaged "
    "curves without any one of them."
)
PUBLISHED_HEADING = "Published points, not measured here"
ANCHOR_NAMES = ("vvenc", BASE_MINIATURE)  # codecs measured here that others are compared with, beside VVC and HPCM-Base
HPCM_BASE = "hpcm_base"
CODEC: Column[Any] = Column("codec", "Codec", of=lambda one: one.test.label)
ORIGIN: Column[Any] = Column("origin", "Origin", detail=True, of=lambda one: one.test.origin)
POINTS: Column[Any] = Column("points", "Points", digits=0, detail=True, of=lambda one: len(one.test.main.rate))


def _end(field: str, index: int) -> Callable[[Comparison], float | None]:
    """One end of a range over images."""
    def find(one: Comparison) -> float | None:
        ends = None if one.spread is None else getattr(one.spread, field)
        return None if ends is None else float(ends[index])
    return find


def _percent(key: str, title: str, of: Callable[[Comparison], float | None]) -> Column[Comparison]:
    return Column(key, title, "%", digits=2, signed=True, of=of)


INTERVAL = (_percent("bd_rate_low_percent", "95 % from", _end("interval", 0)),
            _percent("bd_rate_high_percent", "to", _end("interval", 1)))
OF_IMAGES = (
    _percent("bd_rate_per_image_low_percent", "mean, 95 % from", _end("mean_interval", 0)),
    _percent("bd_rate_per_image_high_percent", "to", _end("mean_interval", 1)),
    _percent("bd_rate_per_image_median_percent", "median", lambda one: one.spread.median if one.spread else None),
    _percent("bd_rate_without_one_low_percent", "one image left out, from", _end("without_one", 0)),
    _percent("bd_rate_without_one_high_percent", "to", _end("without_one", 1)),
)
RATE_COLUMNS: tuple[Column[Comparison], ...] = (
    CODEC, ORIGIN, POINTS,
    Column("images", "Images", digits=0, missing="?", of=lambda one: one.images),
    Column("bd_rate_percent", "BD-rate", "%", digits=2, signed=True, missing="N/A", of=lambda one: one.bd_rate_percent),
    *INTERVAL,
    Column("bd_rate_per_image_mean_percent", "BD-rate, mean of images", "%", digits=2, signed=True, missing="N/A",
           of=lambda one: one.per_image_percent),
    Column("bd_rate_per_image_count", "over images", digits=0, of=lambda one: one.per_image_count or None),
    *OF_IMAGES,
)


OVERLAP: Column[Comparison] = Column("overlap_percent", "Overlap", "%", digits=1, missing="N/A",
                                    of=lambda one: one.overlap_percent)
REMARKS: Column[Comparison] = Column("remarks", "Remarks", wide=True,
                                    of=lambda one: "; ".join(dict.fromkeys(one.remarks)) or None)


def _detail_columns(metrics: Sequence[QualityMetric]) -> tuple[Column[Comparison], ...]:
    """Every detail of the leading metric of ``metrics``, and the BD-rate of each other."""
    leading, *others = metrics
    scale = leading.on_curves
    quality: Column[Comparison] = Column(
        f"bd_{leading.slug}_{scale.unit.lower()}".rstrip("_"), f"BD-{leading.label}", scale.unit,
        digits=scale.digits + 1, signed=True, missing="N/A", of=lambda one: one.bd_quality)
    by_others = (_rate_column(f"bd_rate_{metric.slug}", f"BD-rate {metric.label}", metric) for metric in others)
    return (*RATE_COLUMNS, quality, OVERLAP, *by_others, REMARKS)


def _rate_column(stem: str, title: str, metric: QualityMetric) -> Column[Comparison]:
    return Column(f"{stem}_percent", title, "%", digits=2, signed=True, missing="N/A",
                  of=lambda one: one.bd_rates_percent.get(metric.name))


def _compared_metrics(codecs: Iterable[ComparedCodec]) -> list[QualityMetric]:
    """The leading headline metric, and the others that any codec has."""
    codecs = list(codecs)
    leading, *others = headline_metrics()
    return [leading, *(metric for metric in others if any(metric.name in codec.curves for codec in codecs))]


def compare_with_anchors(measured: Sequence[ComparedCodec],
                         references: Sequence[ComparedCodec]) -> list[AnchorComparisons]:
    """Compare every codec, those that were measured here first, with every anchor."""
    tests = [*measured, *(codec for codec in references if codec.origin != ANCHOR)]
    return [compare_with_all(anchor, tests) for anchor in choose_anchors(measured, references)]


def bd_tables(groups: Sequence[AnchorComparisons], coverage: Coverage) -> list[Table]:
    """Return the overview and one table an anchor, or nothing where there is nothing to compare."""
    groups = [group for group in groups
              if not group.anchor.main.miniature or any(one.bd_rates_percent for one in group.others)]
    tests = [one.test for one in groups[0].comparisons] if groups else []
    if not tests:
        return []
    return [overview_table(groups, tests, coverage), *(detail_table(group, coverage) for group in groups)]


def choose_anchors(measured: Sequence[ComparedCodec], references: Sequence[ComparedCodec]) -> list[ComparedCodec]:
    """Return what to compare with: VVC, HPCM-Base (measured, else published), VVenC, the miniature."""
    vvc = [codec for codec in references if codec.origin == ANCHOR]
    here = {codec.name: codec for codec in measured if len(codec.main.rate) >= MINIMUM_POINTS}
    published = [codec for codec in references if codec.name == HPCM_BASE_PUBLISHED]
    base = [here[HPCM_BASE]] if HPCM_BASE in here else published
    return [*vvc, *base, *(here[name] for name in ANCHOR_NAMES if name in here)]


def detail_table(group: AnchorComparisons, coverage: Coverage) -> Table:
    """Every codec against one anchor."""
    anchor = group.anchor
    silent = [] if anchor.main.miniature else [one for one in group.others if _says_nothing(one)]
    shown = [_add_spread(one, group.find_spread(one.test)) for one in group.others if one not in silent]
    known = any(one.spread is not None for one in shown)
    metrics = _compared_metrics([anchor, *(one.test for one in shown)])
    columns = [column for column in _detail_columns(metrics) if known or column not in (*INTERVAL, *OF_IMAGES)]

    notes = [BD_NOTE, *([INTERVAL_NOTE] if known else []), CONVENTION, f"Anchor: {_describe(anchor)}",
             *seed_notes([group])]
    if silent:
        left_out = format_count(len(silent), "miniature")
        notes.append(f"Left out: {left_out} with too little range of quality in common with the anchor for any "
                     f"BD-rate; they are compared with {BASE_MINIATURE}.")
    return _make_table(f"bd_rate_vs_{anchor.name}", f"BD-rate against {anchor.label}", columns, shown,
                       [one.test for one in shown], coverage, notes, anchor.label)


def _add_spread(comparison: Comparison, spread: ImageSpread | None) -> Comparison:
    remark = [spread.remark] if spread is not None and spread.remark else []
    return replace(comparison, spread=spread, remarks=[*comparison.remarks, *remark])


def _says_nothing(comparison: Comparison) -> bool:
    """Whether it is of a miniature other than the baseline, and without a number."""
    test = comparison.test
    return test.main.miniature and test.name != BASE_MINIATURE and not comparison.bd_rates_percent


def overview_table(groups: Sequence[AnchorComparisons], tests: Sequence[ComparedCodec], coverage: Coverage) -> Table:
    """BD-rates of averaged curves, a column for every anchor; by other metrics only against VVC, if there is one."""
    anchors = [group.anchor for group in groups]
    metrics = _compared_metrics([*tests, *anchors])
    vvc = [place for place, anchor in enumerate(anchors) if anchor.origin == ANCHOR]
    places = range(len(anchors))
    columns: list[Column[Any]] = [
        *(column.taken_from(itemgetter(0)) for column in (CODEC, ORIGIN, POINTS)),
        *(_rate_column(f"bd_rate_vs_{anchors[place].name}", f"vs {anchors[place].label}", metrics[0])
          .taken_from(itemgetter(place)) for place in places),
        *(_rate_column(f"bd_rate_{metric.slug}_vs_{anchors[place].name}", f"{metric.label} vs {anchors[place].label}",
                       metric).taken_from(itemgetter(place)) for metric in metrics[1:] for place in vvc or places),
    ]
    rows = list(zip(*(group.comparisons for group in groups)))  # one a codec, a comparison with each anchor

    notes = [BD_NOTE, CONVENTION, *(f"Anchor: {_describe(anchor)}" for anchor in anchors),
             "Reasons for N/A, overlaps and means over single images are in the table of each anchor.",
             *averaging_notes(groups), *seed_notes(groups)]
    *most, last = (metric.label for metric in metrics)
    by = f"{', '.join(most)} and {last}" if most else last
    table = _make_table("bd_rate", f"BD-rate of averaged {by} curves", columns, rows, tests, coverage, notes,
                        "; ".join(anchor.label for anchor in anchors))
    return table.without_empty_columns()


def _describe(anchor: ComparedCodec) -> str:
    if anchor.origin == MEASURED:
        return f"{anchor.label}, measured here."
    return f"{anchor.label}: {anchor.source}" if anchor.source else f"{anchor.label}."


def averaging_notes(groups: Sequence[AnchorComparisons]) -> list[str]:
    """Say of which BD-rates both sides' qualities are averaged otherwise than :data:`CONVENTION` says."""
    told: dict[str, None] = {}
    for metric in headline_metrics():
        for one in (one for group in groups for one in group.others if metric.name in one.averaging):
            told[f"{one.test.label} by {metric.label}: {one.averaging[metric.name]}"] = None
    return [f"BD-rates of {'; '.join(told)}."] if told else []


def seed_notes(groups: Sequence[AnchorComparisons]) -> list[str]:
    """Say how far other seeds of the baseline are from it, where both were measured; else return nothing."""
    bases = [group for group in groups if group.anchor.name == BASE_MINIATURE and group.anchor.origin == MEASURED]
    values = {one.test.label: one.bd_rate_percent for base in bases for one in base.others
              if SEED_MINIATURES.fullmatch(one.test.name) and one.test.origin == MEASURED}
    if not values:
        return []

    texts = {label: "N/A" if value is None else f"{format_number(value, '+.2f')} %" for label, value in values.items()}
    listed = ", ".join(f"{label} {text}" for label, text in texts.items())
    label = bases[0].anchor.label
    text = f"Noise between runs: trained alike but for the seed, BD-rates by PSNR against {label} are {listed}."

    known = [value for value in values.values() if value is not None]
    if known:
        noise = run_noise([0.0, *known])
        degrees = format_count(len(known), "degree")
        text += (f" Over these {noise.runs} runs, {label} being 0 %, the standard deviation is "
                 f"{noise.deviation:.2f} %; the 95 % half-width for a difference of two single runs is "
                 f"{noise.half_width:.2f} % (Student's t of {degrees} of freedom, times the root of two, times the "
                 f"standard deviation). Differences to {label} smaller than that say nothing about the variants.")
    return [text]


def _make_table(name: str, subject: str, columns: Sequence[Column[Any]], rows: Sequence[Any],
                tests: Sequence[ComparedCodec], coverage: Coverage, notes: Sequence[str], anchor: str) -> Table:
    """Make a table with a row for each of ``tests``, those that were measured here first."""
    measured = sum(test.origin == MEASURED for test in tests)
    headings = [(measured, PUBLISHED_HEADING)] if measured < len(rows) else []
    return coverage.make_table(name, subject, columns, rows, notes, headings, anchor,
                               f"PCHIP over log10 rate, overlap of at least 50 %; {SHORT_CONVENTION}")
