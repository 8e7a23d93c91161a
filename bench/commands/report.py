"""Rebuilds reports from stored rows."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from bench.commands.arguments import open_results
from bench.commands.leftovers import merge_leftovers
from bench.common.errors import EXIT_DONE, BenchError
from bench.results.stored import StoredResults


def run(args: argparse.Namespace) -> int:
    """Build the reports, print the summary of each and where it can be read."""
    from bench.reports.kinds import REPORTS, build_reports

    merge_leftovers(args.results)
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
