"""Codecs, learned and classical, behind one interface. Importing this registers all of them."""

from bench.codecs import pillow, ffmpeg_codecs, vtm, learned  # noqa: F401, I001 (registers, in order)
from bench.codecs.base import CODECS, Codec, CodecEntry, CodecSpec, Encoding, build_codec
from bench.common.plugins import load_plugins

load_plugins()

__all__ = ["CODECS", "Codec", "CodecEntry", "CodecSpec", "Encoding", "build_codec"]
