"""Time parts of the suite on this machine.

Examples:
  python -m bench benchmark                          list the benchmarks
  python -m bench benchmark biwkv                    the Bi-WKV operator on a GPU where there is one, else on the CPU
  python -m bench benchmark biwkv --device cpu --quick
  python -m bench benchmark all                      every one, and a table of all ratios (make bench)
"""

from __future__ import annotations

import argparse
import importlib

from bench.benchmarks import BENCHMARKS
from bench.common.errors import EXIT_DONE
from bench.runners.machine import resolve_device

ALL = "all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("name", nargs="?", metavar="NAME", help=f"which benchmark, or {ALL} (default: list them)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller cases, fewer repeats")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    if args.name is None:
        for name in BENCHMARKS:
            print(f"{name}: {BENCHMARKS.get(name)}")
        return EXIT_DONE

    from bench.benchmarks.benchmark import SideBySide, machine_line, ratio_table

    device = resolve_device(args.device)
    ratios: list[SideBySide] = []
    for name in BENCHMARKS if args.name == ALL else [args.name]:
        summary = BENCHMARKS.get(name)
        if args.name == ALL:
            print(f"\n{name}: {summary}", flush=True)
        report = importlib.import_module(f"bench.benchmarks.{name}").run(device, args.quick)
        print(report.text, flush=True)
        ratios += report.ratios
    if ratios:
        print(f"{machine_line(device)}\n{ratio_table(ratios)}")
    return EXIT_DONE
