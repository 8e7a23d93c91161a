"""Show the models known here, what each changes, and the checkpoints found for it.

Examples:
  python -m bench variants              every variant of variants.yaml
  python -m bench variants hpcm_base    one of them: every place that was looked in, and whether the
                                        checkpoints found fit the model
  python -m bench variants mbt2018_mean --fetch
                                        download CompressAI's weights of a variant of its zoo first
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the names of variants and the options."""
    parser.add_argument("names", nargs="*", metavar="VARIANT",
                        help="variants to show in detail (default: all, briefly)")
    parser.add_argument("--fetch", action="store_true",
                        help="download the published weights of the named variants of CompressAI's zoo")
    parser.add_argument("--file", type=Path, help="another variants.yaml")
