"""Measures a sample of stored rows again and compares."""

from __future__ import annotations

import argparse

from bench.commands.evaluate import make_template
from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE
from bench.common.files import require_writable
from bench.common.text import format_count
from bench.datasets import resolve_dataset
from bench.metrics.quality import available_metrics
from bench.results.store import Store
from bench.runners.evaluate.own_sets import name_apart
from bench.runners.evaluate.plan import describe_plan
from bench.runners.evaluate.selection import choose_codecs
from bench.runners.progress import Progress
from bench.runners.reproduce import ReproductionPlan, plan_reproduction, reproduce


def run(args: argparse.Namespace) -> int:
    """Measure the sample, compare and report; 1 if a row differs by more than noise."""
    plan, store = _make_plan(args), Store(args.results)
    print(describe_plan(plan.evaluation), flush=True)
    for text in plan.left_out:
        print(f"left out: {text}")
    if args.plan:
        return EXIT_DONE

    from bench.reports.page.render import to_text
    from bench.reports.rate.reproduction import describe_reproduction, describe_wrong, reproduction_table

    require_writable(args.results)
    with Progress(plan.evaluation.make_forecast(), plan.evaluation.images_to_run) as progress:
        found = list(reproduce(plan, store, progress))
    print(to_text(reproduction_table(found, plan.evaluation.dataset.title, by_point=True)))
    print(f"\n{describe_reproduction(found)}")

    wrong = describe_wrong(found)
    for text in wrong:
        print(f"error: {text}")
    if wrong:
        print(f"{format_count(len(wrong), 'stored row')} can't be reproduced here")
    return EXIT_INCOMPLETE if wrong or any(one.named for one in plan.evaluation.missing) else EXIT_DONE


def _make_plan(args: argparse.Namespace) -> ReproductionPlan:
    store = Store(args.results)
    dataset = name_apart(resolve_dataset(args.dataset, allow_partial=args.allow_partial), store)
    chosen = choose_codecs(args.codecs, args.points)
    args.metrics = available_metrics()
    template = make_template(args, dataset, chosen.specs, threads=args.threads, deterministic=args.deterministic,
                             jobs=args.jobs)
    return plan_reproduction(dataset, chosen.specs, chosen.missing, store, template, args.images)
