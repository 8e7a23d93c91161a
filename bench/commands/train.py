"""Trains one variant at one λ."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.training_options import (
    choose_recipe,
    choose_start,
    choose_workers,
    load_images,
    make_job,
    steps_an_epoch,
)
from bench.common.errors import EXIT_DONE, CheckpointError, ConfigurationError
from bench.common.folders import default_folder
from bench.runners.machine import resolve_device
from bench.training.recipes import FINE_TUNING, Recipe
from bench.variants import Variant, find_checkpoints, get_variant

if TYPE_CHECKING:  # what imports torch is imported where it is used, so that --help stays quick
    from bench.training.data import Images
    from bench.training.processes import Processes
    from bench.training.start.transfer import Prepare


def run(args: argparse.Namespace) -> int:
    from bench.training.processes import join_processes, leave_processes, set_threads

    set_threads(args.threads)
    variant = get_variant(args.variant)
    processes = join_processes(resolve_device(args.device))
    try:
        _train(args, variant, processes)
    finally:
        leave_processes()
    return EXIT_DONE


def _train(args: argparse.Namespace, variant: Variant, processes: Processes) -> None:
    from bench.training.installation import install_best_weights
    from bench.training.state import CheckpointKeeper
    from bench.training.trainer import Trainer

    gammas = args.gamma and (tuple(args.gamma) if len(args.gamma) > 1 else args.gamma[0])
    recipe = choose_recipe(args, variant, gammas=gammas)
    _refuse_useless_options(args, recipe)
    images = processes.from_first(lambda: load_images(args, recipe.crop))
    job = make_job(args, variant, args.lambda_, recipe, len(images.training))

    folder = args.out or default_folder("runs") / variant.name / f"{args.lambda_:g}"
    keeper = CheckpointKeeper(folder / "states", args.keep_best) if args.keep_best else None
    trainer = Trainer(job, folder, _choose_start(args, variant, images, recipe.crop), processes, keeper,
                      {"start": describe_start(args), "images": images.training.sha256})
    trainer.run(images.training, images.held_out, choose_workers(args, processes.device.type),
                save_every=args.save_every or steps_an_epoch(recipe, len(images.training)))
    if processes.leads and not args.no_install:
        print(install_best_weights(trainer, variant, default_folder("results")))


def describe_start(args: argparse.Namespace) -> str:
    """What a training was told to start from, in words that differ where starts do."""
    given = {"from-lambda": args.from_lambda, "from-variant": args.from_variant, "start": args.start,
             "principal-components": args.principal_components or None, "freeze": args.freeze or None}
    return ", ".join(f"{name} {value}" for name, value in given.items() if value is not None) or "random weights"


def _refuse_useless_options(args: argparse.Namespace, recipe: Recipe) -> None:
    """Refuse what would have no effect or fail late.

    Raises:
        ConfigurationError: there is such an option.
    """
    starts_trained = args.from_lambda or args.from_variant or args.start
    if recipe.name in FINE_TUNING and not starts_trained:
        raise ConfigurationError(f"the recipe {recipe.name} fine-tunes trained weights, and none are given",
                                 "name them with --from-variant, --from-lambda or --start")
    if args.freeze and not starts_trained:
        raise ConfigurationError("--freeze needs a start: --from-variant, --from-lambda or --start")
    watches = {"--patience": recipe.patience, "--keep-best": args.keep_best, "scales that stop": recipe.scale_patience,
               "--gamma-schedule adaptive": recipe.gamma_schedule == "adaptive"}
    if args.validation is None and (needing := [name for name, value in watches.items() if value]):
        raise ConfigurationError(f"{', '.join(needing)}: nothing is held out to decide by",
                                 "name a folder of images with --validation")
    counts = {"--seed": args.seed, "--workers": args.workers, "--threads": args.threads,
              "--save-every": args.save_every, "--keep-best": args.keep_best}
    if negative := [name for name, value in counts.items() if value is not None and value < 0]:
        raise ConfigurationError(f"{', '.join(negative)} can't be negative")


def _choose_start(args: argparse.Namespace, variant: Variant, images: Images, crop: int) -> Prepare:
    from bench.training.start.transfer import from_other

    if args.from_lambda is None and args.from_variant is None:
        return choose_start(args, variant.model, args.lambda_, images, crop, args.freeze)
    other = get_variant(args.from_variant) if args.from_variant else variant
    lambda_ = args.from_lambda or args.lambda_
    path = find_trained_weights(other, lambda_)
    if path is None:
        raise CheckpointError(f"there are no weights of {other.name} at λ {lambda_:g}", "train it first")
    return partial(from_other, path, variant.model, args.freeze, f"{other.name} at λ {lambda_:g}")


def find_trained_weights(variant: Variant, lambda_: float) -> Path | None:
    """Weights of a variant at one λ: of its training here, else its checkpoint."""
    from bench.training.trainer import BEST, STATE

    folder = default_folder("runs") / variant.name / f"{lambda_:g}"
    here = [folder / name for name in (BEST, STATE)]
    here += [checkpoint.path for checkpoint in find_checkpoints(variant)
             if checkpoint.lambda_ == lambda_ and checkpoint.path]
    return next((path for path in here if path.is_file()), None)
