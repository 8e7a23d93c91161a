"""Rebuild tables, plots and the HTML page from stored rows; needs neither models nor images.

Each dataset gets a folder with README.md, index.html (one page that holds everything), figures/ (PNG, SVG)
and tables/ (CSV, Markdown, LaTeX). The same rows give the same files.

Examples:
  python -m bench report
  python -m bench report --dataset kodak --reports /tmp/reports
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.errors import EXIT_DONE, BenchError
from bench.folders import default_folder

DETAILS = ("origin", "points", "bpp_y", "bpp_z", "bpp_header", "bpp_estimated", "actual_over_estimated",
           "psnr_y_db", "psnr_cb_db", "psnr_cr_db", "ms_ssim", "warnings")  # left to the files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``report``."""
    parser.add_argument("--dataset", nargs="+", metavar="NAME", help="default: every dataset that has rows")
    parser.add_argument("--results", type=Path, default=default_folder("results"), metavar="DIR",
                        help="where the rows are (default: BENCH_RESULTS, else results/)")
    parser.add_argument("--reports", type=Path, default=default_folder("reports"), metavar="DIR",
                        help="where to write (default: BENCH_REPORTS, else reports/)")


def run(args: argparse.Namespace) -> int:
    """Build the reports, print each main BD-rate table and the paths written."""
    from bench.reports.build import make_report, write_report
    from bench.reports.render import to_text

    datasets = args.dataset or datasets_with_rows(args.results)
    if not datasets:
        raise BenchError(f"there are no rows in {args.results}",
                         "measure some first: python -m bench evaluate --help")
    for dataset in datasets:
        report = make_report(dataset, args.results)
        paths = write_report(report, args.reports)
        for warning in report.warnings:
            print(f"warning: {warning}")
        print(to_text(report.main_table, leave_out=DETAILS))
        print(f"\nwrote {len(paths)} files; to read: {paths[0]} or {paths[0].with_name('index.html')}\n")
    return EXIT_DONE


def datasets_with_rows(results: Path) -> list[str]:
    """Return the names of the folders in ``results`` that hold rows."""
    return sorted({path.parent.name for path in results.glob("*/*.jsonl") if path.stat().st_size})
