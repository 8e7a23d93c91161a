"""Everything that is compared on one dataset: its curves, and each codec against each anchor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.datasets.catalogue import load_catalogue
from bench.metrics.quality import headline_metrics
from bench.reports.rate.bd_tables import compare_with_anchors
from bench.reports.rate.comparison import AnchorComparisons, group_by_codec
from bench.reports.rate.coverage import Coverage, coverage_of
from bench.reports.rate.curves import ReportCurve, measured_curves, reference_curves
from bench.results.labels import label_selection
from bench.results.row_selection import Selection
from bench.results.stored import StoredResults


@dataclass(frozen=True)
class ComparedDataset:
    """One dataset with all that reports compare on it.

    Attributes:
        selection: its chosen rows, labelled as reports call their codecs.
        measured: curves of these rows, a curve a codec and metric.
        references: anchors, published and imported curves.
        groups: all codecs against each anchor, VVC first; empty where there is none.
    """

    selection: Selection
    coverage: Coverage
    measured: tuple[ReportCurve, ...]
    references: tuple[ReportCurve, ...]
    groups: tuple[AnchorComparisons, ...]


def compare_dataset(results: StoredResults, dataset: str) -> ComparedDataset:
    """Compare what is stored of ``dataset`` and what is published of it; ask :meth:`StoredResults.derive` for it.

    Raises:
        BenchError: a file of rows or an imported curve is damaged.
    """
    selection = results.selection(dataset)
    spec = load_catalogue().get(selection.dataset)
    total = coverage_of(selection).total or (len(spec.images) if spec else None)
    return compare_selection(selection, reference_curves(selection.dataset, results.root, total))


def compare_selection(selection: Selection, references: Sequence[ReportCurve]) -> ComparedDataset:
    """Compare the curves of ``selection`` and ``references``."""
    selection = label_selection(selection)
    coverage = coverage_of(selection)
    measured = [curve for metric in headline_metrics()
                for curve in measured_curves(selection, metric.name, coverage.total)]
    groups = compare_with_anchors(group_by_codec(measured), group_by_codec(references))
    return ComparedDataset(selection, coverage, tuple(measured), tuple(references), tuple(groups))
