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
from typing import TYPE_CHECKING

from bench.common.errors import EXIT_DONE, CheckpointError, ConfigurationError
from bench.common.folders import default_folder

if TYPE_CHECKING:
    from bench.training.job import Job
    from bench.training.recipes import Recipe
    from bench.training.start.sweep import Images, Prepare
    from bench.variants import Variant


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say what is trained on."""
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="FOLDER",
                        help="folders of training images, searched recursively")
    parser.add_argument("--validation", type=Path, metavar="FOLDER", help="folder of held-out images")
    parser.add_argument("--cache", type=Path, metavar="FOLDER",
                        help="where decoded images are kept (default: runs/decoded)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--variant", required=True, help="a variant of variants.yaml; gives model, widths and recipe")
    parser.add_argument("--lambda", dest="lambda_", type=float, required=True, help="weight of the distortion")
    add_image_arguments(parser)
    parser.add_argument("--out", type=Path, help="folder for state and log (default: runs/VARIANT/λ)")
    start = parser.add_argument_group("start").add_mutually_exclusive_group()
    start.add_argument("--from-lambda", type=float, metavar="λ", help="start from this variant's weights at another λ")
    start.add_argument("--from-variant", metavar="VARIANT",
                       help="start from what fits of another variant's weights at the same λ")
    start.add_argument("--start", type=Path, metavar="FILE", help="start from what fits of a checkpoint's weights")
    start.add_argument("--principal-components", action="store_true",
                       help="start small transforms from principal components of the images")
    parser.add_argument("--freeze", action="store_true",
                        help="let only learn what the start did not give, and what the variant excepts")
    recipe = parser.add_argument_group("recipe, where it differs from the variant's")
    recipe.add_argument("--recipe", help="another recipe: standard, balanced_phase1 to balanced_phase4")
    for name, kind in (("steps", int), ("epochs", int), ("batch", int), ("crop", int), ("learning-rate", float),
                       ("optimiser", str), ("schedule", str), ("warmup", int), ("clip", float), ("gamma-schedule", str),
                       ("weight-rate", float), ("patience", int)):
        recipe.add_argument(f"--{name}", type=kind)
    recipe.add_argument("--gamma", type=float, nargs="+", help="one for all tasks, or one a task")
    recipe.add_argument("--seed", type=int)
    recipe.add_argument("--metric", choices=("mse", "ms-ssim"), help="what distortion is (default: the variant's)")
    recipe.add_argument("--freeze-converged", action="store_true", default=None,
                        help="let the parts of a scale whose rate has converged stop learning")
    recipe.add_argument("--half", action="store_true", default=None, help="transforms in bfloat16")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default: %(default)s)")
    parser.add_argument("--workers", type=int, help="processes that make batches (default: 8 for a GPU, else 0)")
    parser.add_argument("--threads", type=int, default=0, help="threads of torch (default: torch's own)")
    parser.add_argument("--save-every", type=int, default=0, metavar="STEPS",
                        help="steps between validations and saved states (default: an epoch's)")
    parser.add_argument("--keep-best", type=int, default=0, metavar="K",
                        help="keep the weights of the K best validations, and of the last, in the folder's states/")
    parser.add_argument("--no-install", action="store_true", help="leave the variant's checkpoints as they are")


def run(args: argparse.Namespace) -> int:
    from bench.training.processes import join_processes, leave_processes
    from bench.training.start.sweep import install, threads
    from bench.training.state import CheckpointKeeper
    from bench.training.trainer import Trainer
    from bench.variants import get_variant

    threads(args.threads)
    variant = get_variant(args.variant)
    processes = join_processes(args.device)
    try:
        _check(args, _recipe(args, variant), variant)
        crop = _recipe(args, variant).crop
        if not processes.leads:
            processes.wait()  # for what the first one decodes
        images = load_images(args.data, args.validation, crop, args.cache)
        if processes.leads:
            processes.wait()
        job = _job(args, variant, len(images.training))
        folder = args.out or default_folder("runs") / variant.name / f"{args.lambda_:g}"
        keeper = CheckpointKeeper(folder / "states", args.keep_best) if args.keep_best else None
        trainer = Trainer(job, folder, _start(args, variant, images, crop), processes, keeper,
                          {"start": start_of(args), "images": images.training.sha256})
        workers = args.workers if args.workers is not None else 8 if processes.device.type == "cuda" else 0
        epoch = max(1, len(images.training) // job.recipe.batch)
        trainer.run(images.training, images.held_out, workers, save_every=args.save_every or epoch)
        if processes.leads and not args.no_install:
            print(install(trainer, variant))
    finally:
        leave_processes()
    return EXIT_DONE


def load_images(data: list[Path], validation: Path | None, crop: int, cache: Path | None) -> Images:
    """Decode training images, and the centres of held-out ones."""
    from bench.training.data import centres, decode_folders
    from bench.training.start.sweep import Images

    cache = cache or default_folder("runs") / "decoded"
    missing = [folder for folder in (*data, *([validation] if validation else [])) if not folder.is_dir()]
    if missing:
        raise ConfigurationError(f"there is no folder {', '.join(map(str, missing))}")
    held_out = centres(decode_folders([validation], crop, cache), crop) if validation else None
    return Images(decode_folders(data, crop, cache), held_out)


def start_of(args: argparse.Namespace) -> str:
    """What a training was told to start from, in words that differ where starts do."""
    given = {"from-lambda": args.from_lambda, "from-variant": args.from_variant, "start": args.start,
             "principal-components": args.principal_components or None, "freeze": args.freeze or None}
    return ", ".join(f"{name} {value}" for name, value in given.items() if value is not None) or "random weights"


def _check(args: argparse.Namespace, recipe: Recipe, variant: Variant) -> None:
    """Refuse what would have no effect or fail late.

    Raises:
        ConfigurationError: there is such an option.
    """
    from bench.training.recipes import FINE_TUNING

    if recipe.name in FINE_TUNING and not (args.from_lambda or args.from_variant or args.start):
        raise ConfigurationError(f"the recipe {recipe.name} fine-tunes trained weights, and none are given",
                                 "name them with --from-variant, --from-lambda or --start")
    watches = {"--patience": recipe.patience, "--keep-best": args.keep_best, "scales that stop": recipe.scale_patience,
               "--gamma-schedule adaptive": recipe.gamma_schedule == "adaptive"}
    if args.validation is None and (needing := [name for name, value in watches.items() if value]):
        raise ConfigurationError(f"{', '.join(needing)}: nothing is held out to decide by",
                                 "name a folder of images with --validation")
    wrong = {"--seed": args.seed, "--workers": args.workers, "--threads": args.threads, "--save-every": args.save_every,
             "--keep-best": args.keep_best}
    if negative := [name for name, value in wrong.items() if value is not None and value < 0]:
        raise ConfigurationError(f"{', '.join(negative)} can't be negative")


def _recipe(args: argparse.Namespace, variant: Variant) -> Recipe:
    from bench.training.recipes import RECIPES

    gammas = None if args.gamma is None else args.gamma[0] if len(args.gamma) == 1 else tuple(args.gamma)
    return RECIPES.get(args.recipe or variant.recipe).with_(
        steps=args.steps, epochs=args.epochs, batch=args.batch, crop=args.crop, learning_rate=args.learning_rate,
        optimiser=args.optimiser,
        schedule=args.schedule, warmup=args.warmup, clip=args.clip, gammas=gammas, half=args.half,
        gamma_schedule=args.gamma_schedule, freeze_converged=args.freeze_converged,
        weight_rate=args.weight_rate, patience=args.patience)


def _job(args: argparse.Namespace, variant: Variant, images: int) -> Job:
    from bench.training.job import Job

    recipe = _recipe(args, variant)
    if not recipe.steps:
        recipe = recipe.with_(steps=recipe.epochs * max(1, images // recipe.batch))
    options = variant.options_for(args.lambda_) if args.lambda_ in variant.lambdas else dict(variant.options)
    seed = variant.seed if args.seed is None else args.seed
    return Job(variant.model, args.lambda_, recipe, options, args.metric or variant.metric, seed)


def _start(args: argparse.Namespace, variant: Variant, images: Images, crop: int) -> Prepare:
    from bench.training.start import sweep
    from bench.variants import get_variant

    if args.principal_components:
        return sweep.from_principal_components(images, crop, args.lambda_)
    if args.start is not None:
        return sweep.from_other(args.start, variant.model, args.freeze, args.start.name)
    if args.from_lambda is not None or args.from_variant is not None:
        other = get_variant(args.from_variant) if args.from_variant else variant
        lambda_ = args.from_lambda or args.lambda_
        path = sweep.trained(other, lambda_, default_folder("runs"))
        if path is None:
            raise CheckpointError(f"there are no weights of {other.name} at λ {lambda_:g}", "train it first")
        return sweep.from_other(path, variant.model, args.freeze, f"{other.name} at λ {lambda_:g}")
    if args.freeze:
        raise ConfigurationError("--freeze needs a start: --from-variant, --from-lambda or --start")
    return sweep.from_scratch
