"""Decodes one file of `encode` into a picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.codecs.base import CodecSpec, Decoded
from bench.codecs.envelope import Envelope, has_envelope, unpack_envelope
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
from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE, BenchError, CodecError, ConfigurationError
from bench.datasets.images import PNG, WRITTEN, encode_rgb8
from bench.runners.evaluate.selection import choose_point

DRIFTED = ("the file is whole, and coded with these weights: most likely this machine adds floating-point numbers in "
           "another order\n  than the encoder's; decode on one like it, or encode with --exact")


def run(args: argparse.Namespace) -> int:
    """Run the verb.

    Raises:
        BenchError: anything of it can't be read, built, decoded or written; nothing is written then.
    """
    kind = _choose_kind(args.output)
    with open_output(args.output, args.force) as write:
        name = name_input(args.file)
        envelope, payload = _open_file(name, read_input(args.file))
        spec = _choose_codec(args, name, envelope)
        codec = build_codec_here(args, spec)
        _refuse_other_weights(name, envelope, spec, codec)
        decoded = _decode(name, codec, envelope, payload)

        write(encode_rgb8(decoded.pixels, kind))
        height, width = decoded.pixels.shape[:2]
        print(f"{name}: {width}x{height}, {describe_codec(spec)}")
        print(f"  {describe_payload(payload, width, height)}")
        print("  checked: the latents are those that were encoded" if decoded.checked else
              "  unchecked: the file has no checksum of its latents")
    return EXIT_DONE


def _choose_kind(output: str) -> str:
    """Which kind of image file is written.

    Raises:
        ConfigurationError: one that loses something, or none that is known.
    """
    suffix = Path(output).suffix.lower()
    if output == STANDARD:
        return PNG
    if suffix not in WRITTEN:
        raise ConfigurationError(f"can't write {output}: '{suffix}' is the suffix of no lossless format that is known",
                                 f"known: {', '.join(WRITTEN)}")
    return WRITTEN[suffix]


def _open_file(name: str, data: bytes) -> tuple[Envelope | None, bytes]:
    """Return the envelope, None where there is none, and the payload."""
    if not has_envelope(data):
        return None, data
    try:
        return unpack_envelope(data)
    except CodecError as error:
        raise CodecError(f"{name}: {error}") from None


def _choose_codec(args: argparse.Namespace, name: str, envelope: Envelope | None) -> CodecSpec:
    """The codec that the envelope names, or the options where there is none.

    Raises:
        ConfigurationError: nothing names it, or both do and differ.
        BenchError: its variant or weights are not here.
    """
    if envelope is None:
        if args.variant is None:
            raise ConfigurationError(
                f"{name} is no file of `python -m bench encode`",
                "a bare payload, as `evaluate --keep-streams` keeps it, needs --variant and --lambda")
        return choose_point(args.variant, args.lambda_, args.checkpoint, exact=args.exact)

    hint = "leave --variant, --lambda and --exact out: the file says them"
    told = {"--variant": (args.variant, envelope.variant), "--lambda": (args.lambda_, envelope.lambda_)}
    for option, (given, coded) in told.items():
        if given not in (None, coded):
            raise ConfigurationError(f"{name} was coded with {option} {coded}, not {given}", hint)
    if args.exact and not envelope.exact:
        raise ConfigurationError(f"{name} was not coded with --exact", hint)
    try:
        return choose_point(envelope.variant, envelope.lambda_, args.checkpoint, exact=envelope.exact)
    except BenchError as error:
        raise ConfigurationError(f"{name} was coded with {envelope.variant} at λ {envelope.lambda_:g}, "
                                 f"which can't be had here: {error}") from error


def _refuse_other_weights(name: str, envelope: Envelope | None, spec: CodecSpec, codec: LearnedCodec) -> None:
    if envelope is not None and envelope.weights != codec.weights_digest:
        raise CodecError(f"{name} was coded with other weights of {describe_codec(spec)} (digest {envelope.weights}) "
                         f"than those of {spec.location['checkpoint']} (digest {codec.weights_digest})",
                         "name the file with the weights that it was coded with by --checkpoint")


def _decode(name: str, codec: LearnedCodec, envelope: Envelope | None, payload: bytes) -> Decoded:
    try:
        return codec.decode_checked(payload)
    except CodecError as error:
        drifted = envelope is not None and not envelope.exact  # of such a file all else was compared before
        hint = DRIFTED if drifted else error.hint
        raise CodecError(f"{name} does not decode here: {error.args[0]}", hint, EXIT_INCOMPLETE) from error
