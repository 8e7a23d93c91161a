"""Rate-distortion curves of a report: averages over a stated set of images, single images kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from bench.curves.rd_curve import RDCurve
from bench.curves.sources import NoCommonImage, average_rows
from bench.metrics import Curve
from bench.results.labels import label_codecs
from bench.results.row_selection import Selection

MEASURED, ANCHOR, PUBLISHED, IMPORTED = "measured", "anchor", "published", "imported"
LEARNED = "learned"  # the codec registry's name of every neural codec


@dataclass(frozen=True)
class ReportCurve:
    """One codec's curve in one metric.

    Attributes:
        data: averages, and single images where known; its label is how tables and plots call the codec.
        metric: name of a quality metric; ``data`` has its values.
        origin: MEASURED here, ANCHOR (a VVC curve shipped with the suite), PUBLISHED or IMPORTED by the user.
        whole_set: the averages go over the whole dataset.
        learned: a neural codec.
        miniature: a small model that is not the authors'.
        source: where a curve that was not measured here comes from, and its convention.
    """

    data: RDCurve
    metric: str
    origin: str
    whole_set: bool = True
    learned: bool = False
    miniature: bool = False
    source: str = ""

    @property
    def name(self) -> str:
        """The codec as rows call it, or the published curve's name."""
        return self.data.name

    @property
    def label(self) -> str:
        """How tables and plots call it."""
        return self.data.label

    @property
    def images(self) -> int | None:
        """How many images the averages go over; None where the source does not say."""
        return self.data.images

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader has to know."""
        return self.data.remarks

    @cached_property
    def curve(self) -> Curve:
        """Rates in bpp and qualities in dB, as they are averaged."""
        return self.data.curve(self.metric)

    @cached_property
    def rate(self) -> tuple[float, ...]:
        """Averaged bpp, rising."""
        return tuple(rate for rate, _ in self.curve.points())

    @cached_property
    def quality(self) -> tuple[float, ...]:
        """Averaged dB, in the order of ``rate``."""
        return tuple(quality for _, quality in self.curve.points())

    @cached_property
    def image_curves(self) -> dict[str, Curve]:
        """Curves of single images, where known."""
        return self.data.image_curves(self.metric)

    def over_data(self, data: RDCurve) -> ReportCurve:
        """Return this curve with other averages; itself where they are its own."""
        return self if data is self.data else replace(self, data=data)


def measured_curves(selection: Selection, metric: str, total: int | None) -> list[ReportCurve]:
    """Return the curve of every codec in ``selection`` that has measured values of ``metric``.

    How points and images are chosen is said in :func:`bench.curves.sources.average_rows`. Learned codecs come
    first.

    Args:
        total: images in the whole dataset; None for a folder of the user's, which counts as whole.
    """
    labels = label_codecs(selection.rows)
    curves = []
    for name, label in labels.items():
        rows = [row for row in selection.rows if row.name == name]
        try:
            data = average_rows(rows, (metric,))
        except NoCommonImage:
            continue
        first = rows[0]
        curves.append(ReportCurve(
            replace(data, label=label), metric, MEASURED, whole_set=total is None or data.images == total,
            learned=first.codec == LEARNED, miniature=first.miniature,
        ))
    return sorted(curves, key=lambda curve: not curve.learned)
