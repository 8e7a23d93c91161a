"""How much of a dataset a report covers, and what is said of how its numbers were made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.common.text import format_count
from bench.datasets.catalogue import load_catalogue
from bench.metrics.quality import headline_metrics
from bench.reports.page.table import Column, Table
from bench.results.labels import MINIATURE_NOTE
from bench.results.row_selection import Selection
from bench.results.rows import OK

_HEADLINES = headline_metrics()
_CURVE_NOTES = "; ".join(f"{metric.label}: {metric.curve_note or 'negated along curves'}"
                         for metric in _HEADLINES if metric.has_own_curve_scale)
CONVENTION = (
    f"{' and '.join(metric.label for metric in _HEADLINES)} on the decoded 8-bit RGB image, per image, then the "
    f"arithmetic mean over images ({_CURVE_NOTES}); bpp from all bytes of the file over the original pixels."
)
_UNITS = ", ".join(f"{metric.label} in {metric.on_curves.unit}" if metric.to_curve else f"{metric.label} negated"
                   for metric in _HEADLINES if metric.has_own_curve_scale)
# For CSV files, which repeat it in every row.
SHORT_CONVENTION = f"decoded 8-bit RGB; mean of per-image values ({_UNITS}); bpp from file bytes"
Record = TypeVar("Record")


@dataclass(frozen=True)
class Coverage:
    """Which images of a dataset a report covers.

    Attributes:
        dataset: name of the dataset.
        title: how readers know it.
        images: images that at least one codec was measured on.
        total: images in the whole set; None for a folder of the user's.
        altered: images whose content is not the catalogue's.
        mismatches: images that a decoder in another process reconstructed differently, by any codec.
        miniatures: whether any model is a miniature.
        short_title: for plots of a paper's column, where ``title`` is too long.
        note: what the report says first.
    """

    dataset: str
    title: str
    images: int
    total: int | None
    altered: int
    mismatches: int
    miniatures: bool
    short_title: str = ""
    note: str = ""

    @property
    def text(self) -> str:
        """"24 images", "1 of 41 images", "24 images, 2 altered"."""
        plural = "image" if (self.total or self.images) == 1 else "images"
        partial = self.total is not None and self.images != self.total
        text = f"{self.images} of {self.total} {plural}" if partial else f"{self.images} {plural}"
        return f"{text}, {self.altered} altered" if self.altered else text

    @property
    def heading(self) -> str:
        """Dataset and coverage, as every title has them."""
        return f"{self.title}, {self.text}"

    @property
    def short_heading(self) -> str:
        """Dataset and coverage, short enough for a plot in a paper's column."""
        return f"{self.short_title or self.title}, {self.text}"

    @property
    def complete(self) -> bool:
        """True where all images of the set were measured and none is known to be altered."""
        return (self.total is None or self.images == self.total) and not self.altered

    @property
    def warnings(self) -> tuple[str, ...]:
        """What every table has to say first."""
        if not self.mismatches:
            return ()
        return (f"on {format_count(self.mismatches, 'image')} a decoder in a separate process did not reproduce the "
                "encoder's reconstruction; see the mismatch column of the summary.",)

    def make_table(self, name: str, subject: str, columns: Sequence[Column[Record]], records: Iterable[Record],
                   notes: Sequence[str] = (), headings: Sequence[tuple[int, str]] = (),
                   anchor: str = "", convention: str = SHORT_CONVENTION) -> Table:
        """Make a table with what all tables of a report have in common."""
        miniature = (MINIATURE_NOTE,) if self.miniatures else ()
        constants = {"dataset": self.dataset, "coverage": self.text, **({"anchor": anchor} if anchor else {}),
                     "convention": convention}
        return Table.from_records(name, f"{subject}: {self.heading}", columns, records, notes=(*notes, *miniature),
                                  warnings=self.warnings, headings=headings, constants=tuple(constants.items()))


def coverage_of(selection: Selection) -> Coverage:
    """Summarise the images of ``selection``."""
    rows = selection.rows
    totals = {row.dataset_total for row in rows if row.dataset_total is not None}
    spec = load_catalogue().get(selection.dataset)  # of a user's folder there is none
    return Coverage(
        dataset=selection.dataset,
        title=spec.title if spec else selection.dataset,
        images=len({row.image for row in rows if row.status == OK}),
        total=max(totals) if totals else None,
        altered=len({row.image for row in rows if row.image_verified is False}),
        mismatches=len({row.image for row in rows if row.decode_matches is False}),
        miniatures=any(row.miniature for row in rows),
        short_title=spec.short_title if spec else "",
        note=spec.report_note if spec else "",
    )
