"""Measures codecs on a dataset."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.codecs.base import CODECS, CodecSpec
from bench.commands.engines import choose_device, choose_engine, leave_to_jobs, open_engine
from bench.commands.leftovers import merge_leftovers
from bench.common.errors import EXIT_DONE, ConfigurationError
from bench.common.files import require_writable
from bench.datasets import Dataset, resolve_dataset
from bench.results.rows import Row
from bench.results.store import Store
from bench.runners.engines.setup import LOCAL, Setup
from bench.runners.evaluate.jobs import choose_jobs
from bench.runners.evaluate.own_sets import name_apart, record_pictures
from bench.runners.evaluate.plan import EvaluationPlan, describe_plan, make_plan
from bench.runners.evaluate.run import evaluate, stored_rows
from bench.runners.evaluate.selection import ALL, Chosen, choose_checkpoint, choose_codecs
from bench.runners.evaluate.summary import exit_code, summarise
from bench.runners.evaluate.unit import Unit
from bench.runners.machine import resolve_device
from bench.runners.progress import Progress


def run(args: argparse.Namespace) -> int:
    """Run the verb; 1 if anything failed, differed or was named and is missing."""
    merge_leftovers(args.results)
    chosen, store = choose_measured(args), Store(args.results)
    dataset = name_apart(resolve_dataset(args.dataset, allow_partial=args.allow_partial), store)
    plan = plan_evaluation(args, dataset, chosen.specs, chosen, store)
    print(describe_plan(plan), flush=True)
    if args.plan:
        return EXIT_DONE
    rows = run_evaluation(args, plan, store)
    return EXIT_DONE if args.detach else exit_code(plan, rows, leave_claimed=args.leave_claimed)


def choose_measured(args: argparse.Namespace) -> Chosen:
    """What the options ask for.

    Raises:
        ConfigurationError: an unknown name, options that exclude each other, or nothing left to run.
    """
    if args.checkpoint is None and args.variant is None:
        return choose_codecs(args.codecs, args.points, exact=args.exact)
    if args.checkpoint is None or args.variant is None:
        raise ConfigurationError("--checkpoint and --variant go together")
    if args.codecs == [ALL]:
        return choose_checkpoint(args.checkpoint, args.variant, args.points, exact=args.exact)
    raise ConfigurationError("--checkpoint and --codecs exclude each other",
                             "run the other codecs by a command of their own")


def plan_evaluation(args: argparse.Namespace, dataset: Dataset, specs: Sequence[CodecSpec], chosen: Chosen,
                    store: Store) -> EvaluationPlan:
    """Compare what is wanted, ``specs`` of those chosen, with what is stored."""
    setup = choose_engine(args)
    streams = None if args.keep_streams is None else os.path.abspath(args.keep_streams)
    template = make_template(args, dataset, specs, setup, threads=args.threads, deterministic=args.deterministic,
                             jobs=args.jobs or 1, decode_timeout_s=args.decode_timeout, keep_streams=streams)
    plan = make_plan(dataset, specs, chosen.missing, store, template,
                     remeasure=args.remeasure, keep_failures=args.keep_failures, here=args.here or args.strict)
    if args.jobs is None and setup.engine == LOCAL and setup.slots is None:
        plan = choose_jobs(plan, args.results)
    return leave_to_jobs(plan, args.results, setup)


def run_evaluation(args: argparse.Namespace, plan: EvaluationPlan, store: Store) -> Mapping[str, Sequence[Row]]:
    """Measure what a plan leaves to do, print what it gave, and return the stored rows of each of its series."""
    record_pictures(plan.dataset, store)
    if plan.images_to_run:
        for folder in filter(None, (args.results, args.keep_streams)):
            require_writable(Path(folder))
        with open_engine(args, plan, store) as engine, \
                Progress(plan.make_forecast(), plan.images_to_run) as progress:
            evaluate(plan, store, progress, engine, remeasure=args.remeasure, leave_claimed=args.leave_claimed)
    rows = stored_rows(plan, store)
    if args.detach:
        return rows
    if summary := summarise(plan, rows):
        print(summary, flush=True)
    return rows


def make_template(args: argparse.Namespace, dataset: Dataset, specs: Sequence[CodecSpec], setup: Setup | None = None,
                  **settings: Any) -> Unit:
    """Return what all units of a run have in common.

    Args:
        setup: of the engine; this machine's unless given.
    """
    uses_torch = any(CODECS.get(spec.codec).uses_torch for spec in specs)
    device = args.device if uses_torch or args.device != "auto" else "cpu"  # which needs no look for a GPU
    device = resolve_device(device) if setup is None else choose_device(device, setup)
    return Unit(spec=CodecSpec("", "", ""), dataset=dataset.name, dataset_total=dataset.total, images=(),
                device=device, metrics=args.metrics, **settings)
