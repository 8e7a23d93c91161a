"""Judge what the authors of the variants claim, by the stored rows, and compare with the accepted state.

Verdicts: REPRODUCED, SUPPORTED, REFUTED, UNDECIDED, NOT MEASURED, INVALID, each with the numbers that decide it.
Exits with 1 when a measured number got worse beyond its uncertainty, a verdict fell or a row vanished since the
accepted state (results/baseline); a refuted claim is a finding, not a failure.

Examples:
  python -m bench claims                              judge, compare with the accepted state, write reports/claims
  python -m bench claims --accept                     and make this the accepted state
  python -m bench claims rwkv_phase1 weconv_2_memory  show only claims about a variant, or single ones
  python -m bench claims rwkv_phase1 --figures        and draw the curves that they compare, pair by pair
  python -m bench claims --junit claims.xml --summary claims.md
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands.arguments import add_folder_arguments, add_strict_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``claims``."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="show only these claims, or those about these "
                        "variants, and write no report (default: all)")
    parser.add_argument("--accept", action="store_true", help="make the present state the accepted one")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML, for CI systems")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write a short Markdown summary")
    parser.add_argument("--figures", action="store_true", help="draw every pair of curves that is compared: rate "
                        "change along quality, and single images; into claims/pairs of the reports")
    parser.add_argument("--no-report", action="store_true", help="leave the report as it is")
    add_strict_argument(parser)
    add_folder_arguments(parser)
