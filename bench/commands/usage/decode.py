"""Decode one file of `encode` into a picture without loss: PNG, or by its suffix PPM, BMP or TIFF.

The file says what it was coded with; its weights are looked for where variants.yaml says, or given with --checkpoint,
and refused where they are not those that it was coded with. A bare payload, as `evaluate --keep-streams` keeps it, says
nothing: it needs --variant and --lambda too.

What is printed says whether the picture was checked. Checked: the latents have the checksum that the encoder stored, so
that the picture is the encoder's but for one level that floating-point sums may differ by. Unchecked: the file has no
such checksum, as those of the first format. A decoder that drifts from the encoder gives an error and no picture.

Examples:
  python -m bench decode kodim01.lic -o kodim01.png
  python -m bench decode kodim01.lic --checkpoint my.pth -o kodim01.png
  python -m bench decode kept/kodak/hpcm_base/0.013/kodim01.png.bin --variant hpcm_base --lambda 0.013 -o kodim01.png
  cat kodim01.lic | python -m bench decode - -o - > kodim01.png

Exit status: 0 done, 1 the file does not decode here to what was encoded, 2 bad input or configuration.
"""

from __future__ import annotations

import argparse

from bench.commands.arguments import add_output_arguments, add_torch_arguments, add_weights_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("file", metavar="FILE", help="a file of `encode`, or - for standard input")
    add_output_arguments(parser, "IMAGE.png", "the picture")
    weights = parser.add_argument_group("what to decode with")
    add_weights_arguments(weights, required=False)
    add_torch_arguments(parser.add_argument_group("how to run"))
