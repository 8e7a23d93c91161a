"""Compute quality metrics of decoded pictures, without coding anything.

  python -m bench score originals/ decoded/ --metrics psnr,ms-ssim    pairs of pictures by file name
  python -m bench score --dataset kodak --streams kept/ --codecs jpeg  what stored rows lack, from kept files

Two folders are paired by file name without its suffix. Kept files are those of `evaluate --keep-streams`; a file counts
only if it decodes to the very picture that the row was measured on, and the row then gains the metrics it lacks.

Exit status: 0 done, 1 something has no value or no kept file, 2 bad input.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands.arguments import add_device_argument, add_results_argument
from bench.commands.usage.evaluate import add_codec_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="originals, then decoded pictures")
    add_codec_arguments(parser)
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write the values of every pair there")
    parser.add_argument("--dataset", metavar="NAME|FOLDER", help="the set whose stored rows are completed")
    parser.add_argument("--streams", type=Path, metavar="FOLDER", help="files kept by `evaluate --keep-streams`")
    add_device_argument(parser)
    add_results_argument(parser)
