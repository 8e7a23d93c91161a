"""Random crops of a folder of images, held decoded in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.errors import DatasetError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


def load_folders(folders: list[Path], crop: int) -> list[np.ndarray]:
    """Decode every image below ``folders`` with at least ``crop`` pixels on both sides: uint8 (H, W, 3) each.

    Raises:
        DatasetError: there is no such image.
    """
    files = (path for folder in folders for path in folder.rglob("*"))
    paths = sorted(path for path in files if path.suffix.lower() in SUFFIXES)
    images = []
    for path in paths:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        if min(pixels.shape[:2]) >= crop:
            images.append(pixels)
    if not images:
        raise DatasetError(
            f"no training images of at least {crop}x{crop} pixels below {', '.join(map(str, folders))}"
            f" ({len(paths)} images seen)",
            "name a folder of photographs with --data",
        )
    return images


def random_batch(images: list[np.ndarray], size: int, crop: int, generator: np.random.Generator) -> Tensor:
    """Random crops with random flips: float32 (size, 3, crop, crop) in [0, 1]."""
    chosen = generator.integers(len(images), size=size)
    return _stack([_random_crop(images[index], crop, generator) for index in chosen])


def centre_batch(images: list[np.ndarray], crop: int) -> Tensor:
    """The centre of every image: float32 (n, 3, crop, crop) in [0, 1]."""
    corners = [((image.shape[0] - crop) // 2, (image.shape[1] - crop) // 2) for image in images]
    return _stack([_crop(image, top, left, crop) for image, (top, left) in zip(images, corners)])


def _random_crop(image: np.ndarray, crop: int, generator: np.random.Generator) -> np.ndarray:
    top, left = (int(generator.integers(side - crop + 1)) for side in image.shape[:2])
    rows, columns = (int(step) for step in generator.choice((-1, 1), size=2))
    return _crop(image, top, left, crop)[::rows, ::columns]


def _crop(image: np.ndarray, top: int, left: int, crop: int) -> np.ndarray:
    return image[top : top + crop, left : left + crop]


def _stack(crops: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
