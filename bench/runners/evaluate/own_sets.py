"""Folders of the user's as sets: results of each apart, and of what the last run covered."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import chain

from bench.common.errors import ImageError
from bench.common.hashing import digest_json
from bench.datasets import Dataset, ImageFile
from bench.datasets.dataset import rank_name
from bench.datasets.images import image_size
from bench.datasets.own_folders import hide_own_results
from bench.datasets.recognition import hash_pixels
from bench.results.folder_record import FolderRecord, read_record, write_record
from bench.results.store import Store


def name_apart(dataset: Dataset, store: Store) -> Dataset:
    """Return a folder's set under a name whose stored rows are its own: another folder may be called the same.

    The folders above lend it their names until that is so. Of pictures with the same pixels one counts. A set of the
    catalogue is returned as it is.
    """
    if dataset.total is not None or dataset.root is None:
        return dataset

    name = dataset.name
    for parent in reversed(dataset.root.resolve().parts[1:-1]):
        if _is_free(name, dataset, store):
            break
        name = f"{parent}-{name}"
    return _leave_out_copies(replace(dataset, name=name, title=name), store)


def _leave_out_copies(dataset: Dataset, store: Store) -> Dataset:
    """Leave out pictures that have the pixels of another, in other bytes; what is stored saves decoding them."""
    stored = {row.image_sha256: row.pixels_sha256 for row in store.read(dataset.name)}
    by_size: dict[tuple[int, int], list[ImageFile]] = {}
    for image in dataset.images:
        with suppress(ImageError):  # evaluating it says what is wrong
            by_size.setdefault(image_size(image.path), []).append(image)

    first: dict[str, str] = {}
    copies: dict[str, str] = {}
    for image in sorted(chain(*(alike for alike in by_size.values() if len(alike) > 1)), key=rank_name):
        pixels = stored.get(image.sha256) or hash_pixels(image.path)
        if pixels is not None and first.setdefault(pixels, image.name) != image.name:
            copies[image.name] = first[pixels]
    images = tuple(image for image in dataset.images if image.name not in copies)
    return replace(dataset, images=images, duplicates={**dataset.duplicates, **copies})


def record_pictures(dataset: Dataset, store: Store) -> None:
    """Store which pictures of a folder a run covers; of a set of the catalogue there is nothing to store.

    Raises:
        BenchError: the folder of results can't be written.
    """
    if dataset.total is None:
        folder = store.folder(dataset.name)
        hide_own_results(folder, dataset.name)
        write_record(folder, _describe_run(dataset))


def _describe_run(dataset: Dataset) -> FolderRecord:
    place = digest_json({"place": str(dataset.root and dataset.root.resolve())})
    return FolderRecord(place, {image.name: image.sha256 for image in dataset.images})


def _is_free(name: str, dataset: Dataset, store: Store) -> bool:
    """Whether nothing is stored under ``name``, or what is stored is of this folder, which may have been moved."""
    own, record = _describe_run(dataset), read_record(store.folder(name))
    contents = set(own.pictures.values())
    if record is None:
        stored = {row.image_sha256 for row in store.read(name)}
        return not stored or bool(stored & contents)

    shared = contents & set(record.pictures.values())
    return own.place == record.place or 2 * len(shared) > min(len(contents), len(record.pictures))
