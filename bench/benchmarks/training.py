"""Time training steps fed by this suite's crops beside the same steps fed by a plain DataLoader over the same folder.

The plain one is what published trainings use: CompressAI's ``ImageFolder``, random crops and flips by torchvision.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from compressai.datasets import ImageFolder
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms

from bench.benchmarks.benchmark import (
    BenchmarkReport,
    SideBySide,
    Tell,
    machine_line,
    make_report,
    tell_nothing,
    time_together,
)
from bench.common.temporary import temporary_folder
from bench.runners.profile.subjects import make_picture
from bench.training.data import RandomCrops, as_input, decode_folders, load_batches, number_crops
from bench.training.recipes import Job, Recipe
from bench.training.trainer import Trainer
from bench.variants import get_variant

VARIANT = "hpcm_base_mini"
CROP, BATCH, STEPS = 256, 8, 4  # steps in a round
IMAGES, SHAPE = 24, (2048, 1360)  # width and height of photographs as training sets have them
FOLDER = "BENCH_TRAINING_IMAGES"
NOTES = """\
Milliseconds of {steps} steps of {batch} crops of {crop}x{crop}, with {workers} worker processes for each loader;
median (10th to 90th percentile). {images}. "crops alone" is the loader without a model. Steps a second: this suite's
{ours:.2f}, plain {plain:.2f}. Decoding all images into the cache took {decoding_s:.1f} s, once."""


def run(device: str, quick: bool = False, tell: Tell = tell_nothing) -> BenchmarkReport:
    """Time both loaders in turns, alone and with the steps of a miniature."""
    given = os.environ.get(FOLDER)
    with temporary_folder("benchmark") as temporary:
        folder = Path(given) if given else write_photographs(temporary / "train", 6 if quick else IMAGES)
        return compare_loaders(folder, temporary, device, quick, given is not None, tell)


def compare_loaders(folder: Path, temporary: Path, device: str, quick: bool, given: bool,
                    tell: Tell = tell_nothing) -> BenchmarkReport:
    """Compare on the images of ``folder``; caches and states go to ``temporary``."""
    workers = 4 if device == "cuda" else 0
    started = time.perf_counter()
    decoded = decode_folders([folder], CROP, temporary / "cache")
    decoding_s = time.perf_counter() - started
    variant = get_variant(VARIANT)
    recipe = Recipe(steps=1_000_000, batch=BATCH, crop=CROP)
    trainer = Trainer(Job(variant.model, 0.013, recipe, variant.options_for(0.013)), temporary / "run")
    trainer.model.to(device)
    loaders = {"this": load_here(RandomCrops(decoded, CROP, 0), workers, device),
               "plain": load_plainly(folder, workers, device)}

    def run_steps(loader: Iterator[Tensor], step: Callable[[Tensor], object]) -> None:
        for _ in range(STEPS):
            step(next(loader))

    functions = {f"{name}, {what}": partial(run_steps, loader, step) for name, loader in loaders.items()
                 for what, step in (("crops alone", lambda x: None), ("training", trainer._step))}
    timings = time_together(functions, 3 if quick else 10, 60, tell)

    rows = [{"": what, "this": timings[f"this, {what}"], "plain": timings[f"plain, {what}"],
             "faster": f"{timings[f'plain, {what}'].median / timings[f'this, {what}'].median:.2f}x"}
            for what in ("crops alone", "training")]
    shown = f"{len(decoded)} images of {folder}" if given else f"{len(decoded)} synthetic JPEG images of 2048x1360"
    notes = NOTES.format(steps=STEPS, batch=BATCH, crop=CROP, workers=workers, images=shown,
                         ours=STEPS / timings["this, training"].median,
                         plain=STEPS / timings["plain, training"].median, decoding_s=decoding_s)
    ratios = [SideBySide(f"{what}, this loader over a plain DataLoader",
                         timings[f"this, {what}"].over(timings[f"plain, {what}"]))
              for what in ("crops alone", "training")]
    return make_report(machine_line(device), rows, notes, ratios)


def load_here(crops: RandomCrops, workers: int, device: str) -> Iterator[Tensor]:
    """This suite's batches, endlessly, on the device."""
    for batch in load_batches(crops, number_crops(range(1_000_000), BATCH), workers, device == "cuda"):
        yield as_input(batch, device)


def load_plainly(folder: Path, workers: int, device: str) -> Iterator[Tensor]:
    """The usual loader's batches, endlessly, on the device."""
    turned = [transforms.RandomCrop(CROP), transforms.RandomHorizontalFlip(), transforms.RandomVerticalFlip()]
    dataset = ImageFolder(folder.parent, transform=transforms.Compose([*turned, transforms.ToTensor()]),
                          split=folder.name)
    loader = DataLoader(dataset, BATCH, shuffle=True, num_workers=workers, drop_last=len(dataset) >= BATCH,
                        pin_memory=device == "cuda", persistent_workers=workers > 0)
    while True:
        for batch in loader:
            yield batch.to(device, non_blocking=True)


def write_photographs(folder: Path, number: int) -> Path:
    """Write ``number`` JPEG images of the size of photographs."""
    folder.mkdir(parents=True)
    for seed in range(number):
        Image.fromarray(make_picture(*SHAPE, seed)).save(folder / f"{seed}.jpg", quality=92)
    return folder
