"""Train the miniatures of variants.yaml, a few at a time, and write their checkpoints.

Examples:
  python -m bench miniatures --data data/bsds500/train data/bsds500/test --validation data/bsds500/val
  python -m bench miniatures --only hpcm_base_mini,rwkv_phase1_mini ...

What is made already is left as it is; what was interrupted goes on where it was.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.arguments import names
from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE, BenchError, ConfigurationError
from bench.common.folders import default_folder

if TYPE_CHECKING:
    from bench.training.miniatures import Plan
    from bench.variants import Variant


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from bench.commands.train import add_image_arguments

    add_image_arguments(parser)
    parser.add_argument("--only", type=names, default=[], metavar="NAMES", help="train these alone, commas between")
    parser.add_argument("--processes", type=int, default=0,
                        help="trainings side by side (default: one a core, four on a GPU)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default: %(default)s)")
    parser.add_argument("--out", type=Path,
                        help="folder for states and logs (default: runs/miniatures, and logs in results/training)")
    parser.add_argument("--steps", type=int, nargs=2, metavar=("FIRST", "OTHER"),
                        help="steps at the largest λ and at each other (default: those of the shipped ones)")


def run(args: argparse.Namespace) -> int:
    import torch

    from bench.commands.train import load_images
    from bench.training.miniatures import Plan, in_order, is_made, runs_of
    from bench.variants import load_variants

    variants = in_order(load_variants())
    if unknown := sorted(set(args.only) - {variant.name for variant in variants}):
        raise ConfigurationError(f"there is no miniature called {', '.join(unknown)}",
                                 f"known: {', '.join(variant.name for variant in variants)}")
    variants = [variant for variant in variants if not args.only or variant.name in args.only]
    plan = Plan(first_steps=args.steps[0], steps=args.steps[1]) if args.steps else Plan()
    missing = {variant.name: [one for one in runs_of(variant, plan) if not is_made(one)] for variant in variants}
    todo = [variant for variant in variants if missing[variant.name]]
    steps = sum(one.steps for ones in missing.values() for one in ones)
    print(f"{len(variants)} miniatures, {len(variants) - len(todo)} made already; {steps} steps to go")
    if not todo:
        return EXIT_DONE
    load_images(args.data, args.validation, plan.crop, args.cache)  # once, before several ask for it
    on_gpu = args.device != "cpu" and torch.cuda.is_available()
    processes = args.processes or (4 if on_gpu else os.cpu_count() or 1)
    out = args.out or default_folder("runs") / "miniatures"
    out.mkdir(parents=True, exist_ok=True)
    logs = (out if args.out else default_folder("results")) / "training"
    settings = (plan, args.data, args.validation, out, logs, "cuda" if on_gpu else "cpu", args.cache)
    return _train_all(todo, settings, min(processes, len(todo)), steps)


def _train_all(todo: list, settings: tuple, processes: int, steps: int) -> int:
    started, done, failed = time.monotonic(), 0, []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool:
        futures = {pool.submit(train_one, variant, *settings): variant.name for variant in todo}
        for future in as_completed(futures):
            name = futures[future]
            try:
                made, steps_made, loss = future.result()
            except Exception as error:  # whatever it is, the others go on
                failed.append(name)
                told = error if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
                print(f"{name} failed: {told}", file=sys.stderr, flush=True)
                continue
            done += steps_made
            left = (time.monotonic() - started) * (steps - done) / max(done, 1) / 60
            print(f"{name}: {made} checkpoints, last loss {loss:.3f}; {left:.0f} min left", flush=True)
    if failed:
        print(f"not made: {', '.join(failed)}; the same command goes on with them", file=sys.stderr)
    return EXIT_INCOMPLETE if failed else EXIT_DONE


def train_one(variant: Variant, plan: Plan, data: list[Path], validation: Path | None, out: Path, logs: Path,
              device: str, cache: Path | None) -> tuple[int, int, float]:
    """Train one miniature in this process: checkpoints made, steps, and the last loss of held-out images."""
    from bench.commands.train import load_images
    from bench.training.miniatures import make, read_record
    from bench.training.start.sweep import threads

    threads(1 if device == "cpu" else 0)
    made = []
    with (out / f"{variant.name}.txt").open("a") as told, redirect_stdout(told):
        images = load_images(data, validation, plan.crop, cache)
        for one in make(variant, plan, images, out, logs, device=device):
            made.append(one)
    held_out = read_record(made[-1].checkpoint)["held_out"]
    return len(made), sum(one.steps for one in made), held_out.get("loss", float("nan"))
