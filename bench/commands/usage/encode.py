"""Encode one picture with a learned codec, into a file that `decode` needs nothing else to decode.

In front of the file that evaluations measure, the payload, stands an envelope: variant, λ, a digest of the weights and
a checksum. Rates are of the payload alone, over the picture's pixels; the envelope's bytes are told apart. Samples are
coded as they are stored: 8-bit RGB, without colour profile and orientation.

The file is decoded once here before it is written, which also gives its PSNR: one that does not decode to the encoder's
own picture, but for one level that floating-point sums may differ by, is not written. On another machine floating-point
sums differ too, and a file may be refused there; one that was coded with --exact is not.

Examples:
  python -m bench encode kodim01.png --variant hpcm_base --lambda 0.013 -o kodim01.lic
  python -m bench encode kodim01.png --variant hpcm_base --lambda 0.013 --exact -o kodim01.lic
  python -m bench encode kodim01.png --variant hpcm_base --lambda 0.013 --checkpoint my.pth -o kodim01.lic
  cat kodim01.png | python -m bench encode - --variant hpcm_base_mini --lambda 0.013 -o - > kodim01.lic

Exit status: 0 done, 1 the file did not decode to the encoder's picture, 2 bad input or configuration.
"""

from __future__ import annotations

import argparse

from bench.commands.arguments import add_output_arguments, add_torch_arguments, add_weights_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("image", metavar="IMAGE", help="an image file, or - for standard input")
    add_output_arguments(parser, "FILE", "the encoded file")
    weights = parser.add_argument_group("what to encode with")
    add_weights_arguments(weights, required=True)
    how = parser.add_argument_group("how to run")
    how.add_argument("--no-check", dest="check", action="store_false",
                     help="do not decode the file before it is written")
    add_torch_arguments(how)
