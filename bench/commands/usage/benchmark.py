"""Time parts of the suite on this machine.

Examples:
  python -m bench benchmark                          list the benchmarks
  python -m bench benchmark biwkv                    the Bi-WKV operator on a GPU where there is one, else on the CPU
  python -m bench benchmark biwkv --device cpu --quick
  python -m bench benchmark goals                    those that have goals, at most 10 minutes on two cores (make bench)
  python -m bench benchmark all                      every one
"""

from __future__ import annotations

import argparse

ALL, GOALS = "all", "goals"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("name", nargs="?", metavar="NAME",
                        help=f"which benchmark, {GOALS} or {ALL} (default: list them)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller cases, fewer repeats")
