"""Codes the images of a unit into a folder, in a process of its own; one that kills it costs no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.common.errors import BenchError
from bench.runners.crosscheck.exchange import CodedFile
from bench.runners.crosscheck.processes import Uncoded, encode_unit
from bench.runners.evaluate.fork_server import ForkServer
from bench.runners.evaluate.forked_process import ForkedProcess, ProcessEnded
from bench.runners.evaluate.unit import Unit
from bench.runners.evaluate.unit_progress import Begun, PicturesLeft


def encode_images(unit: Unit, folder: Path, server: ForkServer) -> Iterator[CodedFile | Uncoded]:
    """Yield for each image of ``unit`` its file in ``folder``, or what went wrong.

    Args:
        unit: as it runs under the encoder's setting.
        server: that processes are forked from.

    Raises:
        BenchError: files can't be written.
    """
    left = PicturesLeft(image.name for image in unit.images)
    while left.names:
        process = ForkedProcess(server.find_address(), f"{encode_unit.__module__}:{encode_unit.__name__}")
        images = tuple(image for image in unit.images if image.name in left.names)
        process.send((replace(unit, images=images), str(folder)))
        try:
            yield from _receive_answers(process, left)
        except ProcessEnded as ended:
            failed, error = left.bury_worker(str(ended))
            yield from (Uncoded(name, type(error).__name__, str(error)) for name in failed)
        finally:
            process.end()


def _receive_answers(process: ForkedProcess, left: PicturesLeft) -> Iterator[CodedFile | Uncoded]:
    """Yield what a process says of the pictures that are left, until none are."""
    while left.names:
        answer = process.receive()
        if isinstance(answer, BenchError):
            raise answer
        if isinstance(answer, Begun):
            left.begin(answer.image)
        else:
            left.leave(answer.image)
            yield answer
