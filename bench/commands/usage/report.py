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

from bench.commands.arguments import add_folder_arguments, add_strict_argument, split_names

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
