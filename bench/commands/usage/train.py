"""Train one variant at one λ, and put its best weights where `evaluate` finds them.

Examples:
  python -m bench train --variant hpcm_base --lambda 0.013 --data flickr2w --validation holdout
  python -m bench train --variant hpcm_base --lambda 0.0067 --from-lambda 0.013 ...    (warm start from another λ)
  python -m bench train --variant weconv_phase3 --lambda 0.013 --from-variant weconv_phase2 --freeze ...
  torchrun --nproc-per-node 4 -m bench train ...                                       (four GPUs)

The recipe is the variant's (variants.yaml), with what is said here changed. An interrupted training goes on exactly
where it was when the same command is given again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands.arguments import parse_lambda
from bench.commands.training_options import (
    add_image_arguments,
    add_machine_arguments,
    add_recipe_arguments,
    add_start_arguments,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--variant", required=True, help="a variant of variants.yaml; gives model, widths and recipe")
    parser.add_argument("--lambda", dest="lambda_", type=parse_lambda, required=True, help="weight of the distortion")
    add_image_arguments(parser)
    parser.add_argument("--out", type=Path, help="folder for state and log (default: runs/VARIANT/λ)")
    start = parser.add_argument_group("start").add_mutually_exclusive_group()
    start.add_argument("--from-lambda", type=parse_lambda, metavar="λ",
                       help="start from this variant's weights at another λ")
    start.add_argument("--from-variant", metavar="VARIANT",
                       help="start from what fits of another variant's weights at the same λ")
    add_start_arguments(start)
    parser.add_argument("--freeze", action="store_true",
                        help="let only learn what the start did not give, and what the variant excepts")
    recipe = add_recipe_arguments(parser)
    for name, kind in (("learning-rate", float), ("optimiser", str), ("clip", float), ("gamma-schedule", str),
                       ("weight-rate", float), ("patience", int)):
        recipe.add_argument(f"--{name}", type=kind)
    recipe.add_argument("--gamma", type=float, nargs="+", help="one for all tasks, or one a task")
    recipe.add_argument("--metric", choices=("mse", "ms-ssim"), help="what distortion is (default: the variant's)")
    recipe.add_argument("--freeze-converged", action="store_true", default=None,
                        help="let the parts of a scale whose rate has converged stop learning")
    recipe.add_argument("--half", action="store_true", default=None, help="transforms in bfloat16")
    add_machine_arguments(parser)
    parser.add_argument("--save-every", type=int, default=0, metavar="STEPS",
                        help="steps between validations and saved states (default: an epoch's)")
    parser.add_argument("--keep-best", type=int, default=0, metavar="K",
                        help="keep the weights of the K best validations, and of the last, in the folder's states/")
    parser.add_argument("--no-install", action="store_true", help="leave the variant's checkpoint and log as they are")
