"""Rebuild tables, plots and the HTML page from stored rows; needs neither models nor images.

Each dataset gets a folder with README.md, index.html (one page that holds everything), figures/ (PNG, SVG)
and tables/ (CSV, Markdown, LaTeX), and so do each device in latency/, training/ and claims/. The same rows and logs
give the same files.

Examples:
  python -m bench report
  python -m bench report --dataset kodak --reports /tmp/reports
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bench.common.errors import EXIT_DONE, BenchError
from bench.common.folders import BASELINE, default_folder

if TYPE_CHECKING:
    from bench.reports.page.pages import Report

DETAILS = ("origin", "points", "bpp_y", "bpp_z", "bpp_header", "bpp_estimated", "actual_over_estimated",
           "psnr_y_db", "psnr_cb_db", "psnr_cr_db", "ms_ssim", "warnings", "learning_rate", "start",
           "best_held_out_loss", "best_held_out_bpp", "best_held_out_psnr_db")  # left to the files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``report``."""
    parser.add_argument("--dataset", nargs="+", metavar="NAME",
                        help="default: all that have rows, latency, trainings and claims")
    parser.add_argument("--results", type=Path, default=default_folder("results"), metavar="DIR",
                        help="where the rows are (default: BENCH_RESULTS, else results/)")
    parser.add_argument("--reports", type=Path, default=default_folder("reports"), metavar="DIR",
                        help="where to write (default: BENCH_REPORTS, else reports/)")


def run(args: argparse.Namespace) -> int:
    """Build the reports, print each main table and the paths written."""
    from bench.commands.claims import judged
    from bench.reports.claims.report import build_claims_report
    from bench.reports.latency.report import latency_folders, make_latency_report, write_latency_report
    from bench.reports.rate.build import make_report, write_report
    from bench.reports.training.report import make_training_report, write_training_report
    from bench.results.training_logs import read_trainings

    datasets = args.dataset or datasets_with_rows(args.results)
    devices = [] if args.dataset else latency_folders(args.results)
    trainings = [] if args.dataset else read_trainings(args.results)
    if not datasets and not devices and not trainings:
        raise BenchError(f"there are no rows in {args.results}",
                         "measure some first: python -m bench evaluate --help")
    claims = None if args.dataset else judged(args.results)
    for dataset in datasets:
        report = make_report(dataset, args.results)
        _announce(report, write_report(report, args.reports))
    for folder in devices:
        report = make_latency_report(folder, args.results, claims.judgements)
        _announce(report, write_latency_report(report, args.reports))
    if trainings:
        report = make_training_report(trainings)
        _announce(report, write_training_report(report, args.reports))
    if claims is not None:
        files = build_claims_report(claims, args.reports / "claims")
        print(f"claims: wrote {len(files)} files; to read: {files[0]}")
    return EXIT_DONE


def _announce(report: Report, paths: list[Path]) -> None:
    from bench.reports.page.render import to_text

    for warning in report.warnings:
        print(f"warning: {warning}")
    print(to_text(report.main_table, leave_out=DETAILS))
    print(f"\nwrote {len(paths)} files; to read: {paths[0]} or {paths[0].with_name('index.html')}\n")


def datasets_with_rows(results: Path) -> list[str]:
    """Return the names of the folders in ``results`` that hold rows of images."""
    names = {path.parent.name for path in results.glob("*/*.jsonl") if path.stat().st_size}
    return sorted(names - {BASELINE})
