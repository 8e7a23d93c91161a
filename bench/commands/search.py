"""Searches a recipe's hyper-parameters, or analyses trials."""

from __future__ import annotations

import argparse
import math
import os
from typing import TYPE_CHECKING

from bench.commands.training_options import (
    choose_recipe,
    choose_start,
    choose_workers,
    load_images,
    make_job,
    steps_an_epoch,
)
from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE, ConfigurationError
from bench.common.folders import default_folder
from bench.runners.machine import resolve_device
from bench.training.recipes import Recipe
from bench.training.search.plan import PUBLISHED_GRID, SearchPlan
from bench.training.search.record import Trial, describe_setting, read_trials
from bench.training.search.trials import analyse_trials
from bench.variants import Variant, get_variant

if TYPE_CHECKING:  # what imports torch is imported where it is used, so that --help stays quick
    from bench.training.data import Images


def run(args: argparse.Namespace) -> int:
    try:
        import optuna  # noqa: F401 - so that its absence is told first
    except ModuleNotFoundError:
        raise ConfigurationError("searching, and analysing trials, needs optuna",
                                 "install it: pip install 'bench[search]'") from None
    return _analyse(args) if args.analyse else _search(args)


def _analyse(args: argparse.Namespace) -> int:
    from bench.reports.page.files import write_report
    from bench.reports.search.report import make_search_report

    trials = read_trials(args.analyse)
    analysis = analyse_trials(trials, args.against, args.noise / 100)
    folder = args.reports or args.analyse / "report"
    write_report(make_search_report(analysis, top=args.top), folder)
    print(f"{len(trials)} trials at {len(analysis.by_lambda)} λ: {folder / 'README.md'}")
    return EXIT_DONE


def _search(args: argparse.Namespace) -> int:
    from bench.training.processes import set_threads

    if missing := [name for name in ("variant", "data", "validation") if getattr(args, name) is None]:
        raise ConfigurationError(f"a search needs --{', --'.join(missing)}", "to report on trials: --analyse FOLDER")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigurationError("a trial trains in one process", "start the search without torchrun, several times")
    set_threads(args.threads)
    variant, device = get_variant(args.variant), resolve_device(args.device)
    recipe = choose_recipe(args, variant, weight_rate=None, learning_rate=None)  # which are searched
    images = load_images(args, recipe.crop)

    complete = True
    for lambda_ in args.lambdas or variant.lambdas:
        plan = _make_plan(args, variant, lambda_, recipe, len(images.training))
        complete = _search_at_lambda(plan, args, images, device) and complete
    return EXIT_DONE if complete else EXIT_INCOMPLETE


def _make_plan(args: argparse.Namespace, variant: Variant, lambda_: float, recipe: Recipe, images: int) -> SearchPlan:
    given = {"gamma": args.gamma, "weight_rate": args.weight_rate, "learning_rate": args.learning_rate}
    usual = PUBLISHED_GRID if recipe.tasks != "total" else {}
    values = {name: tuple(numbers or usual[name]) for name, numbers in given.items() if numbers or name in usual}
    return SearchPlan(variant.name, make_job(args, variant, lambda_, recipe, images), values, args.sampler,
                      args.validate_every or steps_an_epoch(recipe, images), args.prune_after)


def _search_at_lambda(plan: SearchPlan, args: argparse.Namespace, images: Images, device: str) -> bool:
    """Search at one λ, telling of each trial; whether one is complete."""
    from bench.training.search.search import Search

    job = plan.job
    out = (args.out or default_folder("runs") / "search" / plan.variant) / f"{job.lambda_:g}"
    start = choose_start(args, job.model, job.lambda_, images, job.recipe.crop)
    search = Search(plan, out, images, start, device, choose_workers(args, device))
    for trial in search.run(args.trials):
        print(f"λ {job.lambda_:g}  {_describe_trial(trial)}", flush=True)

    best = min(search.read_complete_trials(), default=None,
               key=lambda trial: math.inf if trial.loss is None else trial.loss)
    outcome = f"best of all so far: {_describe_trial(best)}" if best else "no trial is complete"
    print(f"λ {job.lambda_:g}: {outcome}", flush=True)
    return best is not None


def _describe_trial(trial: Trial) -> str:
    figures = "" if trial.loss is None else f"  loss {trial.loss:.4f}, {trial.bpp:.4f} bpp, {trial.psnr_db:.2f} dB"
    reason = f" ({trial.reason})" if trial.reason else ""
    return f"{describe_setting(trial.setting)}{figures}  {trial.state} at step {trial.steps}{reason}"
