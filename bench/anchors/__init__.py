"""Published rate-distortion curves with their provenance, and files of such curves in and out."""

from bench.anchors.catalogue import Anchor, anchors, datasets, imported, load, names
from bench.anchors.published import METRICS, Points, PublishedCurve

__all__ = [
    "METRICS", "Anchor", "Points", "PublishedCurve", "anchors", "datasets", "imported", "load", "names",
]
