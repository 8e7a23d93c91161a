"""The curves that claims are judged by: measured rows of single images, or published averages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from bench.claims.result import MINIATURE
from bench.curves.anchors.catalogue import find_published, list_anchors, list_curves, load_anchor, load_curve
from bench.curves.rd_curve import RDCurve
from bench.curves.row_averages import NoCommonImage, average_rows
from bench.metrics.quality import METRICS
from bench.results.rows import OK, Row
from bench.results.stored import StoredResults

ROWS = {"vtm": ("vtm-8bit",)}  # names of rows, where they are not the codec's own


@dataclass(frozen=True)
class Measured:
    """One side of a comparison.

    Attributes:
        curve: None where nothing usable is there.
        missing: why, where nothing was measured.
        fault: what makes the rows unfit to decide a claim.
        published: the curve is a published one, not this suite's rows.
        lacks_metric: there are rows, but none holds the quality metric that was asked for.
    """

    curve: RDCurve | None = None
    missing: str = ""
    fault: str = ""
    published: bool = False
    lacks_metric: bool = False


class Curves:
    """Curves by dataset and name, from stored rows and from what is published."""

    def __init__(self, results: StoredResults) -> None:
        self._results = results
        self.find_measured = lru_cache(maxsize=None)(self._find_measured)

    def find_codec(self, dataset: str, name: str, metric: str) -> Measured:
        """A codec that claims compare with: its rows, else its published points; "vtm" is the dataset's anchor."""
        for rows in ROWS.get(name, (name,)):
            if (own := self.find_measured(dataset, rows, metric)).curve is not None:
                return own
        if name == "vtm":
            known = list_anchors(dataset)
            if not known:
                return Measured(missing=f"no VTM on {dataset}")
            return _as_published(load_anchor(dataset, known[0]), metric)
        stand_in = find_published(dataset).codecs.get(name)
        if stand_in is not None:
            return _as_published(load_curve(dataset, stand_in), metric)
        return Measured(missing=f"{name} has neither rows nor published points on {dataset}")

    @staticmethod
    def find_published_curve(dataset: str, name: str, metric: str) -> RDCurve | None:
        """A published curve, if the dataset has it, with values of ``metric``."""
        if name not in list_curves(dataset):
            return None
        curve = load_curve(dataset, name)
        return curve if curve.has(metric) else None

    def _find_measured(self, dataset: str, name: str, metric: str) -> Measured:
        rows = self._results.derive(_group_by_name, dataset).get(name, [])
        if not rows:
            return Measured(missing=f"no rows of {name} on {dataset}")
        if not any(metric in row.quality for row in rows) and any(row.status == OK for row in rows):
            return Measured(missing=f"the rows of {name} on {dataset} hold no {METRICS.get(metric).label}; python -m "
                                    f"bench evaluate with --metrics {metric} adds it", lacks_metric=True)
        try:
            curve = average_rows(rows, (metric,))
        except NoCommonImage as error:
            return Measured(fault=str(error))
        if any(row.miniature != name.endswith(MINIATURE) for row in rows):
            return Measured(fault=f"rows called {name} mix miniatures with full-width models, or have the other's name")
        return Measured(curve, fault=find_fault(curve, rows))


def _group_by_name(results: StoredResults, dataset: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in results.rows(dataset):
        groups.setdefault(row.name, []).append(row)
    return groups


def _as_published(curve: RDCurve, metric: str) -> Measured:
    if curve.has(metric):
        return Measured(curve, published=True)
    return Measured(missing=f"{curve.label} has no published {METRICS.get(metric).label}")


def find_fault(curve: RDCurve, rows: Sequence[Row]) -> str:
    """Why rows can't decide a claim, or an empty text: failures, mismatches, an incomplete or altered dataset."""
    counted = list({row.key: row for row in rows}.values())
    failed = sum(row.status != OK for row in counted)
    differing = sum(row.decode_matches is False for row in counted)
    altered = {row.image for row in counted if row.image_verified is False}
    total = max(row.dataset_total or 0 for row in rows)
    if differing:
        return f"{differing} of {len(counted)} decoded images of {curve.label} differ from the encoder's own"
    if failed:
        return f"{failed} of {len(counted)} encodings by {curve.label} failed"
    if altered:
        return f"{len(altered)} images measured with {curve.label} are not the dataset's own"
    if (curve.images or 0) < total:
        return f"{curve.label} covers {curve.images} of the {total} images of {curve.dataset}"
    return ""
