"""Measure codecs on a dataset, and no more: `assess` does this, profiles, judges and reports.

Every image is encoded to a file, decoded from that file in a separate process, compared with the encoder's
own reconstruction, and scored on the decoded 8-bit image. Each image is stored as one row at once; what is
stored is not measured again, so an interrupted run goes on where it was.

Examples:
  python -m bench evaluate --dataset kodak --plan
  python -m bench evaluate --dataset kodak --codecs hpcm_base,vvenc
  python -m bench evaluate --dataset ~/pictures --codecs jpeg,webp --points q10,q55
  python -m bench evaluate --dataset kodak --variant hpcm_base --checkpoint my.pth --points 0.0067
  python -m bench evaluate --dataset clic2020 --allow-partial
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from bench.codecs.base import CODECS, CodecSpec
from bench.commands.arguments import (
    Group,
    add_results_argument,
    add_strict_argument,
    add_torch_arguments,
    parse_positive,
    split_names,
)
from bench.common.errors import EXIT_DONE, ConfigurationError
from bench.datasets import Dataset, resolve_dataset
from bench.metrics.quality import available_metrics, choose_metrics
from bench.results.rows import Row
from bench.results.store import Store
from bench.runners.evaluate.decoder_client import DECODE_TIMEOUT_S
from bench.runners.evaluate.plan import EvaluationPlan, describe_plan, make_plan
from bench.runners.evaluate.run import evaluate, stored_rows
from bench.runners.evaluate.selection import ALL, Chosen, choose_checkpoint, choose_codecs
from bench.runners.evaluate.summary import exit_code, summarise
from bench.runners.evaluate.unit import Unit
from bench.runners.machine import resolve_device
from bench.runners.progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("--dataset", required=True, metavar="NAME|FOLDER",
                        help="a set of datasets.yaml (`python -m bench datasets list`), or a folder of images")
    add_measuring_arguments(parser)
    add_results_argument(parser)


def add_measuring_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """What is measured and how, of the verbs that measure a dataset; returns the group that says how."""
    what = parser.add_argument_group("what to measure")
    add_codec_arguments(what)
    what.add_argument("--points", type=split_names, default=[], metavar="P,Q,...",
                      help="only these rate points, such as q55 or 0.0067 (default: all)")
    what.add_argument("--checkpoint", metavar="FILE",
                      help="measure this checkpoint of --variant; its λ is --points or the file's name")
    what.add_argument("--variant", metavar="NAME", help="the variant that --checkpoint belongs to")
    what.add_argument("--allow-partial", action="store_true",
                      help="measure an incomplete or altered set; every table and plot then says so")
    what.add_argument("--remeasure", action="store_true", help="measure again what is stored")
    what.add_argument("--here", action="store_true",
                      help="measure what was not measured on this machine, wherever else it was; both are kept")
    add_strict_argument(what)
    what.add_argument("--keep-failures", action="store_true",
                      help="let stored failures stand (default: they are tried again)")
    how = parser.add_argument_group("how to run")
    how.add_argument("--plan", action="store_true", help="print the plan and stop")
    add_torch_arguments(how)
    how.add_argument("--jobs", type=parse_positive, default=1, metavar="N",
                     help="codecs and rate points measured at the same time; rows record it, because it makes"
                          " times longer (default: 1)")
    how.add_argument("--decode-timeout", type=parse_positive, default=int(DECODE_TIMEOUT_S), metavar="SECONDS",
                     help="when a decoder counts as hanging (default: %(default)s)")
    how.add_argument("--keep-streams", metavar="FOLDER", help="keep the encoded files there")
    return how


def add_codec_arguments(group: Group) -> None:
    """Which codecs, and which quality metrics."""
    known = available_metrics()
    group.add_argument("--codecs", type=split_names, default=[ALL], metavar="A,B,...",
                       help="codecs, variants, or the groups all, classical, learned (default: all)")
    group.add_argument("--metrics", type=lambda text: choose_metrics(split_names(text)), default=known,
                       metavar="A,B,...",
                       help=f"quality metrics; stored rows that lack one get just that (default: {', '.join(known)})")


def run(args: argparse.Namespace) -> int:
    """Run the verb; 1 if anything failed, differed or was named and is missing."""
    chosen, store = choose_measured(args), Store(args.results)
    dataset = resolve_dataset(args.dataset, allow_partial=args.allow_partial)
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
        return choose_codecs(args.codecs, args.points)
    if args.checkpoint is None or args.variant is None:
        raise ConfigurationError("--checkpoint and --variant go together")
    if args.codecs == [ALL]:
        return choose_checkpoint(args.checkpoint, args.variant, args.points)
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
    images = sum(len(planned.unit.images) for planned in plan.pending)
    if images:
        with Progress(plan.make_forecast(), images) as progress:
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
