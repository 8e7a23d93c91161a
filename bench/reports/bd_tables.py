"""BD-rate tables: one over all anchors, and one with every detail for each anchor."""

from __future__ import annotations

from collections.abc import Sequence

from bench.reports.comparison import Comparison, Subject, compare
from bench.reports.curves import MEASURED
from bench.reports.frame import CONVENTION, MINIATURE_NOTE, Coverage
from bench.reports.table import Cell, Column, Table

BD_NOTE = (
    "BD-rate: mean rate change at equal quality, negative where the codec needs fewer bits than the anchor; PCHIP "
    "on the logarithm of the rate over the common quality interval, never extrapolated; N/A where the curves share "
    "less than half of their quality range."
)
PUBLISHED_HEADING = "Published points, not measured here"
CODEC = Column("codec", "Codec")
ORIGIN = Column("origin", "Origin")
POINTS = Column("points", "Points", digits=0)
REMARKS = Column("remarks", "Remarks", wide=True)
DETAIL_COLUMNS = (
    CODEC, ORIGIN, POINTS, Column("images", "Images", digits=0, missing="?"),
    Column("bd_rate_percent", "BD-rate", "%", digits=2, signed=True, missing="N/A"),
    Column("bd_rate_per_image_mean_percent", "BD-rate, mean of images", "%", digits=2, signed=True, missing="N/A"),
    Column("bd_rate_per_image_count", "over images", digits=0),
    Column("bd_psnr_db", "BD-PSNR", "dB", digits=3, signed=True, missing="N/A"),
    Column("overlap_percent", "Overlap", "%", digits=1, missing="N/A"),
    Column("bd_rate_ms_ssim_percent", "BD-rate MS-SSIM", "%", digits=2, signed=True, missing="N/A"),
    REMARKS,
)


def bd_detail(name: str, anchor: Subject, tests: Sequence[Subject], coverage: Coverage) -> Table:
    """Every codec of ``tests`` against one anchor."""
    comparisons = [compare(anchor, test) for test in tests if test.label != anchor.label]
    rows = [_detail_row(comparison) for comparison in comparisons]
    notes = [BD_NOTE, CONVENTION, f"Anchor: {anchor.label} ({anchor.origin}). {anchor.source}".rstrip()]
    return _table(name, f"BD-rate against {anchor.label}", DETAIL_COLUMNS, rows,
                  [comparison.test for comparison in comparisons], coverage, notes, anchor.label)


def _detail_row(comparison: Comparison) -> tuple[Cell, ...]:
    test = comparison.test
    return (test.label, test.origin, len(test.main.points), comparison.images, comparison.bd_rate_percent,
            comparison.per_image_percent, comparison.per_image_count or None, comparison.bd_psnr_db,
            comparison.overlap_percent, comparison.ms_ssim_percent, "; ".join(comparison.remarks) or None)


def bd_overview(anchors: Sequence[Subject], tests: Sequence[Subject], coverage: Coverage) -> Table:
    """BD-rates of averaged curves, one column an anchor and metric."""
    columns = [CODEC, ORIGIN, POINTS]
    for index, anchor in enumerate(anchors, start=1):
        columns.append(Column(f"bd_rate_anchor{index}_percent", f"vs {anchor.label}", "%", 2, True, "N/A"))
    for index, anchor in enumerate(anchors, start=1):
        columns.append(Column(f"bd_rate_ms_ssim_anchor{index}_percent", f"MS-SSIM vs {anchor.label}", "%", 2, True,
                              "N/A"))
    rows = []
    for test in tests:
        comparisons = [None if test.label == anchor.label else compare(anchor, test) for anchor in anchors]
        rows.append((test.label, test.origin, len(test.main.points),
                     *(0.0 if entry is None else entry.bd_rate_percent for entry in comparisons),
                     *(_ms_ssim_of(entry, test) for entry in comparisons)))
    named = [f"anchor{index}: {anchor.label} ({anchor.origin})." for index, anchor in enumerate(anchors, start=1)]
    notes = [BD_NOTE, CONVENTION, *named, "Reasons for N/A, overlaps and means over single images are in the table "
             "of each anchor."]
    table = _table("bd_rate", "BD-rate of averaged curves, PSNR and MS-SSIM", tuple(columns), rows, list(tests), coverage,
                   notes, "; ".join(anchor.label for anchor in anchors))
    return table.without_empty_columns()


def _ms_ssim_of(comparison: Comparison | None, test: Subject) -> float | None:
    if comparison is None:
        return 0.0 if "ms_ssim_db" in test.curves else None
    return comparison.ms_ssim_percent


def _table(name: str, subject: str, columns: tuple[Column, ...], rows: list[tuple[Cell, ...]],
           tests: Sequence[Subject], coverage: Coverage, notes: list[str], anchor: str) -> Table:
    measured = sum(test.origin == MEASURED for test in tests)
    headings = ((measured, PUBLISHED_HEADING),) if measured < len(tests) else ()
    if coverage.miniatures:
        notes = [*notes, MINIATURE_NOTE]
    constants = (("dataset", coverage.dataset), ("coverage", coverage.text), ("anchor", anchor),
                 ("convention", f"{BD_NOTE} {CONVENTION}"))
    return Table(name, f"{subject}: {coverage.heading}", columns, tuple(rows), tuple(notes), coverage.warnings,
                 headings, constants)
