"""The registry of report pages: what each kind finds in stored results, how its pages are built, where they go.

What builds a page is imported when it is built: a page that is still right is only looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.common.errors import BenchError
from bench.common.files import file_name, match_files
from bench.common.folders import BASELINE
from bench.common.registry import Registry
from bench.datasets.own_folders import is_own_folder
from bench.reports.page.inputs import digest_report
from bench.reports.page.written import WrittenReport, read_manifest
from bench.results.crosschecks import FOLDER as CROSSCHECK
from bench.results.reproductions import FOLDER as REPRODUCTION
from bench.results.stored import LATENCY, TRIAL, StoredResults

if TYPE_CHECKING:
    from bench.reports.page.pages import Link, Report

CLAIMS, FRONT, RATE = "claims", "front", "rate"
LOCAL = "local"  # what is made of a user's own folders of images, which git ignores
SEARCH, TRAINING = "search", "training"  # folders of stored results too


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
        inputs: files and folders of stored results that such a page is made from; by default all.
        of_dataset: a page's name is that of a dataset, and pages of a user's own folders go to :data:`LOCAL`.
    """

    find: Callable[[StoredResults], list[str]]
    build: Callable[[StoredResults, str], Report]
    folder: str
    verb: str
    title: str = ""
    about: str = ""
    inputs: Callable[[StoredResults, str], Iterable[Path]] = lambda results, name: (results.root,)
    of_dataset: bool = False


def _build_rate(results: StoredResults, name: str) -> Report:
    from bench.reports.rate.report import make_rate_report

    return make_rate_report(results, name)


def _build_latency(results: StoredResults, name: str) -> Report:
    from bench.reports.latency.report import make_latency_report

    return make_latency_report(results, name)


def _build_crosscheck(results: StoredResults, name: str) -> Report:
    from bench.reports.crosscheck.report import make_crosscheck_report

    return make_crosscheck_report(results, name)


def _build_training(results: StoredResults, name: str) -> Report:
    from bench.reports.training.report import make_training_report

    return make_training_report(results)


def _build_search(results: StoredResults, name: str) -> Report:
    from bench.reports.search.report import make_search_report  # Optuna, which draws its figures, is an extra
    from bench.training.search.record import read_trials
    from bench.training.search.trials import analyse_trials

    return make_search_report(analyse_trials(read_trials(results.root / SEARCH / name)), name)


def _build_claims(results: StoredResults, name: str) -> Report:
    from bench.reports.claims.report import make_claims_report

    return make_claims_report(results)


def _build_front(results: StoredResults, name: str) -> Report:
    """Return the front page, which links all pages of other kinds but those of the user's own folders."""
    from bench.reports.front.report import make_front_report

    return make_front_report(results, [link for link in _link_pages(results) if not _is_local(link.folder)])


def _build_local(results: StoredResults, name: str) -> Report:
    """Return the front page of the user's own folders, which links their pages, and the front page of all others."""
    from bench.reports.front.report import make_front_report
    from bench.reports.page.pages import Link

    own = [replace(link, folder=link.folder.removeprefix(f"{LOCAL}/")) for link in _link_pages(results)
           if _is_local(link.folder)]
    others = Link("..", "All other results", "the answer on the sets of datasets.yaml, costs and claims")
    return make_front_report(results, [*own, others], own=True)


def _link_pages(results: StoredResults) -> list[Link]:
    """Return a link to every page that there is, relative to the folder of reports."""
    from bench.reports.page.pages import Link

    kinds = ((kind, entry) for kind in REPORTS if (entry := REPORTS.get(kind)).title)
    return [Link(place_report(kind, page), entry.title.format(page), entry.about)
            for kind, entry in kinds for page in entry.find(results)]


def _is_local(folder: str) -> bool:
    return folder.startswith(f"{LOCAL}/")


def _list_shared(results: StoredResults, name: str) -> Iterator[Path]:
    """Yield what is stored, but of the user's own folders of images."""
    for path in match_files(results.root, "*"):
        if path.name in (REPRODUCTION, CROSSCHECK):
            yield from (inner for inner in match_files(path, "*") if not is_own_folder(inner.name))
        elif path.name == BASELINE or not (any(path.glob("*.jsonl")) and is_own_folder(path.name)):
            yield path


