"""How far a run is: a bar with the time left on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from tqdm import tqdm

from bench.common.text import format_duration

LINE_EVERY_S = 5.0
PRIOR_S = 20.0  # how long the plan's estimate is trusted over what the run has shown so far


class Progress:
    """Tells what runs and the time left: the plan's, scaled by how the run has fared against it so far.

    Args:
        expected_s: how long everything is expected to take.
        images: how many are counted; None for steps that are not.
        clock: seconds.
    """

    def __init__(self, expected_s: float, images: int | None = None, stream: TextIO | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream or sys.stderr, clock
        self._expected_s, self._passed_s, self._running_s = expected_s, 0.0, 0.0
        self._images, self._done = images, 0
        self._start, self._last_line = clock(), -LINE_EVERY_S
        self._bar = tqdm(total=expected_s, file=self._stream, dynamic_ncols=True, leave=images is not None,
                         bar_format="{desc} {percentage:3.0f}%|{bar}| {postfix}") if self._stream.isatty() else None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def start_step(self, what: str, expected_s: float) -> None:
        """A step begins that is expected to take ``expected_s``; the step before it is over."""
        self._passed_s, self._running_s = self._passed_s + self._running_s, expected_s
        self._show(what)

    def count_image(self, what: str, expected_s: float) -> None:
        """An image is done that was expected to take ``expected_s``."""
        self._done += 1
        self._passed_s += expected_s
        self._show(what)

    def skip_images(self, images: int, expected_s: float) -> None:
        """Leave out images that another run has measured meanwhile."""
        self._images = (self._images or 0) - images
        self._expected_s -= expected_s

    def tell(self, what: str) -> None:
        """Say what goes on within a step."""
        self._show(what)

    def print_line(self, text: str) -> None:
        """Print a line without breaking the bar."""
        tqdm.write(text, file=self._stream)

    def print_result(self, text: str) -> None:
        """Print what is found, to standard output, without breaking the bar."""
        tqdm.write(text, file=sys.stdout)

    def left_s(self) -> float:
        """Seconds that are left, as far as is known."""
        pace = (self._clock() - self._start + PRIOR_S) / (self._passed_s + PRIOR_S)
        return pace * max(0.0, self._expected_s - self._passed_s)

    def _show(self, what: str) -> None:
        now, finished = self._clock(), self._done == self._images
        left = ("0 s" if finished else format_duration(self.left_s())) + " left"
        if self._images is not None:
            left = f"{self._done}/{self._images} images, {left}"

        if self._bar is not None:
            self._bar.total = self._expected_s
            self._bar.set_description_str(what, refresh=False)
            self._bar.set_postfix_str(left, refresh=False)
            self._bar.update(min(self._passed_s, self._expected_s) - self._bar.n)
        elif finished or now - self._last_line >= LINE_EVERY_S:
            self._last_line = now
            print(f"{left} ({what})", file=self._stream, flush=True)
