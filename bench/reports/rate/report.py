"""The report of one dataset: what its codecs cost in rate, and what quality they give for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.common.errors import BenchError
from bench.curves.anchors.catalogue import find_published
from bench.metrics.quality import headline_metrics
from bench.reports.page.canvas import COLUMN, WIDE, Figure
from bench.reports.page.pages import Report, Section
from bench.reports.rate import plots, tables
from bench.reports.rate.bd_tables import bd_tables
from bench.reports.rate.comparison import group_by_codec
from bench.reports.rate.coverage import CONVENTION, Coverage, coverage_of
from bench.reports.rate.curves import PUBLISHED, ReportCurve, measured_curves
from bench.reports.rate.miniature_plots import find_miniatures, plot_miniatures
from bench.reports.rate.references import reference_curves
from bench.results.labels import BASE, MINIATURE_NOTE, label_selection
from bench.results.row_selection import Selection
from bench.results.stored import StoredResults


def make_rate_report(results: StoredResults, dataset: str) -> Report:
    """Return the report of ``dataset`` from its stored rows and the curves shipped with the suite.

    Raises:
        BenchError: there are no rows of it, or an imported curve is damaged.
    """
    selection = results.selection(dataset)
    if not selection.rows:
        raise BenchError(f"there are no rows of '{dataset}' in {results.root}",
                         f"measure some first: python -m bench evaluate --dataset {dataset}")
    total = coverage_of(selection).total
    return assemble(selection, reference_curves(selection.dataset, results.root, total))


def assemble(selection: Selection, references: Sequence[ReportCurve], *, with_plots: bool = True) -> Report:
    """Make all tables of a selection, and the figures unless ``with_plots`` is False, which is quicker."""
    selection = label_selection(selection)
    coverage = coverage_of(selection)
    measured = [curve for metric in headline_metrics()
                for curve in measured_curves(selection, metric.name, coverage.total)]
    bd = bd_tables(group_by_codec(measured), group_by_codec(references), coverage)
    used = dict.fromkeys(f"{curve.label}: {curve.source}" for curve in references if curve.source)
    figures = _figures(measured, references, coverage) if with_plots else []
    sections = [Section("Rate-distortion curves", figures=tuple(figures))] if figures else []
    if bd:
        sections.insert(0, Section("BD-rate", tables=(bd[0],)))
        sections.append(Section("BD-rate against each anchor", tables=tuple(bd[1:])))
    sections += [
        Section("Summary of every codec", tables=(tables.summary_table(selection, coverage),)),
        Section("Failures", tables=(tables.failure_table(selection, coverage),)),
        Section("What was measured with what", tables=(tables.provenance_table(selection, coverage),)),
        Section("Single images", tables=(tables.image_table(selection, coverage),), collapsed=True),
    ]
    return Report(coverage.dataset, f"Rate-distortion report: {coverage.heading}", "bd_rate" if bd else "summary",
                  _intro(coverage), tuple(sections), coverage.warnings, tuple(used))


def _intro(coverage: Coverage) -> tuple[str, ...]:
    lines = [MINIATURE_NOTE] if coverage.miniatures else []
    lines.append(f"Dataset: {coverage.heading}.")
    if coverage.note:
        lines.append(coverage.note)
    if not coverage.complete:
        lines.append("The set is not complete or not the original one: figures from here can't be compared "
                     "with published ones.")
    return (*lines, CONVENTION)


def _figures(measured: Sequence[ReportCurve], references: Sequence[ReportCurve],
             coverage: Coverage) -> list[Figure]:
    """Return the plots of both metrics, whole and low-rate, wide and for a paper's column."""
    shown = find_published(coverage.dataset).plotted
    plotted = [curve for curve in references if curve.origin != PUBLISHED or curve.name in shown]
    curves = [*measured, *plotted]
    styles = plots.styles_of(curves)
    figures = []
    for metric in headline_metrics():
        stem = f"rd_{metric.name.replace('-', '_')}"
        chosen = [curve for curve in curves if curve.metric == metric.name]
        if not chosen:
            continue
        small = find_miniatures(chosen)
        chosen = [curve for curve in chosen if curve not in small or curve.name == BASE]
        limit = plots.find_low_rate_limit(chosen)
        views = [(stem, None)] + ([(f"{stem}_low_rate", limit)] if limit else [])
        more = f" Other miniatures are in the panels of {stem}_miniatures." if small else ""
        drawn = [plots.plot_rd_curves(name, chosen, coverage, layout, styles, view)
                 for name, view in views for layout in (WIDE, COLUMN)]
        figures += [replace(figure, caption=figure.caption + more) for figure in drawn]
        figures += [plot_miniatures(f"{stem}_miniatures", small, coverage)] if small else []
    return figures
