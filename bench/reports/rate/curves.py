"""Rate-distortion curves of a report: measured ones, VVC anchors, published codecs, and what the user imported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter
from pathlib import Path

from bench.curves.anchors.catalogue import find_published, list_anchors, load_anchor, load_curve, read_imported
from bench.curves.rd_curve import RDCurve
from bench.curves.row_averages import NoCommonImage, average_choices
from bench.metrics import Curve
from bench.metrics.quality import headline_metrics
from bench.reports.page.table import group_records
from bench.results.labels import label_codecs
from bench.results.row_selection import Selection

MEASURED, ANCHOR, PUBLISHED, IMPORTED = "measured", "anchor", "published", "imported"
LEARNED = "learned"  # the codec registry's name of every neural codec
HPCM_BASE_PUBLISHED = "hpcm-base-mse"
ROLES = {"default": "default anchor, made as papers make theirs",
         "strict": "strict anchor, without the rate that rounding colours to 8 bits costs the default one"}


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
    def knows_images(self) -> bool:
        """Whether values of single images are known."""
        return bool(self.data.images_with(self.metric))

    def over_data(self, data: RDCurve) -> ReportCurve:
        """Return this curve with other averages; itself where they are its own."""
        return self if data is self.data else replace(self, data=data)


def measured_curves(selection: Selection, metric: str, total: int | None) -> list[ReportCurve]:
    """Return the curve of every codec in ``selection`` that has measured values of ``metric``.

    How points and images are chosen is said in :func:`bench.curves.row_averages.average_choices`. Learned codecs come
    first.

    Args:
        total: images in the whole dataset; None for a folder of the user's, which counts as whole.
    """
    curves = []
    by_codec = group_records(selection.choices, attrgetter("name"))
    for name, label in label_codecs(selection.rows).items():
        try:
            data = average_choices(by_codec[name], (metric,))
        except NoCommonImage:
            continue
        first = by_codec[name][0].rows[0]
        curves.append(ReportCurve(
            replace(data, label=label), metric, MEASURED, whole_set=total is None or data.images == total,
            learned=first.codec == LEARNED, miniature=first.miniature,
        ))
    return sorted(curves, key=lambda curve: not curve.learned)


def reference_curves(dataset: str, results_dir: Path, total: int | None) -> list[ReportCurve]:
    """Return the VVC anchors of ``dataset``, default first, then the published codecs and the imported ones.

    Args:
        total: images in the whole dataset; averages that go over fewer are not of the whole. None for a folder of the
            user's.

    Raises:
        BenchError: an imported file is damaged.
    """
    curves: list[ReportCurve] = []
    for anchor in list_anchors(dataset):
        convention = f"{ROLES[anchor.role]}; {anchor.convention}"
        curves += _by_metric(load_anchor(dataset, anchor), anchor.label, ANCHOR, total, convention)
    for name, label in find_published(dataset).shown.items():
        curves += _by_metric(load_curve(dataset, name), f"{label} (published)", PUBLISHED, total)
    for imported, label in _label_imported(read_imported(results_dir, dataset)):
        curves += _by_metric(imported, label, IMPORTED, total)
    return curves


def _label_imported(curves: Sequence[RDCurve]) -> list[tuple[RDCurve, str]]:
    """Return each curve with its label, and with its name too where another has the same label."""
    counts = Counter(curve.label for curve in curves)
    names = {curve.name: f"{curve.label} [{curve.name}]" if counts[curve.label] > 1 else curve.label
             for curve in curves}
    return [(curve, f"{names[curve.name]} (imported)") for curve in curves]


def _by_metric(data: RDCurve, label: str, origin: str, total: int | None, convention: str = "") -> list[ReportCurve]:
    parts = (convention or data.convention, data.source and f"source: {data.source}")
    whole_set = None in (total, data.images) or data.images == total
    return [ReportCurve(replace(data, label=label), metric.name, origin, whole_set,
                        source="; ".join(part for part in parts if part))
            for metric in headline_metrics() if data.has(metric.name)]
