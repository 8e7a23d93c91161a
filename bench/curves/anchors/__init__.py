"""Published rate-distortion curves with their provenance, and files of such curves in and out."""

from bench.curves.anchors.catalogue import (
    list_anchors,
    list_curves,
    list_folders,
    load_anchor,
    load_curve,
    read_imported,
)

__all__ = [
    "list_anchors", "list_curves", "list_folders", "load_anchor", "load_curve", "read_imported",
]