def _find_trainings(results: StoredResults) -> list[str]:
    """Return the name of the one page, where a log holds a line."""
    logs = match_files(results.root / TRAINING, "*/*.jsonl")
    return [TRAINING] if any(b"\n" in path.read_bytes() for path in logs) else []


def _find_searches(results: StoredResults) -> list[str]:
    """Return the names of the folders in that of searches that hold trials."""
    folder = results.root / SEARCH
    return sorted({path.relative_to(folder).parts[0] for path in match_files(folder, f"**/{TRIAL}")})


def _find_anything(results: StoredResults) -> bool:
    """Whether there is anything to judge claims by, or to show on a front page."""
    return bool(results.datasets or results.devices or results.crosschecked or _find_trainings(results))


def place_report(kind: str, name: str) -> str:
    """Return the folder of a page within that of reports; git ignores those of the user's own folders of images."""
    entry = REPORTS.get(kind)
    folder = entry.folder.format(file_name(name))
    return f"{LOCAL}/{folder}" if entry.of_dataset and is_own_folder(name) else folder


REPORTS: Registry[ReportKind] = Registry("kind of report")
REPORTS.add(RATE, ReportKind(
    lambda results: results.datasets, _build_rate, "{}", "assess", "Rate and distortion on {}",
    "curves, BD-rates against every anchor with their details, single images, what was measured with what",
    lambda results, name: (results.root / file_name(name), results.root / REPRODUCTION / file_name(name)),
    of_dataset=True))
REPORTS.add(LATENCY, ReportKind(
    lambda results: results.devices, _build_latency, "latency/{}", "profile", "Costs on {}",
    "encode and decode times in turns with the baseline, stages, memory, parameters, operations", _list_shared))
REPORTS.add(CROSSCHECK, ReportKind(
    lambda results: results.crosschecked, _build_crosscheck, "crosscheck/{}", "crosscheck", "Decoded elsewhere: {}",
    "whether files decode under other vector instructions, threads, devices and machines than they were encoded under",
    lambda results, name: (results.root / CROSSCHECK / file_name(name),), of_dataset=True))
REPORTS.add(TRAINING, ReportKind(
    _find_trainings, _build_training, "training", "train", "Trainings",
    "what the logged trainings came to, and their losses step by step",
    lambda results, name: (results.root / TRAINING,)))
REPORTS.add(SEARCH, ReportKind(
    _find_searches, _build_search, "search/{}", "search", "Search {}",
    "trials of hyper-parameters and which of these matter",
    lambda results, name: match_files(results.root / SEARCH / name, f"**/{TRIAL}")))
REPORTS.add(CLAIMS, ReportKind(
    lambda results: [CLAIMS] if _find_anything(results) else [], _build_claims, "claims", "assess", "Claims",
    "what the authors of the variants say, a verdict on each with the numbers that decide it", _list_shared))
REPORTS.add(FRONT, ReportKind(
    lambda results: [FRONT] if _find_anything(results) else [], _build_front, "", "assess", inputs=_list_shared))
REPORTS.add(LOCAL, ReportKind(
    lambda results: [LOCAL] if any(map(is_own_folder, results.datasets)) else [], _build_local, LOCAL, "assess"))


def build_reports(kind: str, results: StoredResults, reports_dir: Path,
                  names: Iterable[str] = (), *, formats: Collection[str] = ()) -> Iterator[WrittenReport]:
    """Write the pages of one kind, all or those of ``names``; the same rows and logs give the same bytes.

    A page is left as it is where nothing that it is made from, and none of its files, has changed.

    Args:
        formats: of figures beside what the pages show, such as "svg"; they go to the folder "print" of a page.

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
        folder = reports_dir / place_report(kind, name)
        inputs = digest_report(kind, name, results.root, entry.inputs(results, name), results.machine)
        yield read_manifest(folder).find_report(folder, inputs, formats) or _build_report(
            entry, results, name, folder, formats, inputs)


def _build_report(entry: ReportKind, results: StoredResults, name: str, folder: Path, formats: Collection[str],
                  inputs: str) -> WrittenReport:
    from bench.reports.page.files import write_report

    return write_report(entry.build(results, name), folder, formats, inputs)
