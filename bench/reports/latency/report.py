"""The latency report of a device: rows in, a folder of files out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.claims.catalogue import load_claims
from bench.claims.judgement import judge_all
from bench.claims.result import Judgement
from bench.common.errors import BenchError
from bench.reports.latency import plots as latency_plots
from bench.reports.latency import stages as latency_stages
from bench.reports.latency import tables as latency_tables
from bench.reports.latency.costs import complexity, memory, memory_slope
from bench.reports.latency.rates import RatePlot, rate_points
from bench.reports.latency.sessions import earlier, sessions
from bench.reports.latency.text import PROTOCOL, Context, context_of, load_warnings
from bench.reports.page.canvas import COLUMN, WIDE, Figure
from bench.reports.page.files import write_folder
from bench.reports.page.pages import Report, Section
from bench.reports.rate.build import contents_of
from bench.results.labels import MINIATURE_NOTE
from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import BASE, select_latency
from bench.results.store import read_rows
from bench.variants import load_variants, trained_otherwise

LATENCY = "latency"  # folder within those of results and of reports
FEWEST_POINTS = 2  # of a scatter


def build_latency_report(results_dir: Path, reports_dir: Path) -> list[Path]:
    """Write ``reports_dir/latency/<device>/`` for every device that has rows in ``results_dir/latency``.

    Returns:
        the files written, README.md of each device first; the same rows give the same bytes.

    Raises:
        BenchError: there are no rows, claims.yaml is wrong, or a folder can't be written.
    """
    folders = latency_folders(results_dir)
    if not folders:
        raise BenchError(f"there are no latency rows in {results_dir}", "measure some first: python -m bench profile")
    same_cost = trained_otherwise(load_variants().values())
    judgements = judge_all(load_claims().values(), results_dir, same_cost).judgements
    return [path for folder in folders
            for path in write_latency_report(make_latency_report(folder, results_dir, judgements), reports_dir)]


def latency_folders(results_dir: Path) -> list[Path]:
    """The folders of devices that have rows."""
    files = (Path(results_dir) / LATENCY).glob("*/*.jsonl")
    return sorted({path.parent for path in files if path.stat().st_size})


def make_latency_report(folder: Path, results_dir: Path, judgements: Sequence[Judgement]) -> Report:
    """Return the report of one device's folder without writing it.

    Args:
        judgements: of all claims, from which the report takes those of cost on this device.

    Raises:
        BenchError: the folder holds no row that this version reads.
    """
    rows = [row for path in sorted(folder.glob("*.jsonl")) for row in read_rows(path, LatencyRow)]
    if not rows:
        raise BenchError(f"{folder} holds no latency rows", "measure some first: python -m bench profile")
    context = context_of(select_latency(rows))
    return assemble(folder.name, context, judgements, rate_points(context, Path(results_dir)))


def write_latency_report(report: Report, reports_dir: Path) -> list[Path]:
    """Write the folder of ``report`` and return the files' paths, README.md first."""
    return write_folder(Path(reports_dir) / LATENCY / report.name, contents_of(report))


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
