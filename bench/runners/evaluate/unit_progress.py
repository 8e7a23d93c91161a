"""How far a unit is, by what its worker says: which picture is in work, which failed with it, which are left.

It knows no processes, so that any engine can use it: one that runs :func:`run_and_tell` anywhere, hands on what that
says, in order, and says when it died.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from bench.codecs.base import CODECS
from bench.common.errors import CodecError
from bench.results.rows import Row
from bench.runners.evaluate.decoder_client import DecoderProcess
from bench.runners.evaluate.measure import failed_row, run_unit
from bench.runners.evaluate.pictures import Pictures
from bench.runners.evaluate.stopwatch import Stopwatch
from bench.runners.evaluate.unit import Unit, identify
from bench.runners.machine import describe_machine

LONELY_DEATHS = 3  # in a row, without a picture in work, before what is left of a unit fails


class EncoderDied(CodecError):
    """The process that measures a unit crashed or was killed, for want of memory for instance."""


class Begun(NamedTuple):
    """A worker says: this picture is in work now."""

    image: str


class Done(NamedTuple):
    """A worker says: a picture is done, and what the time since its last row was spent on."""

    row: Row
    seconds: dict[str, float]


class Ended(NamedTuple):
    """A worker says: the unit is done."""


Message = Begun | Done | Ended


def run_and_tell(unit: Unit, tell: Callable[[Message], object], stopwatch: Stopwatch | None = None,
                 decoder: DecoderProcess | None = None, pictures: Pictures | None = None) -> None:
    """Run a unit, and tell of each picture before it is in work and when it is done, and of the end.

    Args:
        tell: has handed a message on when it returns, so that it arrives though this process dies next.
        stopwatch, decoder, pictures: as of :func:`run_unit`.

    Raises:
        BenchError: the unit can't go on (a full disk).
    """
    stopwatch = stopwatch or Stopwatch()
    stopwatch.take()
    for row in run_unit(unit, stopwatch, decoder, pictures, begin=lambda image: tell(Begun(image.name))):
        tell(Done(row, stopwatch.take()))
    tell(Ended())


class UnitProgress:
    """What is left of a unit, and what its worker's death costs: the picture that was in work, no other.

    A death between pictures, at the start or at the end, costs none: the rest is tried again. After
    ``LONELY_DEATHS`` of these in a row the rest fails. So there are at most so many deaths between two pictures, and
    one a picture.

    Attributes:
        unit: the whole.
        finished: nothing is left to do.
    """

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.finished = False
        self._left = {image.name: image for image in unit.images}
        self._in_work: str | None = None
        self._lonely_deaths = 0

    @property
    def left(self) -> Unit:
        """The unit with the pictures that nothing is known of, for a new worker."""
        return replace(self.unit, images=tuple(self._left.values()))

    def hear(self, message: Message) -> None:
        """Take in what the worker says."""
        self._in_work = message.image if isinstance(message, Begun) else None
        if isinstance(message, Done):
            self._leave(message.row.image)
        elif isinstance(message, Ended):
            self.finished = True

    def bury_worker(self, how: str) -> list[Row]:
        """Return the failed rows that the worker's death gives; unless it is ``finished``, a new one takes the rest.

        Args:
            how: it ended: "SIGKILL".
        """
        text = f"the process that encodes died ({how})"
        failed = [image for image in self._left if image == self._in_work]
        if not failed:
            self._lonely_deaths += 1
        if self._lonely_deaths == LONELY_DEATHS:
            text += f"; it did so {LONELY_DEATHS} times in a row before it had begun a picture"
            failed = list(self._left)

        rows = self._make_failed_rows(failed, EncoderDied(text))
        self._in_work = None
        for image in failed:
            self._leave(image)
        self.finished = self.finished or not self._left
        return rows

    def _leave(self, image: str) -> None:
        self._left.pop(image, None)
        self._lonely_deaths = 0

    def _make_failed_rows(self, images: list[str], error: EncoderDied) -> list[Row]:
        if not images:
            return []
        unit = self.unit
        device = unit.device if CODECS.get(unit.spec.codec).uses_torch else "cpu"
        series = unit.series or identify(unit.spec)
        provenance = describe_machine(device, jobs=unit.jobs, torch=None)
        return [failed_row(unit, self._left[image], series, error, provenance) for image in images]
