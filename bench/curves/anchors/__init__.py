"""Published rate-distortion curves with their provenance, and files of such curves in and out."""

from bench.curves.anchors.catalogue import anchors, datasets, imported, load, load_anchor, names

__all__ = [
    "anchors", "datasets", "imported", "load", "load_anchor", "names",
]
