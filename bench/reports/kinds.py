"""The registry of report pages: what each kind finds in stored results, how its pages are built, where they go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.common.errors import BenchError
from bench.common.files import file_name
from bench.common.registry import Registry
from bench.reports.claims.report import find_claims, make_claims_report
from bench.reports.front.report import FRONT, find_front, make_front_report
from bench.reports.latency.report import make_latency_report
from bench.reports.page.files import WrittenReport, write_report
from bench.reports.page.pages import Link, Report
from bench.reports.rate.report import make_rate_report
from bench.reports.training.report import find_trainings, make_training_report
from bench.results.stored import StoredResults
from bench.training.search.record import RECORD_NAME, read_trials
from bench.training.search.trials import analyse_trials

SEARCH = "search"  # folder of stored results that holds a folder for each search


@dataclass(frozen=True)
class ReportKind:
    """One kind of report.

    Attributes:
        find: names of what results hold, for each of which there is a page.
        build: the page of such a name.
        folder: of a page within that of reports; {} stands for the page's name.
        verb: the command that measures what the pages show.
        title: of such a page on the front page; {} stands for the page's name.
        about: a line on what it shows.
        inputs: files and folders that such a page is made from, beside the suite's own.
    """

    find: Callable[[StoredResults], list[str]]
    build: Callable[[StoredResults, str], Report]
    folder: str
    verb: str
    title: str = ""
    about: str = ""
    inputs: Callable[[StoredResults, str], Iterable[Path]] = lambda results, name: (results.root,)


def find_searches(results: StoredResults) -> list[str]:
    """Return the names of the folders in that of searches that hold trials."""
    folder = results.root / SEARCH
    return sorted({path.relative_to(folder).parts[0] for path in folder.rglob(RECORD_NAME)})


def make_stored_search_report(results: StoredResults, name: str) -> Report:
    """Return the report of the trials in one folder.

    Raises:
        ConfigurationError: there is none, or one is damaged.
    """
    from bench.reports.search.report import make_search_report  # Optuna, which draws its figures, is an extra

    return make_search_report(analyse_trials(read_trials(results.root / SEARCH / name)), name)


def make_stored_front_report(results: StoredResults, name: str = FRONT) -> Report:
    """Return the front page, which links every page that there is of other kinds.

    Raises:
        BenchError: something stored is damaged.
    """
    kinds = ((kind, entry) for kind in REPORTS if (entry := REPORTS.get(kind)).title)
    links = [Link(place_report(kind, page), entry.title.format(page), entry.about)
             for kind, entry in kinds for page in entry.find(results)]
    return make_front_report(results, links)


def place_report(kind: str, name: str) -> str:
    """Return the folder of a page within that of reports."""
    return REPORTS.get(kind).folder.format(file_name(name))


REPORTS: Registry[ReportKind] = Registry("kind of report")
REPORTS.add("rate", ReportKind(
    lambda results: results.datasets, make_rate_report, "{}", "assess", "Rate and distortion on {}",
    "curves, BD-rates against every anchor with their details, single images, what was measured with what"))
REPORTS.add("latency", ReportKind(
    lambda results: results.devices, make_latency_report, "latency/{}", "profile", "Costs on {}",
    "encode and decode times in turns with the baseline, stages, memory, parameters, operations"))
REPORTS.add("training", ReportKind(
    find_trainings, make_training_report, "training", "train", "Trainings",
    "what the logged trainings came to, and their losses step by step"))
REPORTS.add("search", ReportKind(
    find_searches, make_stored_search_report, "search/{}", "search", "Search {}",
    "trials of hyper-parameters and which of these matter"))
REPORTS.add("claims", ReportKind(
    find_claims, make_claims_report, "claims", "assess", "Claims",
    "what the authors of the variants say, a verdict on each with the numbers that decide it"))
REPORTS.add(FRONT, ReportKind(find_front, make_stored_front_report, "", "assess"))


def build_reports(kind: str, results: StoredResults, reports_dir: Path,
                  names: Iterable[str] = (), *, formats: Collection[str] = ()) -> Iterator[WrittenReport]:
    """Write the pages of one kind, all or those of ``names``; the same rows and logs give the same bytes.

    Args:
        formats: of figures beside PNG, such as "svg".

    Returns:
        each report as it stands in its folder.

    Raises:
        BenchError: there is nothing to show, something stored is damaged, or a folder can't be written.
    """
    entry = REPORTS.get(kind)
    chosen = list(names) or entry.find(results)
    if not chosen:
        raise BenchError(f"{results.root} holds nothing for a report of {kind}",
                         f"measure some first: python -m bench {entry.verb} --help")
    for name in chosen:
        yield write_report(entry.build(results, name), reports_dir / place_report(kind, name), formats)
