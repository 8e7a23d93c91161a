"""Trains the miniatures of every variant."""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from bench.commands.training_options import load_images
from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE, BenchError, ConfigurationError
from bench.common.folders import default_folder
from bench.common.interruption import note_stored
from bench.common.processes import call_apart
from bench.common.text import suggest_name
from bench.runners.machine import resolve_device
from bench.variants import Variant, load_variants

if TYPE_CHECKING:  # what imports torch is imported where it is used, so that --help stays quick
    from bench.training.miniatures import MiniatureFolders, MiniaturePlan


def run(args: argparse.Namespace) -> int:
    from bench.training.miniatures import MiniatureFolders, MiniaturePlan, is_made, plan_runs

    variants, device = _choose_variants(args.only), resolve_device(args.device)
    plan = MiniaturePlan(first_steps=args.steps[0], steps=args.steps[1]) if args.steps else MiniaturePlan()
    folders = MiniatureFolders(default_folder("runs") / "miniatures", default_folder("results") / "training")
    if args.out:
        folders = MiniatureFolders(args.out, args.out / "training", args.out / "checkpoints")

    missing = {variant.name: [run for run in plan_runs(variant, plan, folders.checkpoints) if not is_made(run)]
               for variant in variants}
    todo = [variant for variant in variants if missing[variant.name]]
    steps = sum(run.steps for runs in missing.values() for run in runs)
    print(f"{len(variants)} miniatures, {len(variants) - len(todo)} made already; {steps} steps to go")
    if not todo:
        return EXIT_DONE

    load_images(args, plan.crop)  # once, before several ask for it
    folders.runs.mkdir(parents=True, exist_ok=True)
    processes = args.processes or (os.cpu_count() or 1 if device == "cpu" else 4)
    return _train_all(todo, (plan, folders, args, device), processes, steps)


def _choose_variants(only: list[str]) -> list[Variant]:
    from bench.training.miniatures import order_miniatures

    variants = order_miniatures(load_variants())
    known = [variant.name for variant in variants]
    for name in only:
        if name not in known:
            raise ConfigurationError(f"there is no miniature called {name}", suggest_name(name, known))
    return [variant for variant in variants if not only or variant.name in only]


def _train_all(todo: list[Variant], settings: tuple, processes: int, steps: int) -> int:
    started, done, failed = time.monotonic(), 0, []
    note_stored("no miniature is done yet; each keeps its last saved step")
    calls = {variant.name: (variant, *settings) for variant in todo}
    for number, (name, outcome) in enumerate(call_apart(train_one, calls, processes), start=1):
        note_stored(f"{number} of {len(todo)} miniatures are done; each other keeps its last saved step")
        try:
            made, steps_made, loss = outcome.result()
        except Exception as error:  # whatever it is, the others go on
            failed.append(name)
            message = error if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
            print(f"{name} failed: {message}", file=sys.stderr, flush=True)
            continue
        done += steps_made
        left_min = (time.monotonic() - started) * (steps - done) / max(done, 1) / 60
        print(f"{name}: {made} checkpoints, last loss {loss:.3f}; {left_min:.0f} min left", flush=True)
    if failed:
        print(f"not made: {', '.join(failed)}; the same command goes on with them", file=sys.stderr)
    return EXIT_INCOMPLETE if failed else EXIT_DONE


def train_one(variant: Variant, plan: MiniaturePlan, folders: MiniatureFolders, args: argparse.Namespace,
              device: str) -> tuple[int, int, float]:
    """Train one miniature in this process: checkpoints made, steps, and the last loss of held-out images."""
    from bench.training.miniatures import read_record, train_miniature
    from bench.training.processes import set_threads

    set_threads(1 if device == "cpu" else 0)
    with (folders.runs / f"{variant.name}.txt").open("a") as output, redirect_stdout(output):
        made = list(train_miniature(variant, plan, folders, load_images(args, plan.crop), device))
    held_out = read_record(made[-1].checkpoint)["held_out"]
    return len(made), sum(run.steps for run in made), held_out.get("loss", float("nan"))
