"""Figures as what they show: plain data, drawn only where their files are wanted and not there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from bench.reports.page.inputs import digest_code, find_versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

DRAWING_CODE = ("reports", "common")  # packages of the suite
DRAWING_LIBRARIES = ("matplotlib", "numpy", "optuna", "pillow")


@dataclass(frozen=True)
class Layout:
    """Size in inches, font sizes in points, legend columns (0: beside the axes)."""

    name: str
    width: float
    axes_height: float
    font: float
    legend_columns: int
    dpi: int

    @property
    def wide(self) -> bool:
        """Whether there is room beside the axes."""
        return self.legend_columns == 0


COLUMN = Layout("column", 3.4, 2.45, 7.0, 2, 300)
WIDE = Layout("wide", 7.0, 3.9, 8.5, 0, 200)


@dataclass(frozen=True)
class Figure:
    """A plot that is not yet drawn.

    Attributes:
        name: stem of its files, the same in every run.
        draw: draws ``data`` on a canvas of a layout's size, by nothing else than these and the code of the reports.
        data: all that is drawn, as plain values: text, numbers, and tuples, mappings, arrays and dataclasses of these.
        layouts: that of pages, then those that are drawn on request.
    """

    name: str
    caption: str
    draw: Callable[[Any, Layout], Canvas]
    data: Any
    layouts: tuple[Layout, ...] = (WIDE, COLUMN)

    @property
    def digest(self) -> str:
        """Of what is drawn, the code that draws it and the libraries that this uses.

        Raises:
            TypeError: the data is not plain.
        """
        made_by = (digest_code(*DRAWING_CODE), find_versions(*DRAWING_LIBRARIES), f"{self.draw.__qualname__}")
        content = msgspec.msgpack.encode((self.name, made_by, self.data), enc_hook=_make_plain)
        return hashlib.sha256(content).hexdigest()[:32]


def _make_plain(value: Any) -> Any:
    """Return an array, or a number of numpy's, as what msgspec encodes."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a figure can't be drawn from {type(value).__name__}: give it plain data")
