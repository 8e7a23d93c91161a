"""How far a run is: a bar with the time left on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from tqdm import tqdm

from bench.common.text import duration
from bench.results.rows import Row

LINE_EVERY_S = 5.0
_PRIOR_S = 10.0  # how long the plan's estimate is trusted over what the run has shown so far


class Progress:
    """Counts measured images; a context manager.

    Args:
        images: how many will be measured.
        expected_s: how long that is expected to take.
    """

    def __init__(self, images: int, expected_s: float, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._total, self._done = images, 0
        self._expected_s, self._passed_s = expected_s, 0.0
        self._start = time.monotonic()
        self._last_line = -LINE_EVERY_S
        self._bar = tqdm(
            total=images, file=self._stream, dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} images{postfix}",
        ) if self._stream.isatty() else None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, row: Row, expected_s: float) -> None:
        """Count one measured image that was expected to take ``expected_s``."""
        self._done += 1
        self._passed_s += expected_s
        what = f"{row.name} {row.point} {row.image}"
        if self._bar is not None:
            self._bar.set_description_str(what, refresh=False)
            self._bar.set_postfix_str(f"{self._left()} left", refresh=False)
            self._bar.update(1)
            return
        now = time.monotonic()
        if now - self._last_line >= LINE_EVERY_S or self._done == self._total:
            self._last_line = now
            line = f"{self._done}/{self._total} images, {self._left()} left ({what})"
            print(line, file=self._stream, flush=True)

    def skip(self, images: int, expected_s: float) -> None:
        """Leave out images that another run has measured meanwhile."""
        self._total -= images
        self._expected_s -= expected_s
        if self._bar is not None:
            self._bar.total = self._total
            self._bar.refresh()

    def say(self, text: str) -> None:
        """Print a line without breaking the bar."""
        if self._bar is not None:
            self._bar.write(text, file=self._stream)
        else:
            print(text, file=self._stream, flush=True)

    def _left(self) -> str:
        """Return the time left: the plan's, scaled by how this run has fared against it so far."""
        if self._done >= self._total:
            return "0 s"
        elapsed = time.monotonic() - self._start
        pace = (elapsed + _PRIOR_S) / (self._passed_s + _PRIOR_S)
        return duration(pace * max(0.0, self._expected_s - self._passed_s))
