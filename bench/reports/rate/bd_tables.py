"""BD-rate tables: one over all anchors, and one with every detail for each anchor."""

from __future__ import annotations

from collections.abc import Sequence

from bench.common.text import format_count
from bench.reports.page.table import Cell, Column, Table
from bench.reports.rate.comparison import MS_SSIM, PSNR, Comparison, Subject, compare, interval_of
from bench.reports.rate.coverage import CONVENTION, SHORT_CONVENTION, Coverage
from bench.reports.rate.curves import ANCHOR, MEASURED
from bench.reports.rate.seeds import BASE, seed_notes
from bench.results.labels import MINIATURE_NOTE

BD_NOTE = (
    "BD-rate: mean rate change at equal quality, negative where the codec needs fewer bits than the anchor; "
    "PCHIP on the logarithm of the rate over the common quality interval, never extrapolated; N/A where the "
    "curves share less than half of their quality range, \"small overlap\" below three quarters."
)
INTERVAL_NOTE = (
    "95 % interval of the BD-rate: paired bootstrap over images, 10,000 resamples, where single images of both are "
    "known; it says how much the choice of images matters, not what another training would give."
)
PUBLISHED_HEADING = "Published points, not measured here"
CODEC = Column("codec", "Codec")
ORIGIN = Column("origin", "Origin", detail=True)
POINTS = Column("points", "Points", digits=0, detail=True)
REMARKS = Column("remarks", "Remarks", wide=True)
INTERVAL = (
    Column("bd_rate_low_percent", "95 % from", "%", digits=2, signed=True),
    Column("bd_rate_high_percent", "to", "%", digits=2, signed=True),
)
DETAIL_COLUMNS = (
    CODEC, ORIGIN, POINTS, Column("images", "Images", digits=0, missing="?"),
    Column("bd_rate_percent", "BD-rate", "%", digits=2, signed=True, missing="N/A"),
    *INTERVAL,
    Column("bd_rate_per_image_mean_percent", "BD-rate, mean of images", "%", digits=2, signed=True,
           missing="N/A"),
    Column("bd_rate_per_image_count", "over images", digits=0),
    Column("bd_psnr_db", "BD-PSNR", "dB", digits=3, signed=True, missing="N/A"),
    Column("overlap_percent", "Overlap", "%", digits=1, missing="N/A"),
    Column("bd_rate_ms_ssim_percent", "BD-rate MS-SSIM", "%", digits=2, signed=True, missing="N/A"),
    REMARKS,
)


def bd_detail(anchor: Subject, tests: Sequence[Subject], coverage: Coverage) -> Table:
    """Every codec of ``tests`` against one anchor."""
    comparisons = [compare(anchor, test) for test in tests if test is not anchor]
    silent = [one for one in comparisons if not anchor.main.miniature and _says_nothing(one)]
    comparisons = [one for one in comparisons if one not in silent]
    rows = [_detail_row(comparison, interval_of(anchor, comparison.test)) for comparison in comparisons]
    keys = [column.key for column in DETAIL_COLUMNS]
    places = [keys.index(column.key) for column in INTERVAL]
    known = any(row[place] is not None for row in rows for place in places)
    kept = [place for place in range(len(keys)) if known or place not in places]
    intervals = [INTERVAL_NOTE] if known else []
    notes = [BD_NOTE, *intervals, CONVENTION, f"Anchor: {_described(anchor)}", *seed_notes([anchor], tests)]
    if silent:
        left_out = format_count(len(silent), "miniature")
        notes.append(f"Left out: {left_out} with too little range of quality in common with the anchor for any "
                     f"BD-rate; they are compared with {BASE}.")
    return _table(f"bd_rate_vs_{anchor.name}", f"BD-rate against {anchor.label}",
                  tuple(DETAIL_COLUMNS[place] for place in kept), [tuple(row[place] for place in kept) for row in rows],
                  [comparison.test for comparison in comparisons], coverage, notes, anchor.label)


