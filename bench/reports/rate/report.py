"""The report of one dataset: what its codecs cost in rate, and what quality they give for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.common.errors import BenchError
from bench.curves.anchors.catalogue import find_published
from bench.metrics.quality import headline_metrics
from bench.metrics.rate.curves import MINIMUM_POINTS
from bench.reports.page.canvas import COLUMN, WIDE, Figure
from bench.reports.page.pages import Report, Section
from bench.reports.page.table import Table
from bench.reports.rate import plots, tables
from bench.reports.rate.bd_tables import bd_detail, bd_overview
from bench.reports.rate.comparison import Subject, compare, subjects_of
from bench.reports.rate.coverage import CONVENTION, Coverage, coverage_of
from bench.reports.rate.curves import ANCHOR, PUBLISHED, ReportCurve, measured_curves
from bench.reports.rate.miniature_plots import miniature_panels, miniatures_of
from bench.reports.rate.references import HPCM_BASE_PUBLISHED, reference_curves
from bench.results.labels import MINIATURE_NOTE, label_selection
from bench.results.row_selection import Selection
from bench.results.stored import StoredResults

HPCM_BASE, HPCM_BASE_MINI, VVENC = "hpcm_base", "hpcm_base_mini", "vvenc"


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
    bd = _bd_tables(subjects_of(measured), subjects_of(references), coverage)
    used = dict.fromkeys(f"{curve.label}: {curve.source}" for curve in references if curve.source)
    figures = _figures(measured, references, coverage) if with_plots else []
    sections = [Section("Rate-distortion curves", figures=tuple(figures))] if figures else []
    if bd:
        sections.insert(0, Section("BD-rate", tables=(bd[0],)))
        sections.append(Section("BD-rate against each anchor", tables=tuple(bd[1:])))
    sections += [
        Section("Summary of every codec", tables=(tables.summary(selection, coverage),)),
        Section("Failures", tables=(tables.failures(selection, coverage),)),
        Section("What was measured with what", tables=(tables.provenance(selection, coverage),)),
        Section("Single images", tables=(tables.per_image(selection, coverage),), collapsed=True),
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


def _bd_tables(measured: list[Subject], references: list[Subject], coverage: Coverage) -> list[Table]:
    """Return the overview and one table an anchor, or nothing where there is no anchor."""
    tests = measured + [subject for subject in references if subject.origin != ANCHOR]
    anchors = _anchors(measured, references)
    if not anchors or not tests:
        return []
    anchors = [anchor for anchor in anchors if not anchor.main.miniature or _says_something(anchor, tests)]
    details = [bd_detail(anchor, tests, coverage) for anchor in anchors]
    return [bd_overview(anchors, tests, coverage), *details]


def _says_something(anchor: Subject, tests: Sequence[Subject]) -> bool:
    """Whether any other codec has a BD-rate against ``anchor``."""
    found = (compare(anchor, test) for test in tests if test.label != anchor.label)
    return any(one.bd_rate_percent is not None or one.ms_ssim_percent is not None for one in found)


def _anchors(measured: Sequence[Subject], references: Sequence[Subject]) -> list[Subject]:
    """Return what to compare with: VVC, HPCM-Base (measured, else published), VVenC, the miniature."""
    anchors = [subject for subject in references if subject.origin == ANCHOR]
    here = {subject.name: subject for subject in measured if len(subject.main.rate) >= MINIMUM_POINTS}
    published = [subject for subject in references if subject.name == HPCM_BASE_PUBLISHED]
    if HPCM_BASE in here:
        anchors.append(here[HPCM_BASE])
    else:
        anchors += published
    return anchors + [here[name] for name in (VVENC, HPCM_BASE_MINI) if name in here]


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
        small = miniatures_of(chosen)
        chosen = [curve for curve in chosen if curve not in small or curve.name == HPCM_BASE_MINI]
        limit = plots.low_rate_limit(chosen)
        views = [(stem, None)] + ([(f"{stem}_low_rate", limit)] if limit else [])
        more = f" Other miniatures are in the panels of {stem}_miniatures." if small else ""
        drawn = [plots.rd_plot(name, chosen, coverage, layout, styles, view)
                 for name, view in views for layout in (WIDE, COLUMN)]
        figures += [replace(figure, caption=figure.caption + more) for figure in drawn]
        figures += [miniature_panels(f"{stem}_miniatures", small, coverage)] if small else []
    return figures
