"""Measure codecs on a dataset.

Every image is encoded to a file, decoded from that file in a separate process, compared with the encoder's
own reconstruction, and scored on the decoded 8-bit image. Each image is stored as one row at once; what is
stored is not measured again, so an interrupted run goes on where it was.

Examples:
  python -m bench evaluate --dataset kodak --plan
  python -m bench evaluate --dataset kodak --codecs hpcm_base,vvenc
  python -m bench evaluate --dataset ~/pictures --codecs jpeg,webp --points q10,q55
  python -m bench evaluate --dataset kodak --variant hpcm_base --checkpoint my.pth --points 0.0067
  python -m bench evaluate --dataset clic2020 --allow-partial --report
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from bench.codecs.base import CODECS, CodecSpec
from bench.commands.arguments import (
    Group,
    add_folder_arguments,
    add_strict_argument,
    add_torch_arguments,
    open_results,
    parse_positive,
    split_names,
)
from bench.commands.report import report_on
from bench.common.errors import EXIT_DONE, ConfigurationError
from bench.datasets import Dataset, DatasetUnavailable, resolve_dataset
from bench.metrics.quality import available_metrics, choose_metrics
from bench.results.machines import find_machine
from bench.results.store import Store
from bench.runners.evaluate.decoder_client import DECODE_TIMEOUT_S
from bench.runners.evaluate.plan import describe_plan, make_plan
from bench.runners.evaluate.run import evaluate, stored_rows
from bench.runners.evaluate.selection import ALL, Chosen, choose_checkpoint, choose_codecs
from bench.runners.evaluate.summary import exit_code, summarise
from bench.runners.evaluate.unit import Unit
from bench.runners.machine import resolve_device
from bench.runners.progress import Progress

SUBSTITUTE = "sample"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    what = parser.add_argument_group("what to measure")
    what.add_argument("--dataset", required=True, metavar="NAME|FOLDER",
                      help="a set of datasets.yaml (`python -m bench datasets list`), or a folder of images")
    add_codec_arguments(what)
    what.add_argument("--points", type=split_names, default=[], metavar="P,Q,...",
                      help="only these rate points, such as q55 or 0.0067 (default: all)")
    what.add_argument("--checkpoint", metavar="FILE",
                      help="measure this checkpoint of --variant; its λ is --points or the file's name")
    what.add_argument("--variant", metavar="NAME", help="the variant that --checkpoint belongs to")
    what.add_argument("--allow-partial", action="store_true",
                      help="measure an incomplete or altered set; every table and plot then says so")
    what.add_argument("--or-sample", action="store_true",
                      help=f"where the set can't be had, say so and measure the embedded set '{SUBSTITUTE}'")
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
    where = parser.add_argument_group("where results go")
    add_folder_arguments(where)
    where.add_argument("--report", action="store_true", help="build the dataset's report afterwards")
    where.add_argument("--keep-streams", metavar="FOLDER", help="keep the encoded files there")


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
    if args.allow_partial and args.or_sample:
        raise ConfigurationError("--allow-partial and --or-sample exclude each other")
    dataset, notice = _dataset(args)
    store = Store(args.results)
    chosen = _chosen(args)
    template = make_template(args, dataset, chosen.specs, threads=args.threads, deterministic=args.deterministic,
                             jobs=args.jobs, decode_timeout_s=args.decode_timeout, keep_streams=args.keep_streams)
    plan = make_plan(dataset, chosen.specs, chosen.missing, store, template,
                     remeasure=args.remeasure, keep_failures=args.keep_failures, here=args.here)
    print(describe_plan(plan), flush=True)
    if args.plan:
        return EXIT_DONE
    images = sum(len(planned.unit.images) for planned in plan.pending)
    if images:
        with Progress(plan.expected_s, images) as progress:
            evaluate(plan, store, progress, remeasure=args.remeasure, keep_failures=args.keep_failures)
    rows = stored_rows(plan, store, find_machine() if args.here or args.strict else None)
    print(summarise(plan, rows), flush=True)
    if args.report:
        report_on("rate", open_results(args), args.reports, [dataset.name])
    if notice:
        print(notice)
    return exit_code(plan, rows)


def _dataset(args: argparse.Namespace) -> tuple[Dataset, str]:
    """Return the dataset, and what to say last where it is not the one that was asked for."""
    try:
        return resolve_dataset(args.dataset, allow_partial=args.allow_partial), ""
    except DatasetUnavailable as error:
        if not args.or_sample:
            raise
        substitute = resolve_dataset(SUBSTITUTE)
        print(f"'{args.dataset}' can't be had here: measuring the embedded set '{SUBSTITUTE}' in its place"
              f" ({substitute.title}, {substitute.coverage})", flush=True)
        print(f"{error}\n", file=sys.stderr)
        return substitute, (f"this was the embedded set '{SUBSTITUTE}' ({substitute.coverage}), not"
                            f" '{args.dataset}', which can't be had here")


def make_template(args: argparse.Namespace, dataset: Dataset, specs: Sequence[CodecSpec], **settings: Any) -> Unit:
    """Return what all units of a run have in common."""
    uses_torch = any(CODECS.get(spec.codec).uses_torch for spec in specs)
    device = args.device if uses_torch or args.device != "auto" else "cpu"  # which needs no look for a GPU
    return Unit(spec=CodecSpec("", "", ""), dataset=dataset.name, dataset_total=dataset.total, images=(),
                device=resolve_device(device), metrics=args.metrics, **settings)


def _chosen(args: argparse.Namespace) -> Chosen:
    if args.checkpoint is None and args.variant is None:
        return choose_codecs(args.codecs, args.points)
    if args.checkpoint is None or args.variant is None:
        raise ConfigurationError("--checkpoint and --variant go together")
    if args.codecs == [ALL]:
        return choose_checkpoint(args.checkpoint, args.variant, args.points)
    raise ConfigurationError("--checkpoint and --codecs exclude each other",
                             "run the other codecs by a command of their own")