def _says_nothing(comparison: Comparison) -> bool:
    """Whether it is of a miniature other than the baseline, and without a number."""
    test = comparison.test
    return (test.main.miniature and test.name != BASE and comparison.bd_rate_percent is None
            and comparison.ms_ssim_percent is None)


def _detail_row(comparison: Comparison, interval: tuple[float, float] | None) -> tuple[Cell, ...]:
    test = comparison.test
    return (test.label, test.origin, len(test.main.rate), comparison.images, comparison.bd_rate_percent,
            *(interval or (None, None)), comparison.per_image_percent, comparison.per_image_count or None,
            comparison.bd_psnr_db, comparison.overlap_percent, comparison.ms_ssim_percent,
            "; ".join(comparison.remarks) or None)


def bd_overview(anchors: Sequence[Subject], tests: Sequence[Subject], coverage: Coverage) -> Table:
    """BD-rates of averaged curves, a column for every anchor; MS-SSIM only against VVC, if there is one."""
    vvc = [index for index, anchor in enumerate(anchors) if anchor.origin == ANCHOR]
    vvc = vvc or list(range(len(anchors)))
    columns = [CODEC, ORIGIN, POINTS]
    columns += [Column(f"bd_rate_vs_{anchor.name}_percent", f"vs {anchor.label}", "%", 2, True, "N/A")
                for anchor in anchors]
    columns += [Column(f"bd_rate_ms_ssim_vs_{anchor.name}_percent", f"MS-SSIM vs {anchor.label}", "%", 2,
                       True, "N/A") for anchor in map(anchors.__getitem__, vvc)]
    rows = []
    for test in tests:
        results = [_overview_pair(anchor, test) for anchor in anchors]
        rows.append((test.label, test.origin, len(test.main.rate), *(psnr for psnr, _ in results),
                     *(results[index][1] for index in vvc)))
    notes = [BD_NOTE, CONVENTION, *(f"Anchor: {_described(anchor)}" for anchor in anchors),
             "Reasons for N/A, overlaps and means over single images are in the table of each anchor.",
             *seed_notes(anchors, tests)]
    labels = "; ".join(anchor.label for anchor in anchors)
    table = _table("bd_rate", "BD-rate of averaged PSNR and MS-SSIM curves", tuple(columns), rows, tests,
                   coverage, notes, labels)
    return table.without_empty_columns()


def _described(anchor: Subject) -> str:
    if anchor.origin == MEASURED:
        return f"{anchor.label}, measured here."
    return f"{anchor.label}: {anchor.source}" if anchor.source else f"{anchor.label}."


def _overview_pair(anchor: Subject, test: Subject) -> tuple[float | None, float | None]:
    """Return the BD-rates by PSNR and by MS-SSIM; an anchor differs from itself by nothing."""
    if test is anchor:
        return tuple(0.0 if metric in test.curves else None for metric in (PSNR, MS_SSIM))
    comparison = compare(anchor, test)
    return comparison.bd_rate_percent, comparison.ms_ssim_percent


def _table(name: str, subject: str, columns: tuple[Column, ...], rows: list[tuple[Cell, ...]],
           tests: Sequence[Subject], coverage: Coverage, notes: list[str], anchor: str) -> Table:
    measured = sum(test.origin == MEASURED for test in tests)
    headings = ((measured, PUBLISHED_HEADING),) if measured < len(tests) else ()
    if coverage.miniatures:
        notes = [*notes, MINIATURE_NOTE]
    constants = (("dataset", coverage.dataset), ("coverage", coverage.text), ("anchor", anchor),
                 ("convention", f"PCHIP over log10 rate, overlap of at least 50 %; {SHORT_CONVENTION}"))
    title = f"{subject}: {coverage.heading}"
    return Table(name, title, columns, tuple(rows), tuple(notes), coverage.warnings, headings, constants)
