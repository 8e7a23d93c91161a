"""Training images: decoded once into one file on disk, random crops that depend only on a seed and their number.

Because crop ``n`` depends on nothing that was drawn before it, a training that is resumed, or that has more worker
processes or more GPUs, sees the same crops; and because the decoded images are mapped into memory, workers and
trainings that run side by side share one copy.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from bench.common.errors import DatasetError, ImageError
from bench.common.files import whole, write_whole, writing
from bench.common.hashing import digest_json
from bench.common.interruption import end_with_parent
from bench.datasets.images import read_rgb8
from bench.datasets.listing import PICTURE_SUFFIXES, list_pictures

VALIDATION_IMAGES = 24


@dataclass(frozen=True)
class Decoded:
    """Decoded images in one file of 8-bit RGB pixels.

    Attributes:
        file: pixels, image after image, row by row.
        starts: where in the file each image begins, in bytes.
        shapes: (height, width) of each.
        sha256: of all pixels in the file.
    """

    file: Path
    starts: tuple[int, ...]
    shapes: tuple[tuple[int, int], ...]
    sha256: str

    def __len__(self) -> int:
        return len(self.shapes)

    def images(self) -> list[np.ndarray]:
        """The images, uint8 (H, W, 3) each, mapped from the file."""
        pixels = np.memmap(self.file, np.uint8, "r")
        return [pixels[start : start + height * width * 3].reshape(height, width, 3)
                for start, (height, width) in zip(self.starts, self.shapes)]


@dataclass(frozen=True)
class Images:
    """Decoded images of a training.

    Attributes:
        training: random crops are made of them.
        held_out: crops for validation, uint8 (n, 3, crop, crop), or None.
    """

    training: Decoded
    held_out: Tensor | None = None


def decode_folders(folders: Sequence[Path], crop: int, cache: Path) -> Decoded:
    """Decode every image below ``folders``, once, and give those with at least ``crop`` pixels on both sides.

    The decoded file lies in ``cache``, three bytes a pixel, under a name made of the files' paths, sizes and times of
    change: an altered folder is decoded anew.

    Raises:
        DatasetError: there is no such image, one can't be read, or the disk is full.
    """
    paths = list_pictures(folders, PICTURE_SUFFIXES, below=True)
    stamps = [[str(path.resolve()), (stat := path.stat()).st_size, stat.st_mtime_ns] for path in paths]
    stem = cache / digest_json({"files": stamps})
    index, file = stem.with_suffix(".json"), stem.with_suffix(".rgb")
    listed = _read_index(index, file) or _decode_images(paths, index, file)
    shapes = [(height, width) for height, width in listed["shapes"]]
    starts = [0, *itertools.accumulate(3 * height * width for height, width in shapes)]
    kept = [number for number, shape in enumerate(shapes) if min(shape) >= crop]
    if not kept:
        raise DatasetError(
            f"no training images of at least {crop}x{crop} pixels below {', '.join(map(str, folders))}"
            f" ({len(paths)} images seen)", "name a folder of photographs with --data")
    return Decoded(file, tuple(starts[number] for number in kept), tuple(shapes[number] for number in kept),
                   listed["sha256"])


def _read_index(index: Path, file: Path) -> dict[str, Any] | None:
    """What a decoded file holds; None where it or its index is missing, torn or of another size."""
    try:
        listed = json.loads(index.read_text())
        is_whole = file.stat().st_size == sum(3 * height * width for height, width in listed["shapes"])
        return listed if is_whole and listed["sha256"] else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _decode_images(paths: list[Path], index: Path, file: Path) -> dict[str, Any]:
    """Write the pixels of all images, then their index; a file appears whole or not at all, whoever else writes it."""
    shapes, hashed = [], hashlib.sha256()
    with writing(file, "decoded images go there, three bytes a pixel: name another folder with --cache"):
        with whole(file) as temporary, temporary.open("wb") as pixels:
            for path in tqdm(paths, "decoding", unit="image", disable=None):
                image = _read_image(path)
                data = image.tobytes()
                pixels.write(data)
                hashed.update(data)
                shapes.append(image.shape[:2])
        listed = {"shapes": shapes, "sha256": hashed.hexdigest()}
        write_whole(index, json.dumps(listed))
    return listed


def _read_image(path: Path) -> np.ndarray:
    """One image, uint8 (H, W, 3), read as in an evaluation."""
    try:
        return read_rgb8(path)
    except ImageError as error:
        what = str(error.args[0]).removeprefix(f"{path}: ")
        raise DatasetError(f"the training image {path} {what}", f"{error.hint}; or remove it") from None


class RandomCrops(Dataset):
    """Crop ``n`` of an endless stream: uint8 (3, crop, crop), flipped both ways at random.

    Every place in every image is equally likely, so that large images give more crops than small ones.
    """

    def __init__(self, decoded: Decoded, crop: int, seed: int) -> None:
        self.decoded, self.crop, self.seed = decoded, crop, seed
        places = [(height - crop + 1) * (width - crop + 1) for height, width in decoded.shapes]
        self.ends = np.cumsum(places)
        self._images: list[np.ndarray] | None = None

    def __getitem__(self, number: int) -> Tensor:
        if self._images is None:  # mapped in the process that reads
            self._images = self.decoded.images()
        generator = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, number, 0, 0]))
        place, rows, columns = (int(value) for value in generator.integers((self.ends[-1], 2, 2)))
        which = int(np.searchsorted(self.ends, place, side="right"))
        image, crop = self._images[which], self.crop
        across = image.shape[1] - crop + 1
        top, left = divmod(place - (int(self.ends[which - 1]) if which else 0), across)
        part = image[top : top + crop, left : left + crop][:: 1 - 2 * rows, :: 1 - 2 * columns]
        return torch.from_numpy(np.ascontiguousarray(part.transpose(2, 0, 1)))

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_images": None}


def number_crops(steps: range, batch: int, process: int = 0, processes: int = 1) -> Iterator[list[int]]:
    """Numbers of the crops of each of ``steps``, for one of ``processes``."""
    share = batch // processes
    for step in steps:
        start = step * batch + process * share
        yield list(range(start, start + share))


def load_batches(crops: RandomCrops, numbers: Iterable[list[int]], workers: int,
                 pinned: bool = False) -> DataLoader:
    """Batches of crops as uint8 (B, 3, crop, crop), made ahead of time by ``workers`` processes (0: by this one)."""
    ahead: dict[str, Any] = {"prefetch_factor": 4, "persistent_workers": True,
                             "worker_init_fn": end_with_parent} if workers else {}
    return DataLoader(crops, batch_sampler=numbers, num_workers=workers, pin_memory=pinned, **ahead)


def as_input(crops: Tensor, device: torch.device | str = "cpu") -> Tensor:
    """8-bit crops as the models' input, float32 in [0, 1]; converted on the device, a quarter of the transfer."""
    return crops.to(device, non_blocking=True).float() / 255


def crop_centres(decoded: Decoded, crop: int, most: int = VALIDATION_IMAGES) -> Tensor:
    """The centre of at most ``most`` images, evenly chosen: uint8 (n, 3, crop, crop)."""
    images = decoded.images()
    chosen = [images[i * len(images) // min(most, len(images))] for i in range(min(most, len(images)))]
    parts = []
    for image in chosen:
        top, left = ((side - crop) // 2 for side in image.shape[:2])
        parts.append(image[top : top + crop, left : left + crop].transpose(2, 0, 1))
    return torch.from_numpy(np.stack(parts))
