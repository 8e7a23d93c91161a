"""Time the evaluation of CompressAI's models beside CompressAI's own, ``python -m compressai.utils.eval_model``.

Both are run as a user runs them, in processes of their own, on the same images and checkpoints.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from PIL import Image

from bench.benchmarks.benchmark import (
    BenchmarkReport,
    CallTimes,
    SideBySide,
    Tell,
    machine_line,
    make_report,
    run_python,
    tell_nothing,
)
from bench.common.errors import EXIT_DONE, BenchError
from bench.common.import_paths import ZOO
from bench.common.temporary import temporary_folder
from bench.datasets import resolve_dataset
from bench.results.rows import OK, Row
from bench.results.store import Store
from bench.runners.machine_share import usable_cores
from bench.runners.profile.subjects import make_lively_model, make_picture

QUALITY = 3
VARIANT = "zoo"
NOTES = """\
Seconds of a whole run on {images} images of {width}x{height} with {points} checkpoints (the same random weights, as
wide as qualities 1 to 4), start-up of all processes included; each line is a round, its two runs one after the other.
This suite runs {jobs} checkpoints at a time on one thread each, decodes in second processes and compares their images
with the encoder's; eval_model has one process of one thread, and no decoder apart. CPU: seconds of all cores.
bpp: of the streams alone, as eval_model counts, and of this suite's whole files. PSNR: eval_model's is in float32."""


@dataclass(frozen=True)
class Size:
    """What is evaluated: architectures, images of (width, height), checkpoints; how often; the ratio's goal."""

    architectures: tuple[str, ...] = ("bmshj2018-hyperprior", "mbt2018-mean")
    images: int = 6
    shape: tuple[int, int] = (768, 512)
    points: int = 4
    rounds: int = 1
    goal: float | None = 0.6


FULL = Size()
QUICK = Size(("bmshj2018-hyperprior",), images=2, shape=(256, 256), points=2, goal=None)


@dataclass(frozen=True)
class Outcome:
    """One evaluation: seconds by the clock and of all cores; each checkpoint's bpp of streams and files, PSNR in dB."""

    seconds: float
    cpu_s: float
    bpp: tuple[float, ...]
    psnr_db: tuple[float, ...]
    file_bpp: tuple[float, ...] = ()


def run(device: str, quick: bool = False, tell: Tell = tell_nothing) -> BenchmarkReport:
    """Time both evaluations in turns; the CPU's, whatever the device."""
    return compare(QUICK if quick else FULL, tell)


def compare(size: Size, tell: Tell) -> BenchmarkReport:
    """Time both evaluations of one size in turns."""
    jobs = usable_cores()  # a checkpoint on each core at a time
    rows, ratios = [], []
    with temporary_folder("benchmark") as folder:
        write_images(folder / "images", size.images, size.shape)
        for architecture in size.architectures:
            tell(f"{architecture}: random weights")
            checkpoints = write_checkpoints(folder / architecture, architecture, size.points)
            found = []
            for number in range(size.rounds):
                where = f"{architecture}, round {number + 1} of {size.rounds}"
                tell(f"{where}: eval_model")
                theirs = run_eval_model(architecture, folder / "images", checkpoints)
                tell(f"{where}: this suite")
                ours = run_suite(architecture, folder / "images", checkpoints, folder / f"{architecture}-{number}",
                                 jobs)
                rows.append(_make_row(architecture, ours, theirs))
                found.append((ours.seconds, theirs.seconds))
            ours_s, theirs_s = (CallTimes(times) for times in zip(*found))
            what = f"evaluating {architecture}, {size.points} x {size.images} images, over eval_model"
            ratios.append(SideBySide(what, ours_s.over(theirs_s), size.goal))
    notes = NOTES.format(images=size.images, width=size.shape[0], height=size.shape[1], points=size.points, jobs=jobs)
    return make_report(machine_line("cpu"), rows, notes, ratios)


def write_images(folder: Path, number: int, shape: tuple[int, int]) -> None:
    """Write parts of the sample photographs as PNG."""
    folder.mkdir(parents=True)
    for index in range(number):
        Image.fromarray(make_picture(*shape, index)).save(folder / f"{index:02d}.png")


