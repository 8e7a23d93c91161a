"""Measure a sample of stored rows again on this machine, and say whether they come out alike.

Of each codec and rate point a few pictures are coded again, rows that other machines stored first. A learned codec may
differ by what adding floating-point numbers in another order does to single latents; a classical one gives the same
bytes, unless its library is of another version than the stored one. More than that is an error that names the row.
Rows of before their files' digests were stored are compared by size, decoded pixels and quality. What comes out is
stored in results/reproduction and shown in the dataset's report; stored rows stay as they are.

Examples:
  python -m bench reproduce kodak --plan
  python -m bench reproduce kodak
  python -m bench reproduce kodak --images 1 --codecs jpeg,hpcm_base_mini

Exit status: 0, 1 if a row differs by more or can't be measured, 2 if there is nothing to measure again.
"""

from __future__ import annotations

import argparse

from bench.commands.arguments import add_results_argument, add_torch_arguments, parse_positive, split_names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("dataset", metavar="NAME|FOLDER",
                        help="a set of datasets.yaml (`python -m bench datasets list`), or a folder of images")
    parser.add_argument("--images", type=parse_positive, default=3, metavar="N",
                        help="pictures of each codec and rate point (default: %(default)s)")
    parser.add_argument("--codecs", type=split_names, default=["all"], metavar="A,B,...",
                        help="codecs, variants, or the groups all, classical, learned (default: all)")
    parser.add_argument("--points", type=split_names, default=[], metavar="P,Q,...",
                        help="only these rate points (default: all)")
    parser.add_argument("--allow-partial", action="store_true", help="choose from the pictures that are here")
    parser.add_argument("--plan", action="store_true", help="print the plan and stop")
    add_torch_arguments(parser)
    parser.add_argument("--jobs", type=parse_positive, default=1, metavar="N",
                        help="codecs and rate points measured at the same time (default: 1)")
    add_results_argument(parser)
