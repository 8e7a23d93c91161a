"""Image sets: which images, where they are, and whether they are the right ones."""

from bench.datasets.catalogue import DatasetSpec, ImageSpec, load_catalogue
from bench.datasets.dataset import (
    Dataset,
    DatasetIncomplete,
    DatasetUnavailable,
    ImageFile,
    describe_published,
    resolve_dataset,
)
from bench.datasets.images import read_rgb8

__all__ = ["Dataset", "DatasetIncomplete", "DatasetSpec", "DatasetUnavailable", "ImageFile", "ImageSpec",
           "describe_published", "load_catalogue", "read_rgb8", "resolve_dataset"]