def write_checkpoints(folder: Path, architecture: str, number: int) -> list[Path]:
    """Write checkpoints of one architecture, with the same random weights: what is timed does not depend on them."""
    folder.mkdir(parents=True)
    paths = [folder / f"0.0{point + 1}.pth" for point in range(number)]
    weights = make_lively_model(ZOO + architecture, {"quality": QUALITY}).state_dict()
    for path in paths:
        torch.save(weights, path)
    return paths


def run_eval_model(architecture: str, images: Path, checkpoints: Sequence[Path]) -> Outcome:
    """Evaluate with CompressAI."""
    output, seconds, cpu_s = _run_counted([
        "-m", "compressai.utils.eval_model", "checkpoint", "-a", architecture, str(images), "-p",
        *map(str, checkpoints)], images.parent)
    results = json.loads(output)["results"]
    return Outcome(seconds, cpu_s, tuple(results["bpp"]), tuple(results["psnr-rgb"]))


def run_suite(architecture: str, images: Path, checkpoints: Sequence[Path], results: Path, at_a_time: int) -> Outcome:
    """Evaluate with ``python -m bench evaluate``.

    Raises:
        BenchError: an image could not be measured, or was decoded differently.
    """
    variants = checkpoints[0].parent / "variants.yaml"
    paths = "".join(f"      {path.stem}: {path}\n" for path in checkpoints)
    variants.write_text(f"variants:\n  {VARIANT}:\n    model: {ZOO}{architecture}\n    label: {architecture}\n"
                        f"    options: {{quality: {QUALITY}}}\n"
                        f"    lambdas: [{', '.join(path.stem for path in checkpoints)}]\n    checkpoints:\n{paths}")
    _, seconds, cpu_s = _run_counted([
        "-m", "bench", "evaluate", "--dataset", str(images), "--codecs", VARIANT, "--device", "cpu",
        "--threads", "1", "--jobs", str(at_a_time), "--results", str(results)],
        images.parent, BENCH_VARIANTS=str(variants))
    rows = Store(results).read(resolve_dataset(str(images)).name)
    wrong = [row.image for row in rows if row.status != OK or not row.decode_matches]
    if wrong or not rows:
        raise BenchError(f"evaluation of {architecture} failed for {', '.join(wrong) or 'all images'}")

    def average(value: Callable[[Row], float]) -> tuple[float, ...]:
        return tuple(fmean(value(row) for row in rows if row.point == path.stem) for path in checkpoints)

    return Outcome(seconds, cpu_s, bpp=average(lambda row: (row.bpp_of("y") or 0) + (row.bpp_of("z") or 0)),
                   psnr_db=average(lambda row: row.quality["psnr"]), file_bpp=average(lambda row: row.bpp or 0))


def _run_counted(arguments: Sequence[str], folder: Path, **variables: str) -> tuple[str, float, float]:
    """As ``run_python``, with the seconds of all cores that the process and those that it started took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output, seconds = run_python(arguments, folder, exit_codes=(EXIT_DONE,), **variables)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return output, seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _make_row(architecture: str, ours: Outcome, theirs: Outcome) -> dict[str, object]:
    difference = max(abs(a - b) for a, b in zip(ours.psnr_db, theirs.psnr_db))
    return {
        "architecture": architecture, "this": f"{ours.seconds:.1f}", "eval_model": f"{theirs.seconds:.1f}",
        "ratio": f"{ours.seconds / theirs.seconds:.2f}",
        "CPU": f"{ours.cpu_s:.1f}", "eval_model's CPU": f"{theirs.cpu_s:.1f}",
        "CPU ratio": f"{ours.cpu_s / theirs.cpu_s:.2f}",
        "bpp": _join_numbers(ours.bpp),
        "eval_model's": "the same" if ours.bpp == theirs.bpp else _join_numbers(theirs.bpp),
        "files' bpp": _join_numbers(ours.file_bpp), "PSNR, dB": _join_numbers(ours.psnr_db),
        "eval_model's PSNR": f"{difference:.0e} dB away",
    }


def _join_numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)
