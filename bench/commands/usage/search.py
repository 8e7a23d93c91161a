"""Search gamma, the learning rate of task weights and the learning rate of a balanced recipe, or analyse trials.

Examples:
  python -m bench search --variant balanced_phase1 --lambda 0.013 --data flickr2w --validation holdout
  python -m bench search --sampler tpe --trials 30 --gamma 0.0005 0.02 --learning-rate 1e-5 2e-4 ...
  python -m bench search --analyse runs/search/balanced_phase1 --noise 0.2

Each λ is a search of its own. A search goes on where it was when the same command is given again; given several
times at once, the processes share the trials. With a grid (default: the published one) values are its points; with
tpe, the ends of a range. Trials worse than the median of the others end early.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands.arguments import parse_lambda, parse_positive
from bench.commands.training_options import (
    add_image_arguments,
    add_machine_arguments,
    add_recipe_arguments,
    add_start_arguments,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--variant", help="a variant of variants.yaml; gives model, widths and recipe")
    parser.add_argument("--lambda", dest="lambdas", type=parse_lambda, nargs="+", metavar="λ",
                        help="weights of the distortion (default: the variant's)")
    add_image_arguments(parser, required=False)
    parser.add_argument("--out", type=Path, help="folder of the trials (default: runs/search/VARIANT)")

    group = parser.add_argument_group("search")
    group.add_argument("--gamma", type=float, nargs="+", help="pull of task weights to equality; where each task has"
                       " its own, the first's, and the others keep their ratios (grid: 0.001 0.003 0.005 0.01)")
    group.add_argument("--weight-rate", type=float, nargs="+",
                       help="learning rate of task weights (grid: 0.01 0.025 0.05)")
    group.add_argument("--learning-rate", type=float, nargs="+", help="learning rate (default: the recipe's)")
    group.add_argument("--sampler", choices=("grid", "tpe"), default="grid", help="default: %(default)s")
    group.add_argument("--trials", type=parse_positive, metavar="N", help="trials a λ in all (default: the whole grid)")
    group.add_argument("--validate-every", type=parse_positive, metavar="STEPS",
                       help="steps between validations (default: an epoch's)")
    group.add_argument("--prune-after", type=float, default=0.3, metavar="SHARE",
                       help="share of the steps before which no trial is given up; 1: never (default: %(default)s)")

    add_start_arguments(add_recipe_arguments(parser).add_mutually_exclusive_group())
    add_machine_arguments(parser)

    group = parser.add_argument_group("analysis")
    group.add_argument("--analyse", type=Path, metavar="FOLDER", help="report on all trials below a folder")
    group.add_argument("--against", type=parse_setting, metavar="gamma=0.003,weight_rate=0.025",
                       help="setting that others are compared with across λ (default: the recipe's own)")
    group.add_argument("--noise", type=float, default=0.1, metavar="PERCENT",
                       help="difference of losses below which settings are tied (default: %(default)s)")
    group.add_argument("--top", type=parse_positive, default=5, metavar="K",
                       help="best settings shown first (default: 5)")
    group.add_argument("--reports", type=Path, metavar="FOLDER", help="where the report goes (default: FOLDER/report)")


def parse_setting(text: str) -> dict[str, float]:
    """"gamma=0.003,weight_rate=0.025" as a dictionary."""
    pairs = (part.partition("=") for part in text.split(","))
    try:
        return {name.strip(): float(value) for name, _, value in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not like gamma=0.003,weight_rate=0.025") from None
