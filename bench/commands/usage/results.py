"""Show and tidy what is stored under results/.

  python -m bench results list                       what is stored of what, by dataset and codec
  python -m bench results migrate                    write rows of an older schema as rows of today's
  python -m bench results prune                      drop superseded rows of the same machine, set damaged lines aside
  python -m bench results drop kodak jpeg --points q10   drop rows of a codec, or of some of its rate points

Older rows are read as they are; migrate only spares reading them anew. It also adds the SHA-256 of the originals'
pixels where these pictures are here. Damaged lines go to FILE.damaged beside their file.

Exit status: 0 done, 2 what is to be dropped is not stored, or a file can't be read or written.
"""

from __future__ import annotations

import argparse

from bench.commands.arguments import add_results_argument, split_names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions list, migrate, prune and drop."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="show what is stored")
    actions.add_parser("migrate", help="write rows of an older schema as rows of today's")
    actions.add_parser("prune", help="drop superseded rows, set damaged lines aside")
    drop = actions.add_parser("drop", help="drop the rows of a codec on a dataset")
    drop.add_argument("dataset", metavar="DATASET")
    drop.add_argument("name", metavar="CODEC", help="as `results list` calls it")
    drop.add_argument("--points", type=split_names, default=[], metavar="P,Q,...", help="only these rate points")
    for action in actions.choices.values():
        add_results_argument(action)
