"""Do the whole job on a dataset: measure what is not stored, profile what is measured here, judge the claims, report.

What is stored is not measured again, wherever it was measured, and needs no images. A variant that is measured here is
profiled here too, in turns with the baseline; miniatures are not, since their time says nothing of their authors'
models. The report is reports/index.html. Exits with 1 when something failed, a decoder differed, or a codec or claim
got worse beyond its uncertainty since the accepted state (of the named codecs, where --codecs names some).

Examples:
  python -m bench assess kodak
  python -m bench assess kodak --codecs mine
  python -m bench assess ~/pictures --codecs mine,jpeg --no-latency
  python -m bench assess clic2020 --allow-partial
"""

from __future__ import annotations

import argparse

from bench.commands.arguments import add_folder_arguments, add_shared_machine_argument
from bench.commands.usage.evaluate import add_measuring_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("dataset", metavar="DATASET|FOLDER",
                        help="a set of datasets.yaml (`python -m bench datasets list`), or a folder of images")
    how = add_measuring_arguments(parser)
    how.add_argument("--no-latency", action="store_true", help="profile nothing")
    add_shared_machine_argument(how)
    add_folder_arguments(parser)
