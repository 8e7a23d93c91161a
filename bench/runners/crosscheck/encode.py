"""Codes the images of a unit into a folder, in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.common.errors import BenchError
from bench.runners.crosscheck.exchange import CodedFile
from bench.runners.crosscheck.processes import encode_unit
from bench.runners.evaluate.forked_process import ForkedProcess, ProcessEnded
from bench.runners.evaluate.unit import Unit, UnitImage


@dataclass(frozen=True)
class Uncoded:
    """An image that could not be encoded, and why."""

    image: str
    kind: str
    message: str


def encode_images(unit: Unit, folder: Path, address: str) -> Iterator[CodedFile | Uncoded]:
    """Yield for each image of ``unit`` its file in ``folder``, or what went wrong.

    Args:
        unit: as it runs under the encoder's setting.
        address: of the server that the process is forked from.

    Raises:
        BenchError: files can't be written.
    """
    process = ForkedProcess(address, f"{encode_unit.__module__}:{encode_unit.__name__}")
    process.send((unit, str(folder)))
    try:
        for number, image in enumerate(unit.images):
            try:
                answer = process.receive()
            except ProcessEnded as ended:
                yield from _fail_rest(unit.images[number:], ended)
                return
            if isinstance(answer, BenchError):
                raise answer
            yield answer if isinstance(answer, CodedFile) else Uncoded(image.name, *answer)
    finally:
        process.end()


def _fail_rest(images: Sequence[UnitImage], ended: ProcessEnded) -> Iterator[Uncoded]:
    for image in images:
        yield Uncoded(image.name, "EncoderDied", f"the process that encodes died ({ended})")
