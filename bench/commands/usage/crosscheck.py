"""Decode files under other settings, or on another machine, than they were encoded under.

Every picture is encoded here, as usual or under a setting, and its file decoded in fresh processes: with other vector
instructions of torch and oneDNN, other threads, without compiled operators, on a GPU. A row says whether pixels and
latents are the encoder's: identical, off by one level, latents identical, failed with an error, or wrong without one.
An error is a finding, and the run goes on. What is stored is not decoded again.

For another machine, --export writes files, the encoder's pictures and a manifest into a folder; --import decodes them
there, with weights of its own that have the same digest, and stores the rows there. Their file,
results/crosscheck/DATASET/CODEC.jsonl, can be carried back and appended to the one here.

Settings: same (as usual), aten-default, aten-avx2, onednn-sse41, onednn-avx2, mkl-compatible (MKL's code for
any processor), threads-1, threads-2, scalar (ATen without vectors, oneDNN SSE4.1 and two threads), python (no compiled
operators), cuda; all is what this machine has.

Examples:
  python -m bench crosscheck --dataset kodak --codecs hpcm_base_mini --images 3
  python -m bench crosscheck --dataset kodak --codecs hpcm_base_mini --exact --decode-on scalar,threads-2
  python -m bench crosscheck --dataset kodak --codecs hpcm_base_mini --format 1
  python -m bench crosscheck --dataset kodak --codecs hpcm_base_mini --export coded
  python -m bench crosscheck --import coded

Exit status: 0, 1 if a picture came out wrong without an error or something could not be encoded, 2 for bad input.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands.arguments import add_results_argument, parse_positive, split_names
from bench.runners.evaluate import DECODE_TIMEOUT_S


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    what = parser.add_argument_group("what to code")
    what.add_argument("--dataset", metavar="NAME|FOLDER",
                      help="a set of datasets.yaml (`python -m bench datasets list`), or a folder of images")
    what.add_argument("--codecs", type=split_names, default=["learned"], metavar="A,B,...",
                      help="codecs, variants, or the groups all, classical, learned (default: learned)")
    what.add_argument("--points", type=split_names, default=[], metavar="P,Q,...",
                      help="only these rate points (default: all)")
    what.add_argument("--images", type=parse_positive, metavar="N", help="only the first pictures (default: all)")
    what.add_argument("--allow-partial", action="store_true", help="take the pictures that are here")
    what.add_argument("--exact", action="store_true", help="the exact configuration of learned codecs")
    what.add_argument("--format", type=parse_positive, metavar="V",
                      help="version of learned codecs' files: 1 is without checksum and common tables (default: 2)")
    what.add_argument("--import", type=Path, dest="imported", metavar="FOLDER",
                      help="decode what --export wrote on another machine, instead of coding here")
    how = parser.add_argument_group("how to decode")
    how.add_argument("--decode-on", type=split_names, default=["all"], metavar="SETTING,...",
                     help="settings, see above (default: all)")
    how.add_argument("--encode-on", default="same", metavar="SETTING", help="a setting to encode under (default: same)")
    how.add_argument("--export", type=Path, metavar="FOLDER",
                     help="write files for another machine, and decode nothing")
    how.add_argument("--device", choices=("cpu", "cuda"), default="cpu",
                     help="that codecs usually run on (default: cpu)")
    how.add_argument("--threads", type=parse_positive, metavar="N",
                     help="torch's threads, usually (default: torch's own)")
    how.add_argument("--decode-timeout", type=parse_positive, default=DECODE_TIMEOUT_S, metavar="SECONDS",
                     help="when a decoder counts as hanging (default: %(default)s)")
    how.add_argument("--remeasure", action="store_true", help="decode again what is stored")
    how.add_argument("--plan", action="store_true", help="print the plan and stop")
    add_results_argument(parser)
