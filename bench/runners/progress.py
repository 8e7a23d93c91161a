"""How far a run is: a bar with the time left on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from tqdm import tqdm

from bench.common.interruption import note_stored
from bench.common.text import format_duration, strip_controls
from bench.runners.forecast import Forecast, Kind

LINE_EVERY_S, REDRAW_EVERY_S = 5.0, 0.2
OVERDUE = 0.25  # of the time that a step has taken, what is left of it at least
_STEP = Kind("steps")


class Progress:
    """Tells what runs and the time left.

    Args:
        expected: what everything is expected to take, by kind of work, or in seconds for steps.
        images: how many are counted; None for steps that are not.
        clock: seconds.
    """

    def __init__(self, expected: Forecast | float, images: int | None = None, stream: TextIO | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream or sys.stderr, clock
        if isinstance(expected, Forecast):
            self.forecast = expected
        else:
            self.forecast = Forecast()
            self.forecast.expect(_STEP, expected)
        self._images, self._done = images, 0
        self._start = self._step_start = clock()
        self._step_s: float | None = None  # that the running step is expected to take
        self._step_kind = _STEP
        self._last_line = -LINE_EVERY_S
        self._bar = tqdm(total=1.0, file=self._stream, dynamic_ncols=True, leave=images is not None,
                         bar_format="{desc} {percentage:3.0f}%|{bar}| {postfix}") if self._stream.isatty() else None

    def __enter__(self) -> Progress:
        if self._images is not None:
            note_stored(f"none of {self._images} images is done yet")
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def start_step(self, what: str, expected_s: float, kind: Kind = _STEP) -> None:
        """A step begins that is expected to take ``expected_s``; the step before it is over."""
        now = self._clock()
        if self._step_s is not None:
            self.forecast.finish(self._step_kind, self._step_s, now - self._step_start)
        self._step_s, self._step_kind, self._step_start = expected_s, kind, now
        self.show(what)

    def count_image(self, what: str) -> None:
        """An image is done, and what is kept of it is stored."""
        self._done += 1
        note_stored(f"{self._done} of {self._images} images are done and stored")
        self.show(what)

    def skip_images(self, images: int) -> None:
        """Leave out images that another run has measured meanwhile."""
        self._images = (self._images or 0) - images

    def print_line(self, text: str) -> None:
        """Print a line without breaking the bar."""
        tqdm.write(strip_controls(text), file=self._stream)

    def print_result(self, text: str) -> None:
        """Print what is found, to standard output, without breaking the bar."""
        tqdm.write(strip_controls(text), file=sys.stdout)

    def left_s(self) -> float:
        """Seconds that are left, as far as is known."""
        if self._images is not None and self._done == self._images:
            return 0.0
        left_s = self.forecast.left_s()
        if self._step_s is not None:
            step_s, passed_s = self._step_s * self.forecast.paces()[self._step_kind], self._clock() - self._step_start
            left_s += max(step_s - passed_s, OVERDUE * passed_s) - step_s
        return left_s

    def show(self, what: str) -> None:
        """Say what goes on and how much is left, unless that was said a moment ago."""
        now, finished = self._clock(), self._done == self._images
        if not finished and now - self._last_line < (LINE_EVERY_S if self._bar is None else REDRAW_EVERY_S):
            return

        what = " ".join(strip_controls(what).split())
        left_s = self.left_s()
        left = ("0 s" if finished else format_duration(left_s)) + " left"
        if self._images is not None:
            left = f"{self._done}/{self._images} images, {left}"

        self._last_line = now
        if self._bar is None:
            print(f"{left} ({what})", file=self._stream, flush=True)
            return
        passed_s = now - self._start
        self._bar.set_description_str(what, refresh=False)
        self._bar.set_postfix_str(left, refresh=False)
        self._bar.n = max(self._bar.n, 1.0 if finished else passed_s / max(passed_s + left_s, 1e-9))
        self._bar.refresh()
