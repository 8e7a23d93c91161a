"""Reports without the work of drawing, for tests that do not look at their figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

UNDRAWN = ("import matplotlib.figure; "
           "matplotlib.figure.Figure.savefig = lambda canvas, file, **options: file.write(b'a figure'); ")  # elsewhere


@contextmanager
def undrawn_figures() -> Iterator[None]:
    """Let every figure's files be a few bytes."""
    with mock.patch("matplotlib.figure.Figure.savefig", lambda canvas, file, **options: file.write(b"a figure")):
        yield
