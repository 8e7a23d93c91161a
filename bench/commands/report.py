"""Rebuild tables, plots and pages from stored rows; needs neither models nor images.

Each dataset gets a folder with README.md, index.html, figures/ (PNG, as pages show them) and tables/ (CSV, Markdown,
LaTeX), and so do each device in latency/, training/ and claims/. The same rows and logs give the same files. A report
is left as it is where nothing that it is made from, and none of its files, has changed.

Examples:
  python -m bench report
  python -m bench report --dataset kodak --reports /tmp/reports
  python -m bench report --formats svg,pdf      for papers: each figure also for a page and a column, in print/
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from bench.commands.arguments import add_folder_arguments, add_strict_argument, open_results, split_names
from bench.common.errors import EXIT_DONE, BenchError
from bench.results.stored import StoredResults

FORMATS = ("svg", "pdf", "png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``report``."""
    parser.add_argument("--dataset", nargs="+", metavar="NAME",
                        help="default: all that have rows, latency, trainings and claims")
    parser.add_argument("--formats", type=parse_formats, default=[], metavar="A,B,...",
                        help=f"draw every figure in these too, for a page and for a paper's column, into the folder "
                        f"print of each report: {', '.join(FORMATS)}")
    add_strict_argument(parser)
    add_folder_arguments(parser)


def parse_formats(text: str) -> list[str]:
    """Names of formats of figures."""
    names = split_names(text)
    if unknown := [name for name in names if name not in FORMATS]:
        raise argparse.ArgumentTypeError(f"there is no format '{unknown[0]}': choose from {', '.join(FORMATS)}")
    return names


def run(args: argparse.Namespace) -> int:
    """Build the reports, print the summary of each and where it can be read."""
    from bench.reports.kinds import REPORTS, build_reports

    results = open_results(args)
    found = {"rate": args.dataset} if args.dataset else {kind: REPORTS.get(kind).find(results) for kind in REPORTS}
    if not any(found.values()):
        raise BenchError(f"there are no rows in {args.results}",
                         "measure some first: python -m bench assess --help")

    for kind, names in found.items():
        for written in build_reports(kind, results, args.reports, names, formats=args.formats) if names else ():
            print(written.summary)
            state = "unchanged" if written.unchanged else f"wrote {len(written.paths)} files"
            print(f"\n{state}; to read: {written.paths[0]} or {written.page}\n")
    return EXIT_DONE


def report_on(kind: str, results: StoredResults, reports_dir: Path, names: Iterable[str] = ()) -> None:
    """Build the reports of one kind, all or those of ``names``, and print where they can be read.

    Raises:
        BenchError: there is nothing to show, something stored is damaged, or a folder can't be written.
    """
    from bench.reports.kinds import build_reports

    pages = [str(written.page) for written in build_reports(kind, results, reports_dir, names)]
    print("report: " + ", ".join(pages), flush=True)
