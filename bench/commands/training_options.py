"""What the verbs that train accept on the command line, and what they make of it."""

from __future__ import annotations

import argparse
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.common.errors import ConfigurationError
from bench.common.folders import default_folder
from bench.training.recipes import RECIPES, Job, Recipe
from bench.variants import Variant

if TYPE_CHECKING:  # what imports torch is imported where it is used, so that --help stays quick
    from bench.training.data import Images
    from bench.training.start.transfer import Prepare


def add_image_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """The options that say what is trained on."""
    parser.add_argument("--data", type=Path, nargs="+", required=required, metavar="FOLDER",
                        help="folders of training images, searched recursively")
    parser.add_argument("--validation", type=Path, metavar="FOLDER", help="folder of held-out images")
    parser.add_argument("--cache", type=Path, metavar="FOLDER",
                        help="where decoded images are kept (default: runs/decoded)")


def add_recipe_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """The options that change a variant's recipe; returns their group."""
    recipe = parser.add_argument_group("recipe, where it differs from the variant's")
    recipe.add_argument("--recipe", help="another recipe: standard, balanced_phase1 to balanced_phase4")
    for name in ("steps", "epochs", "batch", "crop", "warmup", "seed"):
        recipe.add_argument(f"--{name}", type=int)
    recipe.add_argument("--schedule")
    return recipe


def add_start_arguments(group: argparse._ActionsContainer) -> None:
    """Starts that need no other training; ``group`` lets one be chosen."""
    group.add_argument("--start", type=Path, metavar="FILE", help="start from what fits of a checkpoint's weights")
    group.add_argument("--principal-components", action="store_true",
                       help="start small transforms from principal components of the images")


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """The device to train on."""
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N or auto (default: %(default)s)")


def add_machine_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say how the machine is used."""
    add_device_argument(parser)
    parser.add_argument("--workers", type=int, help="processes that make batches (default: 8 for a GPU, else 0)")
    parser.add_argument("--threads", type=int, default=0, help="threads of torch (default: torch's own)")


def load_images(args: argparse.Namespace, crop: int) -> Images:
    """Decode training images, and the centres of held-out ones."""
    from bench.training.data import Images, crop_centres, decode_folders

    cache = args.cache or default_folder("runs") / "decoded"
    held_out_folders = [args.validation] if args.validation else []
    if missing := [str(folder) for folder in (*args.data, *held_out_folders) if not folder.is_dir()]:
        raise ConfigurationError(f"there is no folder {', '.join(missing)}", "name folders of images that are there")
    held_out = crop_centres(decode_folders(held_out_folders, crop, cache), crop) if held_out_folders else None
    return Images(decode_folders(args.data, crop, cache), held_out)


def choose_recipe(args: argparse.Namespace, variant: Variant, **changes: Any) -> Recipe:
    """The variant's recipe, or the one that is given, with what is given changed.

    Args:
        changes: in place of what the options of the same names say; None leaves the recipe's own.
    """
    given = {field.name: getattr(args, field.name, None) for field in fields(Recipe)}
    return RECIPES.get(args.recipe or variant.recipe).with_(**{**given, **changes})


def make_job(args: argparse.Namespace, variant: Variant, lambda_: float, recipe: Recipe, images: int) -> Job:
    """The training of a variant at one λ, over as many steps as its epochs of ``images`` images are."""
    recipe = recipe.with_(steps=recipe.steps or recipe.epochs * steps_an_epoch(recipe, images))
    options = variant.options_for(lambda_) if lambda_ in variant.lambdas else dict(variant.options)
    seed = variant.seed if args.seed is None else args.seed
    return Job(variant.model, lambda_, recipe, options, getattr(args, "metric", None) or variant.metric, seed)


def steps_an_epoch(recipe: Recipe, images: int) -> int:
    """Steps in which as many crops are taken as there are images."""
    return max(1, images // recipe.batch)


def choose_start(args: argparse.Namespace, model: str, lambda_: float, images: Images, crop: int,
                 freeze: bool = False) -> Prepare:
    """The start that is given: principal components, a file, or random weights."""
    from bench.training.start import transfer

    if args.principal_components:
        return partial(transfer.from_principal_components, images, crop, lambda_)
    if args.start is not None:
        return partial(transfer.from_other, args.start, model, freeze, args.start.name)
    return transfer.from_scratch


def choose_workers(args: argparse.Namespace, device: str) -> int:
    """How many processes make batches."""
    if args.workers is not None:
        return args.workers
    return 8 if device.startswith("cuda") else 0
