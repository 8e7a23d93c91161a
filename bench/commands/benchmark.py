"""Time parts of the suite on this machine.

Examples:
  python -m bench benchmark                          list the benchmarks
  python -m bench benchmark biwkv                    the Bi-WKV operator on a GPU where there is one, else on the CPU
  python -m bench benchmark biwkv --device cpu --quick
"""

from __future__ import annotations

import argparse

from bench.errors import EXIT_DONE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="which benchmark (default: list them)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller cases, fewer repeats")


def run(args: argparse.Namespace) -> int:
    from bench.benchmarks import BENCHMARKS
    from bench.runners.machine import resolve_device

    if args.name is None:
        for name in BENCHMARKS:
            print(f"{name}: {BENCHMARKS.get(name).summary}")
        return EXIT_DONE
    print(BENCHMARKS.get(args.name).run(resolve_device(args.device), args.quick))
    return EXIT_DONE
