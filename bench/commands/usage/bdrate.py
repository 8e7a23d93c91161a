"""BD-rate and BD-quality of curve B against the anchor A. BD-rate is negative where B needs fewer bits.

A and B are any of:
  FILE.jsonl             stored rows; FILE.jsonl#NAME where it holds several codecs
  FILE.json              CompressAI's shape
  FILE.csv, .tsv, .txt   columns bpp, psnr, ms_ssim (linear), or as another metric spells its own
  DATASET/NAME           a published or imported curve, see "python -m bench anchors list"
  DATASET/anchor         the suite's VVC anchor; DATASET/strict-anchor is the strict one

Two numbers are given for each: of the averaged curves, and, where both sides know single images, the mean
over the images, which is another number; with PCHIP their intervals over images too, the median, and how far one
image left out moves the averaged curves. Nothing is extrapolated. MS-SSIM is the mean of each image's dB; where
one side gives only the mean of linear values, that mean in dB on both sides; a warning says so.

Examples:
  python -m bench bdrate kodak/anchor kodak/hpcm-base-mse
  python -m bench bdrate kodak/anchor results/kodak/vvenc.jsonl --metric ms-ssim
  python -m bench bdrate old.csv new.json --method all --min-overlap 0.25

Exit status: 0, 1 if no number can be given, 2 if A or B can't be read.
"""

from __future__ import annotations

import argparse

from bench.commands.arguments import add_results_argument, parse_metric


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``bdrate``."""
    parser.add_argument("anchor", metavar="A", help="the anchor, what is compared with")
    parser.add_argument("test", metavar="B", help="the curve that is judged")
    parser.add_argument("--metric", type=parse_metric, default="psnr", metavar="METRIC",
                        help="quality (default: %(default)s)")
    parser.add_argument("--method", type=_parse_method, default="pchip", metavar="METHOD",
                        help="interpolation, or all of them (default: %(default)s)")
    parser.add_argument("--min-overlap", type=float, metavar="SHARE",
                        help="common part of the union of both ranges, 0 to 1, below which no number is "
                             "given (default: half)")
    add_results_argument(parser)


def _parse_method(text: str) -> str:
    """An interpolation, or all of them."""
    from bench.metrics import METHODS

    if text != "all":
        METHODS.get(text)  # raises where there is none
    return text
