"""The latency report of a device: rows in, a folder of files out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.claims.judgement import judge_results
from bench.claims.result import Judgement
from bench.reports.latency import plots as latency_plots
from bench.reports.latency import stages as latency_stages
from bench.reports.latency import tables as latency_tables
from bench.reports.latency.costs import complexity, memory, memory_slope
from bench.reports.latency.rates import RatePlot, rate_points
from bench.reports.latency.sessions import earlier, sessions
from bench.reports.latency.text import PROTOCOL, Context, context_of, load_warnings
from bench.reports.page.canvas import COLUMN, WIDE, Figure
from bench.reports.page.pages import Report, Section
from bench.results.labels import MINIATURE_NOTE
from bench.results.latency_selection import BASE
from bench.results.stored import StoredResults

FEWEST_POINTS = 2  # of a scatter


def make_latency_report(results: StoredResults, device: str) -> Report:
    """Return the report of one device, called as the folder of its rows.

    Raises:
        BenchError: the folder holds no row that this version reads, or claims.yaml is wrong.
    """
    context = context_of(results.latencies(device))
    return assemble(device, context, results.derive(judge_results).judgements, rate_points(context, results))


def assemble(name: str, context: Context, judgements: Sequence[Judgement], rates: RatePlot | None, *,
             with_plots: bool = True) -> Report:
    """Make all tables, and the figures unless ``with_plots`` is False, which is quicker.

    Args:
        name: of the report's folder.
        rates: BD-rates of timed variants, for the scatter.
    """
    bars = [latency_plots.stage_bars(context, layout) for layout in (WIDE, COLUMN)] if with_plots else []
    scatter = _scatter(context, rates) if with_plots else []
    configurations = latency_tables.configurations(context)
    sections = [
        Section("Latency", (latency_tables.latency(context),)),
        Section("Stages", (latency_stages.stages(context),), _figures(bars)),
        Section("Memory", (memory(context), memory_slope(context))),
        Section("Complexity", (complexity(context),)),
        *([Section("Configurations", (configurations,))] if configurations else []),
        *([Section("Rate saving against decode time", figures=_figures(scatter))] if scatter else []),
        Section("What the authors claim", (latency_tables.claims_table(context, judgements),)),
        Section("Failures", (latency_tables.failures(context),)),
        Section("Every number", (latency_tables.timings(context), latency_stages.stage_values(context)),
                collapsed=True),
        Section("Sessions and earlier measurements", (sessions(context), earlier(context)), collapsed=True),
    ]
    return Report(name, f"Latency, memory and complexity: {context.device}", "latency",
                  _intro(context, rates), tuple(sections), load_warnings(context.selection.rows))


def _figures(figures: Iterable[Figure | None]) -> tuple[Figure, ...]:
    return tuple(figure for figure in figures if figure is not None)


def _scatter(context: Context, rates: RatePlot | None) -> list[Figure]:
    if not _enough(rates):
        return []
    return [latency_plots.rate_scatter(context, rates, layout) for layout in (WIDE, COLUMN)]


def _enough(rates: RatePlot | None) -> bool:
    return rates is not None and len(rates.points) >= FEWEST_POINTS


def _intro(context: Context, rates: RatePlot | None) -> tuple[str, ...]:
    lines = [PROTOCOL]
    if not context.has_base:
        lines.append(f"{BASE} was not measured here, so that there are no ratios to it: python -m bench profile {BASE} "
                     "with the variants to compare.")
    if not _enough(rates):
        lines.append("There is no plot of rate saving against decode time: fewer than two of the variants timed here "
                     "have a BD-rate on Kodak, from stored rows or from a published curve of the same model.")
    if any(row.miniature for row in context.selection.stored):
        lines.append(MINIATURE_NOTE)
    return tuple(lines)
