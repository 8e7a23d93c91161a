"""Measure a sample of stored rows again on this machine, and say whether they come out alike.

Of each codec and rate point a few pictures are coded again, rows that other machines stored first. A learned codec may
differ by what adding floating-point numbers in another order does to single latents; a classical one gives the same
bytes, unless its library is of another version than the stored one. More than that is an error that names the row.
Rows of before their files' digests were stored are compared by size, decoded pixels and quality. What comes out is
stored in results/reproduction and shown in the dataset's report; stored rows stay as they are.

Examples:
  python -m bench reproduce kodak --plan
  python -m bench reproduce kodak
  python -m bench reproduce kodak --images 1 --codecs jpeg,hpcm_base_mini

Exit status: 0, 1 if a row differs by more or can't be measured, 2 if there is nothing to measure again.
"""

from __future__ import annotations

import argparse

from bench.commands.arguments import add_results_argument, add_torch_arguments, parse_positive, split_names
from bench.commands.evaluate import make_template
from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE
from bench.common.text import format_count
from bench.datasets import resolve_dataset
from bench.metrics.quality import available_metrics
from bench.results.store import Store
from bench.runners.evaluate.plan import describe_plan
from bench.runners.evaluate.selection import ALL, choose_codecs
from bench.runners.progress import Progress
from bench.runners.reproduce import ReproductionPlan, plan_reproduction, reproduce


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("dataset", metavar="NAME|FOLDER",
                        help="a set of datasets.yaml (`python -m bench datasets list`), or a folder of images")
    parser.add_argument("--images", type=parse_positive, default=3, metavar="N",
                        help="pictures of each codec and rate point (default: %(default)s)")
    parser.add_argument("--codecs", type=split_names, default=[ALL], metavar="A,B,...",
                        help="codecs, variants, or the groups all, classical, learned (default: all)")
    parser.add_argument("--points", type=split_names, default=[], metavar="P,Q,...",
                        help="only these rate points (default: all)")
    parser.add_argument("--allow-partial", action="store_true", help="choose from the pictures that are here")
    parser.add_argument("--plan", action="store_true", help="print the plan and stop")
    add_torch_arguments(parser)
    parser.add_argument("--jobs", type=parse_positive, default=1, metavar="N",
                        help="codecs and rate points measured at the same time (default: 1)")
    add_results_argument(parser)


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

    images = sum(len(planned.unit.images) for planned in plan.evaluation.units)
    with Progress(plan.evaluation.make_forecast(), images) as progress:
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
    dataset = resolve_dataset(args.dataset, allow_partial=args.allow_partial)
    chosen = choose_codecs(args.codecs, args.points)
    args.metrics = available_metrics()
    template = make_template(args, dataset, chosen.specs, threads=args.threads, deterministic=args.deterministic,
                             jobs=args.jobs)
    return plan_reproduction(dataset, chosen.specs, chosen.missing, Store(args.results), template, args.images)
