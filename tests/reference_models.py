"""Deterministic weights and test images, and the figures that the published models give for them.

The figures in ``tests/reference/hpcm_*.json`` were measured on the published code in float64. Each file lists
every parameter with the mean and deviation to fill it with.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

FOLDER = Path(__file__).parent / "reference"


def manifest(name: str) -> dict[str, Any]:
    """The recorded figures of one model."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def fill(model: nn.Module, figures: dict[str, Any]) -> None:
    """Give every recorded parameter, and statistics that are buffers, random values, in whatever order they come."""
    parameters = dict((*model.named_parameters(), *model.named_buffers()))
    with torch.no_grad():
        for entry in figures["parameters"]:
            key = (figures["weights_seed"] << 32) | zlib.crc32(entry["name"].encode())
            noise = np.random.Generator(np.random.Philox(key=key)).standard_normal(tuple(entry["shape"]))
            parameters[entry["name"]].copy_(torch.as_tensor(entry["mean"] + entry["std"] * noise))


def picture(height: int, width: int, seed: int) -> Tensor:
    """Smooth waves with noise, float64 (1, 3, height, width) in steps of 1 / 255."""
    random = np.random.Generator(np.random.Philox(key=seed))
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = np.zeros((3, height, width))
    for plane in planes:
        for _ in range(6):
            down, across = random.uniform(-0.12, 0.12), random.uniform(-0.12, 0.12)
            plane += np.sin(down * rows + across * columns + random.uniform(0, 2 * np.pi))
        plane += 0.3 * random.standard_normal((height, width))
    planes -= planes.min()
    planes /= planes.max()
    return torch.from_numpy(np.round(planes[None] * 255) / 255)
