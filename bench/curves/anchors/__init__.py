"""Published rate-distortion curves with their provenance, and files of such curves in and out."""

from bench.curves.anchors.catalogue import Anchor, anchors, datasets, imported, load, names

__all__ = [
    "Anchor", "anchors", "datasets", "imported", "load", "names",
]
