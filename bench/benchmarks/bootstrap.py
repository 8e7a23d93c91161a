"""Time the paired bootstrap of BD-rates beside a loop over the ``bjontegaard`` package."""

from __future__ import annotations

import numpy as np

from bench.benchmarks.benchmark import (
    BenchmarkReport,
    CallTimes,
    SideBySide,
    Tell,
    machine_line,
    make_report,
    tell_nothing,
    time_together,
)
from bench.common.errors import BenchError
from bench.metrics.statistics.bootstrap import RESAMPLES, SEED, paired_bd_bootstrap, resample_counts
from bench.metrics.statistics.resampled import Resampled

IMAGES, POINTS = 24, 6
PART = 500  # resamples that the loop is timed on
GOAL = 0.01  # at least 100 times faster
NOTES = """\
Milliseconds for {resamples:,} resamples of {images} images at {points} rate points; median (10th to 90th percentile).
The loop took its first {part:,} resamples and is scaled from these. It gives the BD-rate of each resample and no more;
the time of this bootstrap includes the mean over single images, the jackknife and the points left out.
Largest difference between values of the same resample: {difference:.1e} points."""


def run(device: str, quick: bool = False, tell: Tell = tell_nothing) -> BenchmarkReport:
    """Time both in turns, on the host whatever the device.

    Raises:
        BenchError: the package is not installed.
    """
    part = PART // 10 if quick else PART
    sides, counts = draw_curves(), resample_counts(IMAGES)
    loop_over_package(*sides, counts[:, :1])  # imports the package
    timings = time_together({"loop": lambda: loop_over_package(*sides, counts[:, :part]),
                             "here": lambda: paired_bd_bootstrap(*sides)}, 5 if quick else 20, tell=tell)
    scaled = CallTimes(tuple(seconds * RESAMPLES / part for seconds in timings["loop"].values))
    ours, theirs = paired_bd_bootstrap(*sides).averaged, loop_over_package(*sides, counts[:, :part])
    assert isinstance(ours, Resampled)  # with so many images
    difference = np.abs(ours.resamples[:part] - theirs).max()
    table = [{"this": timings["here"], "loop over bjontegaard": scaled,
              "faster": f"{scaled.median / timings['here'].median:.0f}x"}]
    notes = NOTES.format(resamples=RESAMPLES, images=IMAGES, points=POINTS, part=part, difference=difference)
    ratio = SideBySide("bootstrap of BD-rates over a loop", timings["here"].over(scaled), GOAL)
    return make_report(machine_line("cpu"), table, notes, [ratio])


def draw_curves() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rates and qualities of an anchor and of a test some 5 % better, each (images, points)."""
    random = np.random.default_rng(SEED)
    rate = np.geomspace(0.1, 1.2, POINTS) * np.exp(random.normal(0, 0.5, (IMAGES, 1)))
    quality = np.linspace(28, 38, POINTS) + random.normal(0, 2, (IMAGES, 1))
    saving = np.exp(random.normal(-0.05, 0.03, (IMAGES, 1)))
    return rate, quality, rate * saving, quality + random.normal(0, 0.05, (IMAGES, POINTS))


def loop_over_package(anchor_rate: np.ndarray, anchor_quality: np.ndarray, test_rate: np.ndarray,
                      test_quality: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """BD-rates in percent of the averaged curves of each resample, one by one by the package.

    Args:
        counts: (images, resamples), how often each image is drawn.

    Raises:
        BenchError: the package is not installed.
    """
    try:
        import bjontegaard
    except ImportError:
        raise BenchError("the package bjontegaard is not installed", "python -m pip install '.[test]'") from None
    values = []
    for drawn in counts.T:
        images = np.repeat(np.arange(len(drawn)), drawn.astype(int))
        curves = [part[images].mean(axis=0) for part in (anchor_rate, anchor_quality, test_rate, test_quality)]
        values.append(bjontegaard.bd_rate(*curves, method="pchip", require_matching_points=False, min_overlap=0))
    return np.array(values)
