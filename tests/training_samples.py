"""Photographs and short trainings for tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tiny_models import TINY, picture

from bench.training.data import Decoded, crop_centres, decode_folders
from bench.training.recipes import RECIPES, Job, Recipe

CROP = 64


def short(name: str = "standard", **changes) -> Recipe:
    """A recipe of a few steps of two small crops."""
    settings = {"steps": 12, "epochs": 0, "batch": 2, "crop": CROP, "learning_rate": 1e-3, "warmup": 3,
                "schedule": "cosine"}
    return RECIPES.get(name).with_(**{**settings, **changes})


def job(name: str = "standard", lambda_: float = 0.01, seed: int = 0, **changes) -> Job:
    """A short training of the tiny HPCM."""
    return Job("hpcm_base", lambda_, short(name, **changes), TINY, seed=seed)


def logged_lines(folder: Path) -> list[dict]:
    """All lines of a training's log."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture()
def photographs(tmp_path: Path) -> Path:
    """A folder of four images that give crops, in two subfolders, and one that is too narrow."""
    folder = tmp_path / "photographs"
    (folder / "more").mkdir(parents=True)
    for seed in range(4):
        Image.fromarray(picture(96, 80, seed)).save((folder / "more" if seed % 2 else folder) / f"{seed}.png")
    Image.fromarray(picture(32, 80)).save(folder / "too-narrow.png")
    return folder


@pytest.fixture()
def decoded(photographs: Path, tmp_path: Path) -> Decoded:
    return decode_folders([photographs], CROP, tmp_path / "cache")


@pytest.fixture()
def held_out(decoded: Decoded):
    return crop_centres(decoded, CROP)
