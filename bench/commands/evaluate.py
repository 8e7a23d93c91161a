"""Measures codecs on a dataset."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from bench.codecs.base import CODECS, CodecSpec
from bench.common.errors import EXIT_DONE, ConfigurationError
from bench.datasets import Dataset, resolve_dataset
from bench.results.rows import Row
from bench.results.store import Store
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
    chosen, store = choose_measured(args), Store(args.results)
    dataset = name_apart(resolve_dataset(args.dataset, allow_partial=args.allow_partial), store)
    plan = plan_evaluation(args, dataset, chosen.specs, chosen, store)
    print(describe_plan(plan), flush=True)
    if args.plan:
        return EXIT_DONE
    return exit_code(plan, run_evaluation(args, plan, store))


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
    template = make_template(args, dataset, specs, threads=args.threads, deterministic=args.deterministic,
                             jobs=args.jobs, decode_timeout_s=args.decode_timeout, keep_streams=args.keep_streams)
    return make_plan(dataset, specs, chosen.missing, store, template,
                     remeasure=args.remeasure, keep_failures=args.keep_failures, here=args.here or args.strict)


def run_evaluation(args: argparse.Namespace, plan: EvaluationPlan, store: Store) -> Mapping[str, Sequence[Row]]:
    """Measure what a plan leaves to do, print what it gave, and return the stored rows of each of its series."""
    record_pictures(plan.dataset, store)
    if plan.images_to_run:
        with Progress(plan.make_forecast(), plan.images_to_run) as progress:
            evaluate(plan, store, progress, remeasure=args.remeasure, keep_failures=args.keep_failures)
    rows = stored_rows(plan, store)
    if summary := summarise(plan, rows):
        print(summary, flush=True)
    return rows


def make_template(args: argparse.Namespace, dataset: Dataset, specs: Sequence[CodecSpec], **settings: Any) -> Unit:
    """Return what all units of a run have in common."""
    uses_torch = any(CODECS.get(spec.codec).uses_torch for spec in specs)
    device = args.device if uses_torch or args.device != "auto" else "cpu"  # which needs no look for a GPU
    return Unit(spec=CodecSpec("", "", ""), dataset=dataset.name, dataset_total=dataset.total, images=(),
                device=resolve_device(device), metrics=args.metrics, **settings)
