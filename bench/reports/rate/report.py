"""The report of one dataset: what its codecs cost in rate, and what quality they give for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter

from bench.common.errors import BenchError
from bench.common.text import format_count, suggest_name
from bench.curves.anchors.catalogue import find_published
from bench.metrics.quality import headline_metrics
from bench.reports.page.figures import Figure
from bench.reports.page.pages import Report, Section
from bench.reports.page.render import to_csv
from bench.reports.page.table import group_records
from bench.reports.rate.bd_tables import bd_tables
from bench.reports.rate.compared import ComparedDataset, compare_dataset, compare_selection
from bench.reports.rate.coverage import CONVENTION, Coverage
from bench.reports.rate.curves import PUBLISHED, ReportCurve
from bench.reports.rate.images import extreme_table, image_table
from bench.reports.rate.miniature_plots import find_miniatures, plot_miniatures
from bench.reports.rate.plots import CurveStyle, find_low_rate_limit, plot_rd_curves, styles_of
from bench.reports.rate.reproduction import describe_reproduction, reproduction_table
from bench.reports.rate.tables import failure_table, provenance_table, summary_table
from bench.results.labels import BASE_MINIATURE, MINIATURE_NOTE
from bench.results.reproductions import Reproduction
from bench.results.row_selection import Selection
from bench.results.stored import StoredResults

INCOMPLETE = ("The set is not complete or not the original one: figures from here can't be compared with published "
              "ones.")
IMAGE_FILE = "tables/per_image.csv"


def make_rate_report(results: StoredResults, dataset: str) -> Report:
    """Return the report of ``dataset`` from its stored rows and the curves shipped with the suite.

    Raises:
        BenchError: there are no rows of it, or an imported curve is damaged.
    """
    compared = results.derive(compare_dataset, dataset)
    if not compared.selection.rows:
        command = f"measure some first: python -m bench assess {dataset}"
        raise BenchError(f"there are no rows of '{dataset}' in {results.root}",
                         suggest_name(dataset, results.datasets, command))
    return assemble_compared(compared, results.reproductions(dataset))


def assemble_report(selection: Selection, references: Sequence[ReportCurve]) -> Report:
    """Make the report of a selection and of ``references``."""
    return assemble_compared(compare_selection(selection, references))


def assemble_compared(compared: ComparedDataset, reproductions: Sequence[Reproduction] = ()) -> Report:
    """Make all tables and figures of a dataset."""
    selection, coverage, references = compared.selection, compared.coverage, compared.references
    bd = bd_tables(compared.groups, coverage)
    again = [reproduction_table(reproductions, coverage.heading)] if reproductions else []
    figures = _list_figures(compared.measured, references, coverage)

    sections = (
        Section("BD-rate", tables=tuple(bd[:1])),
        Section("Rate-distortion curves", figures=tuple(figures)),
        Section("BD-rate against each anchor", tables=tuple(bd[1:])),
        Section("Summary of every codec", tables=(summary_table(selection, coverage),)),
        Section("Failures", tables=(failure_table(selection, coverage),)),
        Section("What was measured with what", tables=(provenance_table(selection, coverage),)),
        Section("Measured again", tables=tuple(again)),
        Section("Single images", tables=(extreme_table(selection, coverage),), collapsed=True,
                text=(f"Every image at every rate point, {format_count(len(selection.rows), 'row')}: {IMAGE_FILE}",)),
    )
    intro = (MINIATURE_NOTE if coverage.miniatures else "", f"Dataset: {coverage.heading}.", coverage.note,
             "" if coverage.complete else INCOMPLETE, CONVENTION, describe_reproduction(reproductions))
    sources = dict.fromkeys(f"{curve.label}: {curve.source}" for curve in references if curve.source)
    return Report(coverage.dataset, f"Rate-distortion report: {coverage.heading}", "bd_rate" if bd else "summary",
                  intro, sections, coverage.warnings, tuple(sources),
                  files={IMAGE_FILE: to_csv(image_table(selection, coverage)).encode()})


def _list_figures(measured: Sequence[ReportCurve], references: Sequence[ReportCurve],
                  coverage: Coverage) -> list[Figure]:
    """Return the figures of every metric that has plots."""
    shown = find_published(coverage.dataset).plotted
    curves = [*measured, *(curve for curve in references if curve.origin != PUBLISHED or curve.name in shown)]
    styles = styles_of(curves)
    by_metric = group_records(curves, attrgetter("metric"))
    return [figure for metric in headline_metrics() if metric.name in by_metric
            for figure in _list_figures_of_metric(f"rd_{metric.slug}", by_metric[metric.name], coverage, styles)]


def _list_figures_of_metric(stem: str, curves: Sequence[ReportCurve], coverage: Coverage,
                            styles: dict[str, CurveStyle]) -> list[Figure]:
    """Return the curves of one metric, whole and at low rates; miniatures in their panels."""
    miniatures = find_miniatures(curves)
    curves = [curve for curve in curves if curve not in miniatures or curve.name == BASE_MINIATURE]
    limit = find_low_rate_limit(curves)
    views = {stem: None, f"{stem}_low_rate": limit} if limit else {stem: None}
    figures = [plot_rd_curves(name, curves, coverage, styles, view) for name, view in views.items()]
    if not miniatures:
        return figures

    more = f" Other miniatures are in the panels of {stem}_miniatures."
    return [*(replace(figure, caption=figure.caption + more) for figure in figures),
            plot_miniatures(f"{stem}_miniatures", miniatures, coverage)]
