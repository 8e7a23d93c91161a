"""Published rate-distortion curves: what is known, where it is from, and files of curves in and out.

Every curve says its source and convention. The VVC anchors that tables use are marked in the list. Curves
that you import are kept under results/DATASET/published/ and join that dataset's comparisons.

Examples:
  python -m bench anchors list kodak
  python -m bench anchors show kodak hpcm-base-mse
  python -m bench anchors check
  python -m bench anchors import mine.json --dataset kodak --name mine --source "our paper, table 2"
  python -m bench anchors export results/kodak/jpeg.jsonl --out jpeg.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands.arguments import add_results_argument, parse_metric


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions of ``anchors``."""
    parser.set_defaults(action=None, parser=parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="list the curves, of one dataset or of all")
    listing.add_argument("dataset", nargs="?", metavar="DATASET")
    showing = actions.add_parser("show", help="show one curve with its provenance")
    showing.add_argument("dataset", metavar="DATASET")
    showing.add_argument("name", metavar="NAME")
    actions.add_parser(
        "check", help="rebuild the BD-rates that the HPCM paper states against VTM-22.0",
        description="Rebuild the BD-rates that the HPCM paper states against VTM-22.0. "
                    "Exit status 1 if one differs by more than its tolerance.")
    importing = actions.add_parser(
        "import", help="add a curve of yours: CompressAI's JSON, or a table (bpp, psnr, ms_ssim)")
    importing.add_argument("file", type=Path, metavar="FILE")
    importing.add_argument("--dataset", required=True, metavar="D", help="dataset of the points")
    importing.add_argument("--name", required=True, metavar="N", help="short name, becomes the file's name")
    importing.add_argument("--source", required=True, metavar="TEXT", help="where the values are from")
    importing.add_argument("--label", metavar="TEXT", help="how tables call it (default: the name in FILE)")
    importing.add_argument("--force", action="store_true", help="replace a curve of that name")
    exporting = actions.add_parser("export", help="average stored rows into a file in CompressAI's shape")
    exporting.add_argument("rows", metavar="ROWS", help="a .jsonl file of rows")
    exporting.add_argument("--name", metavar="N", help="codec to take, where ROWS holds several")
    exporting.add_argument("--metric", type=parse_metric, default="psnr", metavar="METRIC",
                           help="quality that every image must have to count (default: %(default)s)")
    exporting.add_argument("--out", type=Path, required=True, metavar="FILE")
    for action in (listing, showing, importing):
        add_results_argument(action)  # imported curves are kept beside the rows
