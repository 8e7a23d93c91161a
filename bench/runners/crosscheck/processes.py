"""What runs in processes of their own: the encoder, and the look at what a decoder's process computes with."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

import bench.codecs  # noqa: F401  (registers the codecs)
from bench.codecs.base import Codec, Encoding, build_codec
from bench.common.files import DiskFull, is_out_of_space
from bench.runners.crosscheck.exchange import CodedFile, store_coded
from bench.runners.evaluate.measure import set_up_machine
from bench.runners.evaluate.pictures import read_picture
from bench.runners.evaluate.unit import Unit, UnitImage
from bench.runners.evaluate.unit_progress import Begun
from bench.runners.machine import free_gpu_memory


@dataclass(frozen=True)
class Uncoded:
    """An image that could not be encoded, and why."""

    image: str
    kind: str
    message: str


def encode_unit(connection: Connection) -> None:
    """Encode the images of a unit into a folder, the two in the only message, and answer each image.

    An answer is its :class:`CodedFile`, or what went wrong, or a full disk; before that it is said to be in work.
    """
    unit, folder = connection.recv()
    set_up_machine(unit)
    codec = None
    for image in unit.images:
        try:
            codec = codec or build_codec(unit.spec)
            connection.send(Begun(image.name))
            connection.send(_encode(codec, image, Path(folder)))
        except Exception as error:
            is_full = isinstance(error, DiskFull) or is_out_of_space(getattr(error, "errno", None))
            connection.send(DiskFull(folder) if is_full else Uncoded(image.name, type(error).__name__, str(error)))
            free_gpu_memory()


def _encode(codec: Codec, image: UnitImage, folder: Path) -> CodedFile:
    encoding = codec.encode(read_picture(image))
    picture = _expect_decoding(codec, encoding)
    stream_sha256, picture_sha256 = store_coded(folder, encoding.stream, picture)
    height, width = picture.shape[:2]
    return CodedFile(image=image.name, image_sha256=image.sha256, stream_sha256=stream_sha256,
                     picture_sha256=picture_sha256, width=width, height=height, latents_crc=encoding.latents_crc)


def _expect_decoding(codec: Codec, encoding: Encoding) -> np.ndarray:
    """What a decoder has to give: the encoder's own picture."""
    picture = encoding.reconstruct()
    return codec.decode(encoding.stream) if picture is None else picture


def describe_unit(connection: Connection) -> None:
    """Set the process up for the unit of the only message, as its decoder is, and tell what it computes with."""
    unit: Unit = connection.recv()
    connection.send(set_up_machine(unit))
