"""List, verify and fetch the image sets of datasets.yaml.

  python -m bench datasets list                  what is known, what is here, and where
  python -m bench datasets verify kodak          the state of each image; without a name, of every set
  python -m bench datasets verify photos/        read every image of a folder of your own
  python -m bench datasets fetch kodak clic2020  download what is missing (resumes)

Sets are looked for in $BENCH_DATA, data/ and ../shared/data, each with one folder a set, and are downloaded
into $BENCH_DATA or else data/. States of an image:

  verified   its SHA-256 is the one in datasets.yaml
  unpinned   no SHA-256 is published; name and dimensions are right, and verify could read it
  altered    it is not the set's image
  missing    it is not here

Exit status: 0 done, 1 verify found something missing, altered or unreadable, 2 bad input.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions list, verify and fetch."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="show the sets, what is here of each, and where")
    verify = actions.add_parser("verify", help="check every image; exit status 1 when one is not right")
    verify.add_argument("names", nargs="*", metavar="NAME|PATH", help="sets or folders (default: every set)")
    fetch = actions.add_parser("fetch", help="download what is missing of a set")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="sets to fetch")
