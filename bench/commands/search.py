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
import math
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.arguments import positive
from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE, ConfigurationError
from bench.common.folders import default_folder

if TYPE_CHECKING:
    from bench.training.job import Job
    from bench.training.recipes import Recipe
    from bench.training.search.plan import Plan
    from bench.training.search.record import Trial
    from bench.training.start.sweep import Images, Prepare
    from bench.variants import Variant


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--variant", help="a variant of variants.yaml; gives model, widths and recipe")
    parser.add_argument("--lambda", dest="lambdas", type=float, nargs="+", metavar="λ",
                        help="weights of the distortion (default: the variant's)")
    parser.add_argument("--data", type=Path, nargs="+", metavar="FOLDER", help="folders of training images")
    parser.add_argument("--validation", type=Path, metavar="FOLDER", help="folder of held-out images")
    parser.add_argument("--cache", type=Path, metavar="FOLDER",
                        help="where decoded images are kept (default: runs/decoded)")
    parser.add_argument("--out", type=Path, help="folder of the trials (default: runs/search/VARIANT)")
    _add_values(parser)
    recipe = parser.add_argument_group("recipe, where it differs from the variant's")
    recipe.add_argument("--recipe", help="another recipe: balanced_phase1 to balanced_phase4, or standard")
    for name, kind in (("steps", int), ("epochs", int), ("batch", int), ("crop", int), ("schedule", str),
                       ("warmup", int), ("seed", int)):
        recipe.add_argument(f"--{name}", type=kind)
    start = recipe.add_mutually_exclusive_group()
    start.add_argument("--principal-components", action="store_true",
                       help="start small transforms from principal components of the images")
    start.add_argument("--start", type=Path, metavar="FILE", help="start from what fits of a checkpoint's weights")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default: %(default)s)")
    parser.add_argument("--workers", type=int, help="processes that make batches (default: 8 for a GPU, else 0)")
    parser.add_argument("--threads", type=int, default=0, help="threads of torch (default: torch's own)")
    _add_analysis(parser)


