"""Measure what variants cost: latency, stages, memory and operations.

Encode is timed from 8-bit pixels to bytes, decode from bytes to 8-bit pixels, all variants in turns. Where no
checkpoint of a variant is here, random weights with a realistic rate take its place; rows say so. Rows go to
results/latency/<device>/<variant>.jsonl as soon as they are complete.

Examples:
  python -m bench profile                                    all variants at full width
  python -m bench profile --quick
  python -m bench profile hpcm_base hpcm_large --shapes 768x512,1200x1200
  python -m bench profile hpcm_base --configurations default,channels-last,compiled
  python -m bench profile hpcm_base --image photo.png --trace
"""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.arguments import add_folder_arguments, add_torch_arguments, parse_positive, split_names
from bench.commands.report import report_on
from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE
from bench.results.rows import OK
from bench.results.stored import LATENCY, StoredResults
from bench.runners.machine import configure_torch, device_name, resolve_device

if TYPE_CHECKING:
    from bench.runners.profile.plan import Settings

SHAPES = {"cpu": "768x512,256x256", "cuda": "768x512,512x768,1200x1200,2048x1365"}
LEAST = 6  # samples: fewer have no interval
BUDGET_S = 600.0
QUICK_SHAPES, QUICK_BUDGET_S, QUICK_REPEATS = "256x256", 60.0, 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    what = parser.add_argument_group("what to measure")
    what.add_argument("variants", nargs="*", metavar="VARIANT",
                      help="default: all at full width but hpcm_1b and cheng2020_attn, which take long, and variants "
                      "that are only trained otherwise; these are measured when they are named")
    what.add_argument("--shapes", metavar="WxH,...",
                      help=f"default: {SHAPES['cpu']}; on a GPU {SHAPES['cuda']}")
    what.add_argument("--image", type=Path, metavar="FILE", help="measure this image in its own size, not shapes")
    what.add_argument("--configurations", type=split_names, default=["default"], metavar="A,B,...",
                      help="default, channels-last, contiguous, half-precision, compiled, cuda-graphs; the last three "
                      "change the transforms alone, and channels-last is the default of the suite's own models")
    what.add_argument("--batch", type=parse_positive, default=1, metavar="N",
                      help="images in a pass; the file codec codes them one after another (default: 1)")
    how = parser.add_argument_group("how to measure")
    add_torch_arguments(how)
    how.add_argument("--repeats", type=parse_positive, metavar="N", help="samples of each pass (default: 10)")
    how.add_argument("--budget", type=parse_positive, metavar="SECONDS",
                     help=f"of sampling in all, after which {LEAST} samples must do (default: {BUDGET_S:g})")
    how.add_argument("--quick", action="store_true", help=f"a look: {QUICK_SHAPES}, {QUICK_REPEATS} repeats")
    how.add_argument("--resume", action="store_true", help="leave out what is stored")
    how.add_argument("--plan", action="store_true", help="print the plan and stop")
    where = parser.add_argument_group("where results go")
    where.add_argument("--trace", action="store_true",
                       help="write torch.profiler's traces and operator tables instead, to reports/latency/traces")
    where.add_argument("--no-report", action="store_true", help="leave the report as it is")
    add_folder_arguments(where)


def run(args: argparse.Namespace) -> int:
    """Run the verb; 1 if anything failed or a decoded image differed."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # or the profiler warns of what doesn't matter here
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")
    from bench.runners.profile.candidate import write_traces
    from bench.runners.profile.plan import describe_plan, group_subjects, select_pending
    from bench.runners.profile.run import profile_groups, summarise_rows
    from bench.runners.profile.subjects import choose_subjects

    settings = _settings(args)
    subjects = choose_subjects(args.variants, args.configurations, settings.device)
    device = device_name(settings.device)
    folder = latency_folder(args.results, device)
    if args.resume:
        stored = StoredResults(args.results).latencies(folder.name).stored
        done = [row.key for row in stored if row.status == OK]  # failures are tried again
        subjects = select_pending(subjects, settings, device, done)
    if not subjects:
        print("all of it is stored; leave --resume away to measure it again")
        return EXIT_DONE

    groups = group_subjects(subjects, settings)
    settings = replace(settings, groups=len(groups))
    print(describe_plan(groups, settings, device), flush=True)
    if args.plan:
        return EXIT_DONE
    if args.trace:
        for path in write_traces(subjects, settings, args.reports / "latency" / "traces"):
            print(f"wrote {path}", flush=True)
        return EXIT_DONE

    rows = profile_groups(groups, settings, folder)
    print(summarise_rows(rows), flush=True)
    if not args.no_report:
        report_on("latency", StoredResults(args.results), args.reports)
    wrong = any(row.status != OK or row.decode_matches is False for row in rows)
    return EXIT_INCOMPLETE if wrong else EXIT_DONE


def latency_folder(results: Path, device: str) -> Path:
    """Where the rows of a device are: its name in small letters and digits."""
    return results / LATENCY / (re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") or "device")


def _settings(args: argparse.Namespace) -> Settings:
    from torch import get_num_threads

    from bench.datasets.images import image_size
    from bench.runners.profile.plan import Picture, Settings, parse_picture
    from bench.runners.profile.protocol import Protocol

    device = resolve_device(args.device)
    configure_torch(args.threads, args.deterministic)
    torch_options = {"threads": get_num_threads(), "deterministic": args.deterministic}
    if args.image is not None:
        pictures = [Picture(*image_size(args.image), args.image)]
    else:
        shapes = args.shapes or (QUICK_SHAPES if args.quick else SHAPES[device])
        pictures = [parse_picture(shape) for shape in split_names(shapes)]

    repeats = args.repeats or (QUICK_REPEATS if args.quick else Protocol.repeats)
    budget_s = args.budget or (QUICK_BUDGET_S if args.quick else BUDGET_S)
    protocol = Protocol(repeats, budget_s, least=min(LEAST, repeats))
    return Settings(device, tuple(dict.fromkeys(pictures)), args.batch, protocol, torch_options)
