"""Train a miniature at one λ with MSE, on a folder of photographs.

Examples:
  python -m bench train --variant hpcm_base_mini --lambda 0.013 --data ../shared/data/bsds500/train \\
      --validation ../shared/data/bsds500/val --out runs/hpcm_base_mini-0.013
  python -m bench train ... --start runs/hpcm_base_mini-0.013/state.pt   (warm start from another λ)
  python -m bench train ... --export checkpoints/miniatures/hpcm_base_mini/0.013.safetensors

An interrupted run goes on where it was when the same command is given again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.errors import EXIT_DONE, ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--variant", required=True, help="a variant of variants.yaml; gives model and widths")
    parser.add_argument("--lambda", dest="lambda_", type=float, required=True,
                        help="weight of the distortion")
    parser.add_argument("--data", type=Path, nargs="+", required=True,
                        help="folders of training images, searched recursively")
    parser.add_argument("--validation", type=Path, help="folder of held-out images")
    parser.add_argument("--out", type=Path, required=True, help="folder for state and log")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crop", type=int, default=256, help="side of a crop in pixels (default: %(default)s)")
    parser.add_argument("--save-every", type=int, default=500, metavar="STEPS",
                        help="how often the state is saved (default: %(default)s)")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="a state.pt or checkpoint whose weights to start from")
    parser.add_argument("--random-start", action="store_true",
                        help="start from random weights instead of the training images' principal components")
    parser.add_argument("--export", type=Path, help="write the weights here at the end, float16 safetensors")
    parser.add_argument("--threads", type=int, default=0, help="threads of torch (default: torch's own)")


def run(args: argparse.Namespace) -> int:
    import torch

    from bench.models.checkpoints import read_weights, write_float16
    from bench.training.trainer import Recipe, Trainer
    from bench.variants import get_variant

    if args.lambda_ <= 0 or args.steps <= 0 or args.batch <= 0 or args.crop <= 0 or args.save_every <= 0:
        raise ConfigurationError("--lambda, --steps, --batch, --crop and --save-every must be positive")
    if args.threads:
        torch.set_num_threads(args.threads)
    variant = get_variant(args.variant)
    recipe = Recipe(variant.model, args.lambda_, dict(variant.options), steps=args.steps, batch=args.batch,
                    crop=args.crop, learning_rate=args.learning_rate, seed=args.seed,
                    principal_start=not args.random_start)
    start = read_weights(args.start) if args.start else None
    trainer = Trainer(recipe, args.out, start)
    trainer.run(args.data, args.validation, save_every=args.save_every)
    if args.export:
        note = {"variant": args.variant, "lambda": f"{args.lambda_:g}", "steps": str(args.steps),
                "kind": "miniature"}
        write_float16(trainer.model, args.export, note)
        print(f"wrote {args.export}")
    return EXIT_DONE
