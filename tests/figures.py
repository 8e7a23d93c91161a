"""Reports without the work of drawing, for tests that do not look at their figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

UNDRAWN = ("import bench.reports.page.canvas; "
           "bench.reports.page.canvas.render_figure = lambda *_: b'a figure'; ")  # elsewhere


@contextmanager
def undrawn_figures() -> Iterator[None]:
    """Let every figure's files be a few bytes."""
    with mock.patch("bench.reports.page.canvas.render_figure", lambda *_: b"a figure"):
        yield
