"""Measure what variants cost: latency, stages, memory and operations.

Encode is timed from 8-bit pixels to bytes, decode from bytes to 8-bit pixels, all variants in turns. Where no
checkpoint of a variant is here, random weights with a realistic rate take its place; rows say so. Rows go to
results/latency/<device>/<variant>.jsonl as soon as they are complete.

Examples:
  python -m bench profile                                    all variants at full width
  python -m bench profile --quick
  python -m bench profile hpcm_base hpcm_large --shapes 768x512,1200x1200
  python -m bench profile hpcm_base --configurations default,channels-last,compiled
  python -m bench profile hpcm_base --image photo.png --trace
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands.arguments import (
    add_folder_arguments,
    add_shared_machine_argument,
    add_torch_arguments,
    parse_positive,
    split_names,
)
from bench.runners.profile import ROUNDS

SHAPES = {"cpu": "768x512,256x256", "cuda": "768x512,512x768,1200x1200,2048x1365"}
BUDGET_S = 600.0
QUICK_SHAPES, QUICK_BUDGET_S, QUICK_REPEATS = "256x256", 60.0, 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    what = parser.add_argument_group("what to measure")
    what.add_argument("variants", nargs="*", metavar="VARIANT",
                      help="default: all at full width but hpcm_1b and cheng2020_attn, which take long, and variants "
                      "that are only trained otherwise; these are measured when they are named")
    what.add_argument("--shapes", metavar="WxH,...",
                      help=f"default: {SHAPES['cpu']}; on a GPU {SHAPES['cuda']}")
    what.add_argument("--image", type=Path, metavar="FILE", help="measure this image in its own size, not shapes")
    what.add_argument("--configurations", type=split_names, default=["default"], metavar="A,B,...",
                      help="default, channels-last, contiguous, half-precision, compiled, cuda-graphs; the last three "
                      "change the transforms alone, and channels-last is the default of the suite's own models")
    what.add_argument("--batch", type=parse_positive, default=1, metavar="N",
                      help="images in a pass; the file codec codes them one after another (default: 1)")
    how = parser.add_argument_group("how to measure")
    add_torch_arguments(how)
    how.add_argument("--repeats", type=parse_positive, metavar="N", help="samples of each pass (default: 10)")
    how.add_argument("--budget", type=parse_positive, metavar="SECONDS",
                     help=f"of sampling in all, after which {ROUNDS} samples must do (default: {BUDGET_S:g})")
    add_shared_machine_argument(how)
    how.add_argument("--quick", action="store_true", help=f"a look: {QUICK_SHAPES}, {QUICK_REPEATS} repeats")
    how.add_argument("--resume", action="store_true", help="leave out what is stored")
    how.add_argument("--plan", action="store_true", help="print the plan and stop")
    where = parser.add_argument_group("where results go")
    where.add_argument("--trace", action="store_true",
                       help="write torch.profiler's traces and operator tables instead, to reports/latency/traces")
    where.add_argument("--no-report", action="store_true", help="leave the report as it is")
    add_folder_arguments(where)