def _add_values(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("search")
    group.add_argument("--gamma", type=float, nargs="+", help="pull of task weights to equality; where each task has"
                       " its own, the first's, and the others keep their ratios (grid: 0.001 0.003 0.005 0.01)")
    group.add_argument("--weight-rate", type=float, nargs="+",
                       help="learning rate of task weights (grid: 0.01 0.025 0.05)")
    group.add_argument("--learning-rate", type=float, nargs="+", help="learning rate (default: the recipe's)")
    group.add_argument("--sampler", choices=("grid", "tpe"), default="grid", help="default: %(default)s")
    group.add_argument("--trials", type=positive, metavar="N", help="trials a λ in all (default: the whole grid)")
    group.add_argument("--validate-every", type=positive, metavar="STEPS",
                       help="steps between validations (default: an epoch's)")
    group.add_argument("--prune-after", type=float, default=0.3, metavar="SHARE",
                       help="share of the steps before which no trial is given up; 1: never (default: %(default)s)")


def _add_analysis(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("analysis")
    group.add_argument("--analyse", type=Path, metavar="FOLDER", help="report on all trials below a folder")
    group.add_argument("--against", type=_setting, metavar="gamma=0.003,weight_rate=0.025",
                       help="setting that others are compared with across λ (default: the recipe's own)")
    group.add_argument("--noise", type=float, default=0.1, metavar="PERCENT",
                       help="difference of losses below which settings are tied (default: %(default)s)")
    group.add_argument("--top", type=positive, default=5, metavar="K", help="best settings shown first (default: 5)")
    group.add_argument("--reports", type=Path, metavar="FOLDER", help="where the report goes (default: FOLDER/report)")


def _setting(text: str) -> dict[str, float]:
    """"gamma=0.003,weight_rate=0.025" as a dictionary."""
    pairs = (part.partition("=") for part in text.split(","))
    try:
        return {name.strip(): float(value) for name, _, value in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not like gamma=0.003,weight_rate=0.025") from None


def run(args: argparse.Namespace) -> int:
    return _analyse(args) if args.analyse else _search(args)


def _analyse(args: argparse.Namespace) -> int:
    from bench.reports.page.files import write_folder
    from bench.reports.search.report import report_of
    from bench.training.search.record import read_trials
    from bench.training.search.trials import analyse

    trials = read_trials(args.analyse)
    analysis = analyse(trials, args.against, args.noise / 100)
    folder = args.reports or args.analyse / "report"
    write_folder(folder, report_of(trials, analysis, args.top))
    print(f"{len(trials)} trials at {len(analysis.by_lambda)} λ: {folder / 'README.md'}")
    return EXIT_DONE


def _search(args: argparse.Namespace) -> int:
    missing = [name for name in ("variant", "data", "validation") if getattr(args, name) is None]
    if missing:
        raise ConfigurationError(f"a search needs --{', --'.join(missing)}", "to report on trials: --analyse FOLDER")
    from bench.commands.train import load_images
    from bench.training.processes import join_processes, leave_processes
    from bench.training.start.sweep import threads
    from bench.variants import get_variant

    threads(args.threads)
    variant = get_variant(args.variant)
    recipe = _recipe(args, variant)
    images = load_images(args.data, args.validation, recipe.crop, args.cache)
    processes = join_processes(args.device)
    if processes.number > 1:
        leave_processes()
        raise ConfigurationError("a trial trains in one process", "start the search without torchrun, several times")
    complete = True
    for lambda_ in args.lambdas or variant.lambdas:
        plan = _plan(args, variant, lambda_, len(images.training))
        complete = _search_at(plan, args, images, str(processes.device)) and complete
    return EXIT_DONE if complete else EXIT_INCOMPLETE


def _search_at(plan: Plan, args: argparse.Namespace, images: Images, device: str) -> bool:
    """Search at one λ, telling of each trial; whether one is complete."""
    try:
        from bench.training.search.search import Search
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise ConfigurationError("searching needs optuna", "install it: pip install 'bench[search]'") from None
    lambda_ = plan.job.lambda_
    out = (args.out or default_folder("runs") / "search" / plan.variant) / f"{lambda_:g}"
    workers = args.workers if args.workers is not None else 8 if device.startswith("cuda") else 0
    search = Search(plan, out, images, _start(args, plan.job, images), device, workers)
    for trial in search.run(args.trials):
        print(f"λ {lambda_:g}  {_told(trial)}", flush=True)
    best = min(search.complete(), key=lambda trial: math.inf if trial.loss is None else trial.loss, default=None)
    print(f"λ {lambda_:g}: " + (f"best of all so far: {_told(best)}" if best else "no trial is complete"), flush=True)
    return best is not None


def _told(trial: Trial) -> str:
    from bench.training.search.record import told

    figures = "" if trial.loss is None else f"  loss {trial.loss:.4f}, {trial.bpp:.4f} bpp, {trial.psnr_db:.2f} dB"
    reason = f" ({trial.reason})" if trial.reason else ""
    return f"{told(trial.setting)}{figures}  {trial.state} at step {trial.steps}{reason}"


def _recipe(args: argparse.Namespace, variant: Variant) -> Recipe:
    from bench.training.recipes import RECIPES

    return RECIPES.get(args.recipe or variant.recipe).with_(
        steps=args.steps, epochs=args.epochs, batch=args.batch, crop=args.crop, schedule=args.schedule,
        warmup=args.warmup)


def _plan(args: argparse.Namespace, variant: Variant, lambda_: float, images: int) -> Plan:
    from bench.training.job import Job
    from bench.training.search.plan import PUBLISHED, Plan

    recipe = _recipe(args, variant)
    epoch = max(1, images // recipe.batch)
    recipe = recipe.with_(steps=recipe.steps or recipe.epochs * epoch)
    given = {"gamma": args.gamma, "weight_rate": args.weight_rate, "learning_rate": args.learning_rate}
    usual = PUBLISHED if recipe.tasks != "total" else {}
    values = {name: tuple(own or usual[name]) for name, own in given.items() if own or name in usual}
    options = variant.options_for(lambda_) if lambda_ in variant.lambdas else dict(variant.options)
    seed = variant.seed if args.seed is None else args.seed
    return Plan(variant.name, Job(variant.model, lambda_, recipe, options, variant.metric, seed), values,
                args.sampler, args.validate_every or epoch, args.prune_after)


def _start(args: argparse.Namespace, job: Job, images: Images) -> Prepare:
    from bench.training.start import sweep

    if args.principal_components:
        return sweep.from_principal_components(images, job.recipe.crop, job.lambda_)
    if args.start is not None:
        return sweep.from_other(args.start, job.model, False, args.start.name)
    return sweep.from_scratch
