"""How far a unit is, by what its worker says: which picture is in work, which failed with it, which are left.

It knows no processes, so that any engine can use it: one that runs :func:`run_and_tell` anywhere, hands on what that
says, in order, and says when it died.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
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


class PicturesLeft:
    """Which pictures are left, and which of them a worker's death costs: the one that was in work, no other.

    A death between pictures, at the start or at the end, costs none: the rest is tried again. After
    ``LONELY_DEATHS`` of these in a row the rest fails. So there are at most so many deaths between two pictures, and
    one a picture.

    Attributes:
        names: of the pictures, in order.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        self._in_work: str | None = None
        self._lonely_deaths = 0

    def begin(self, name: str | None) -> None:
        """A picture is in work from now on; None: no one is to blame for what comes."""
        self._in_work = name

    def leave(self, name: str) -> None:
        """A picture is done."""
        self._in_work, self._lonely_deaths = None, 0
        if name in self.names:
            self.names.remove(name)

    def bury_worker(self, how: str) -> tuple[list[str], EncoderDied]:
        """Return the pictures that failed with a worker, which are left no more, and why.

        Args:
            how: it ended: "SIGKILL".
        """
        text = f"the process that encodes died ({how})"
        failed = [name for name in self.names if name == self._in_work]
        if not failed:
            self._lonely_deaths += 1
        if self._lonely_deaths == LONELY_DEATHS:
            text += f"; it did so {LONELY_DEATHS} times in a row before it had begun a picture"
            failed = list(self.names)

        self.begin(None)
        for name in failed:
            self.leave(name)
        return failed, EncoderDied(text)


class UnitProgress:
    """What is left of a unit, and the failed rows that a worker's death gives, see :class:`PicturesLeft`.

    Attributes:
        unit: the whole.
        finished: nothing is left to do.
    """

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.finished = False
        self._images = {image.name: image for image in unit.images}
        self._pictures = PicturesLeft(self._images)

    @property
    def left(self) -> Unit:
        """The unit with the pictures that nothing is known of, for a new worker."""
        return replace(self.unit, images=tuple(self._images[name] for name in self._pictures.names))

    def hear(self, message: Message) -> None:
        """Take in what the worker says."""
        if isinstance(message, Done):
            self._pictures.leave(message.row.image)
        else:
            self._pictures.begin(message.image if isinstance(message, Begun) else None)
            self.finished = isinstance(message, Ended)

    def spare_picture(self) -> None:
        """Don't blame the picture in work for what comes."""
        self._pictures.begin(None)

    def bury_worker(self, how: str) -> list[Row]:
        """Return the failed rows that the worker's death gives; unless it is ``finished``, a new one takes the rest.

        Args:
            how: it ended: "SIGKILL".
        """
        failed, error = self._pictures.bury_worker(how)
        self.finished = self.finished or not self._pictures.names
        if not failed:
            return []
        unit = self.unit
        device = unit.device if CODECS.get(unit.spec.codec).uses_torch else "cpu"
        series = unit.series or identify(unit.spec)
        provenance = describe_machine(device, jobs=unit.jobs, torch=None)
        return [failed_row(unit, self._images[name], series, error, provenance) for name in failed]
