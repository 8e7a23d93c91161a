"""Encodes one picture into a file that knows what it was coded with."""

from __future__ import annotations

import argparse
from typing import cast

import numpy as np

from bench.codecs.base import Encoding
from bench.codecs.envelope import pack_envelope
from bench.codecs.learned_codec import LearnedCodec
from bench.commands.single_files import (
    STANDARD,
    build_codec_here,
    describe_codec,
    describe_payload,
    name_input,
    open_output,
    read_input,
)
from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE, CodecError
from bench.datasets.images import decode_rgb8, read_rgb8
from bench.metrics.quality import PSNR, measure_quality
from bench.runners.evaluate.selection import choose_point

FLOATING_POINT = 1  # level that sums of floating-point numbers in another order make of a sample


def run(args: argparse.Namespace) -> int:
    """Run the verb.

    Raises:
        BenchError: anything of it can't be read, built, coded or written; nothing is written then.
    """
    with open_output(args.output, args.force) as write:
        spec = choose_point(args.variant, args.lambda_, args.checkpoint, exact=args.exact)
        image = _read_picture(args.image)
        codec = build_codec_here(args, spec)
        encoding = codec.encode(image)
        check = _check(codec, encoding, image) if args.check else "unchecked: was not decoded here"

        payload = encoding.stream
        lambda_ = cast(float, spec.point_settings["lambda"])
        envelope = pack_envelope(args.variant, lambda_, args.exact, codec.weights_digest, payload)
        write(envelope + payload)
        height, width = image.shape[:2]
        print(f"{name_input(args.image)}: {width}x{height}, {describe_codec(spec)}")
        print(f"  {describe_payload(payload, width, height)}; envelope {len(envelope)} bytes, not counted")
        print(f"  {check}")
    return EXIT_DONE


def _read_picture(file: str) -> np.ndarray:
    if file == STANDARD:
        return decode_rgb8(read_input(file), name_input(file))
    return read_rgb8(file)


def _check(codec: LearnedCodec, encoding: Encoding, image: np.ndarray) -> str:
    """Decode what was encoded; returns what came of it in words.

    Raises:
        CodecError: it does not decode, or not to the encoder's own picture.
    """
    try:
        decoded = codec.decode(encoding.stream)
    except CodecError as error:
        raise _make_error(f"does not decode here: {error}") from error

    own = encoding.reconstruct()
    same = ""
    if own is not None:
        difference = int(np.abs(own.astype(np.int16) - decoded).max())
        if difference > FLOATING_POINT:
            raise _make_error(f"decodes to a picture that differs from the encoder's own by up to {difference} levels")
        same = " to the encoder's own picture" + (" but for one level" if difference else "")

    quality = measure_quality(image, decoded, [PSNR.name])
    psnr = f"PSNR {quality.values[PSNR.name]:.2f} dB" if quality.values else quality.missing[PSNR.name]
    return f"checked: decodes here{same}, {psnr}"


def _make_error(fault: str) -> CodecError:
    return CodecError(f"what was encoded {fault}; nothing was written",
                      "report it with the picture; --no-check writes the file all the same", EXIT_INCOMPLETE)
