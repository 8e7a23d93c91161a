"""List, merge and cancel what was submitted to a cluster by --engine.

  python -m bench jobs list               the runs, how many of their batches are left, how many jobs live
  python -m bench jobs merge              store what runs whose command has ended have measured so far
  python -m bench jobs cancel RUN         end the jobs of a run and no others, then store what they measured

A run whose command still goes on stores its rows itself. Every evaluate, assess and report merges first.

Exit status: 0 done, 2 there is no such run, or its jobs could not be ended.
"""

from __future__ import annotations

import argparse

from bench.commands.arguments import add_results_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions list, merge and cancel."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="show the runs")
    actions.add_parser("merge", help="store what was measured")
    cancel = actions.add_parser("cancel", help="end the jobs of a run")
    cancel.add_argument("run", metavar="RUN", help="as `jobs list` calls it")
    for action in actions.choices.values():
        add_results_argument(action)
