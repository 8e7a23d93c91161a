"""Measure codecs on a dataset, and no more: `assess` does this, profiles, judges and reports.

Every image is encoded to a file, decoded from that file in a separate process, compared with the encoder's
own reconstruction, and scored on the decoded 8-bit image. Each image is stored as one row at once; what is
stored is not measured again, so an interrupted run goes on where it was.

Examples:
  python -m bench evaluate --dataset kodak --plan
  python -m bench evaluate --dataset kodak --codecs hpcm_base,vvenc
  python -m bench evaluate --dataset ~/pictures --codecs jpeg,webp --points q10,q55
  python -m bench evaluate --dataset kodak --variant hpcm_base --checkpoint my.pth --points 0.0067
  python -m bench evaluate --dataset kodak --codecs hpcm_base --exact
  python -m bench evaluate --dataset clic2020 --allow-partial
  python -m bench evaluate --dataset clic2020 --engine slurm --partition gpu --gpus 1
"""

from __future__ import annotations

import argparse

from bench.commands.arguments import (
    Group,
    add_engine_arguments,
    add_results_argument,
    add_strict_argument,
    add_torch_arguments,
    parse_jobs,
    parse_metrics,
    parse_positive,
    split_names,
)
from bench.runners.evaluate import DECODE_TIMEOUT_S


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
    what.add_argument("--exact", action="store_true",
                      help="learned codecs in their exact configuration, a series VARIANT_exact of its own: other"
                           " machines decode the same latents (docs/exact.md); classical codecs are as always")
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
    how.add_argument("--jobs", type=parse_jobs, default="auto", metavar="N|auto",
                     help="codecs and rate points measured at the same time; rows record it, because it makes times"
                          " longer (default: auto, one on each GPU, and as many others as make the run fastest"
                          " without taking cores from each other)")
    how.add_argument("--leave-claimed", action="store_true",
                     help="end when all that is left is being measured by other runs (default: wait for them, and"
                          " measure what they leave); for job arrays")
    how.add_argument("--decode-timeout", type=parse_positive, default=DECODE_TIMEOUT_S, metavar="SECONDS",
                     help="when a decoder counts as hanging (default: %(default)s)")
    how.add_argument("--keep-streams", metavar="FOLDER", help="keep the encoded files there")
    add_engine_arguments(parser.add_argument_group("on which machines to run"))
    return how


def add_codec_arguments(group: Group) -> None:
    """Which codecs, and which quality metrics."""
    group.add_argument("--codecs", type=split_names, default=["all"], metavar="A,B,...",
                       help="codecs, variants, or the groups all, classical, learned (default: all)")
    group.add_argument("--metrics", type=parse_metrics, default="all", metavar="A,B,...",
                       help="quality metrics; stored rows that lack one get just that (default: all known here)")
