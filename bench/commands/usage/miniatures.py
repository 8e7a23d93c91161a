"""Train the miniatures of variants.yaml, a few at a time, and write their checkpoints.

Examples:
  python -m bench miniatures --data data/bsds500/train data/bsds500/test --validation data/bsds500/val
  python -m bench miniatures --only hpcm_base_mini,rwkv_phase1_mini ...

What is made already is left as it is; what was interrupted goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands.arguments import split_names
from bench.commands.training_options import add_device_argument, add_image_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_image_arguments(parser)
    parser.add_argument("--only", type=split_names, default=[], metavar="NAMES",
                        help="train these alone, commas between")
    parser.add_argument("--processes", type=int, default=0,
                        help="trainings side by side (default: one a core, four on a GPU)")
    add_device_argument(parser)
    parser.add_argument("--out", type=Path,
                        help="folder for all that is made: states, checkpoints and logs (default: states in"
                             " runs/miniatures, checkpoints where the variants say, logs in results/training)")
    parser.add_argument("--steps", type=int, nargs=2, metavar=("FIRST", "OTHER"),
                        help="steps at the largest λ and at each other (default: those of the shipped ones)")
