"""The latency report of a device: rows in, a folder of files out."""

from __future__ import annotations

from collections.abc import Sequence

from bench.claims.judgement import judge_results
from bench.claims.result import Judgement
from bench.common.errors import BenchError
from bench.reports.latency.costs import complexity_table, memory_slope_table, memory_table
from bench.reports.latency.device import PROTOCOL, MeasuredDevice, load_warnings
from bench.reports.latency.plots import plot_rate_against_time, plot_stages
from bench.reports.latency.rates import RatePlot, compare_rates
from bench.reports.latency.stages import stage_values_table, stages_table
from bench.reports.latency.tables import (
    claims_table,
    configurations_table,
    earlier_table,
    failures_table,
    latency_table,
    sessions_table,
    timings_table,
)
from bench.reports.page.pages import Report, Section
from bench.results.labels import MINIATURE_NOTE
from bench.results.latency_selection import BASE
from bench.results.stored import StoredResults

NO_SCATTER = ("There is no plot of rate saving against decode time: fewer than two of the variants timed here have a "
              "BD-rate on Kodak, from stored rows or from a published curve of the same model.")


def make_latency_report(results: StoredResults, device: str) -> Report:
    """Return the report of one device.

    Args:
        device: name of the folder of its rows.

    Raises:
        BenchError: the folder holds no row that this version reads, or claims.yaml is wrong.
    """
    selection = results.latencies(device)
    if not selection.stored:
        raise BenchError(f"there are no rows of '{device}' in {results.root}",
                         "measure some first: python -m bench profile")
    measured = MeasuredDevice.from_selection(selection)
    judgements = results.derive(judge_results).judgements
    return assemble_latency(device, measured, judgements, compare_rates(measured, results))


def assemble_latency(name: str, device: MeasuredDevice, judgements: Sequence[Judgement], rates: RatePlot) -> Report:
    """Make all tables and figures.

    Args:
        name: of the report's folder.
        rates: BD-rates of timed variants, for the plot of rate saving against decode time.
    """
    bars = plot_stages(device)
    scatter = (plot_rate_against_time(device, rates),) if rates.enough else ()
    configurations = configurations_table(device)

    no_base = (f"{BASE} was not measured here, so that there are no ratios to it: python -m bench profile {BASE} with "
               "the variants to compare.")
    intro = (PROTOCOL, "" if device.has_base else no_base, "" if rates.enough else NO_SCATTER,
             MINIATURE_NOTE if any(row.miniature for row in device.selection.stored) else "")
    sections = (
        Section("Latency", (latency_table(device),)),
        Section("Stages", (stages_table(device),), (bars,) if bars else ()),
        Section("Memory", (memory_table(device), memory_slope_table(device))),
        Section("Complexity", (complexity_table(device),)),
        Section("Configurations", (configurations,) if configurations else ()),
        Section("Rate saving against decode time", figures=scatter),
        Section("What the authors claim", (claims_table(device, judgements),)),
        Section("Failures", (failures_table(device),)),
        Section("Every number", (timings_table(device), stage_values_table(device)), collapsed=True),
        Section("Sessions and earlier measurements", (sessions_table(device), earlier_table(device)), collapsed=True),
    )
    return Report(name, f"Latency, memory and complexity: {device.name}", "latency", intro, sections,
                  load_warnings(device.selection.rows))
