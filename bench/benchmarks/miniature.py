"""Time the evaluation of one miniature beside the encoding, decoding and scoring that it consists of."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from bench.benchmarks.benchmark import (
    BenchmarkReport,
    SideBySide,
    Spread,
    Tell,
    machine_line,
    make_report,
    run_python,
    tell_nothing,
)
from bench.benchmarks.zoo import write_images
from bench.common.errors import BenchError
from bench.common.temporary import temporary_folder
from bench.datasets import resolve_dataset
from bench.metrics.quality import available_metrics, measure_quality
from bench.results.rows import OK, Row
from bench.results.store import Store
from bench.runners.machine import time_call
from bench.runners.profile.subjects import make_picture
from bench.variants import load_variants

MINIATURE = "hpcm_base_mini"
SHAPE, IMAGES, QUICK_IMAGES = (768, 512), 24, 4
SCORED = 8  # pairs of pictures that metrics are timed on
GOAL = 1.3
NOTES = """\
Seconds. whole: of `python -m bench evaluate` on {images} images of {width}x{height} at {points} rate points, from the
start of the first process to the end of the last. encode, decode: the sums of what its rows say. metrics: of as many
pairs of pictures of this size. rest: starts of processes, weights, hashes, files, comparing pixels."""


def run(device: str, quick: bool = False, tell: Tell = tell_nothing) -> BenchmarkReport:
    """Time a whole evaluation and its parts, on the CPU, whatever the device."""
    images = QUICK_IMAGES if quick else IMAGES
    points = [f"{lambda_:g}" for lambda_ in load_variants()[MINIATURE].lambdas][: 1 if quick else None]
    with temporary_folder("benchmark") as folder:
        write_images(folder / "images", images, SHAPE)
        tell(f"{MINIATURE}, {len(points)} x {images} images")
        _, whole_s = run_python([
            "-m", "bench", "evaluate", "--dataset", str(folder / "images"), "--codecs", MINIATURE, "--device", "cpu",
            "--points", ",".join(points), "--results", str(folder / "results")], folder)
        rows = Store(folder / "results").read(resolve_dataset(folder / "images").name)

    wrong = [row.image for row in rows if row.status != OK or not row.decode_matches]
    if wrong or len(rows) != images * len(points):
        raise BenchError(f"evaluation of {MINIATURE} failed for {', '.join(wrong) or 'some images'}")
    tell("metrics")
    table = make_table(whole_s, rows, time_metrics())
    ratio = SideBySide(f"evaluating {MINIATURE}, {len(points)} x {images} images, over its parts",
                       Spread((table["whole / parts"],)), None if quick else GOAL)
    notes = NOTES.format(images=images, width=SHAPE[0], height=SHAPE[1], points=len(points))
    return make_report(machine_line("cpu"), [{key: f"{value:.2f}" for key, value in table.items()}], notes, [ratio])


def make_table(whole_s: float, rows: Sequence[Row], metrics_s: float) -> dict[str, float]:
    """Return the seconds of a whole run and of its parts, and their ratio; ``metrics_s`` is of one image."""
    parts = {
        "encode": sum(row.encode_s or 0.0 for row in rows), "decode": sum(row.decode_s or 0.0 for row in rows),
        "metrics": len(rows) * metrics_s,
    }
    own_s = sum(parts.values())
    return {"whole": whole_s, **parts, "rest": whole_s - own_s, "whole / parts": whole_s / own_s}


def time_metrics() -> float:
    """Return the mean seconds that all metrics of one pair of pictures take."""
    pictures = [make_picture(*SHAPE, number) for number in range(SCORED + 1)]
    measure_quality(pictures[0], pictures[1], available_metrics())  # loads libraries
    return fmean(time_call(measure_quality, first, second, available_metrics())[1]
                 for first, second in zip(pictures, pictures[1:]))
