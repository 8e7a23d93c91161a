"""Time the report of many synthesised rows: seconds, memory, and the size of the page, for two numbers of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

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
from bench.common.temporary import temporary_folder
from bench.reports.kinds import LOCAL
from bench.results.rows import OK, Provenance, Row, row_key
from bench.results.store import Store

DATASET = "synthesised"
ANCHORS = ("hpcm_base", "vvenc")  # what reports compare with, among the names of codecs
SHAPES = ((40, 6, 417), (100, 5, 200))  # codecs, points, images: 100,000 rows each
SHARE, QUICK_SHARE = 4, 40  # by which the images of the smaller report are divided; of the larger one with --quick
WALL_S, PEAK_BYTES, PAGE_BYTES = 60.0, 2e9, 5e6  # what a report of 100,000 rows may take
GROWTH = 1.25  # times what the numbers of rows differ by
SCRIPT = """
import re, sys, time
from bench.cli import main
code = main(sys.argv[1:])
peak = re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())
print(time.process_time(), 1024 * int(peak[1]))
sys.exit(code)
"""
NOTES = """\
`python -m bench report` over synthesised rows, in a process of its own, its start included: seconds of the processor
and of the clock, the largest resident memory, and the size of index.html."""


@dataclass(frozen=True)
class ReportCost:
    """What the report of ``rows`` rows took: seconds of the processor and of the clock, memory, and its page's size."""

    rows: int
    cpu_s: float
    wall_s: float
    peak_bytes: int
    page_bytes: int


def run(device: str, quick: bool = False, tell: Tell = tell_nothing) -> BenchmarkReport:
    """Report on rows of every shape, on the host whatever the device.

    Raises:
        BenchError: a report fails.
    """
    table, ratios = [], []
    for codecs, points, images in SHAPES:
        largest = images // QUICK_SHARE if quick else images
        costs = {}
        for number in (largest // SHARE, largest):
            tell(f"{codecs} codecs, {points} points, {number} images")
            costs[number] = measure_report(codecs, points, number)
            table.append({"codecs": codecs, "points": points, "images": number, **_describe_cost(costs[number])})
        smaller, larger = costs.values()
        ratios += _compare(f"{codecs} codecs", smaller, larger, has_goals=not quick)
    return make_report(machine_line("cpu"), table, NOTES, ratios)


def _describe_cost(cost: ReportCost) -> Mapping[str, str]:
    return {"rows": f"{cost.rows:,}", "CPU [s]": f"{cost.cpu_s:.1f}", "wall [s]": f"{cost.wall_s:.1f}",
            "peak [GB]": f"{cost.peak_bytes / 1e9:.2f}", "page [MB]": f"{cost.page_bytes / 1e6:.2f}"}


def _compare(what: str, smaller: ReportCost, larger: ReportCost, has_goals: bool) -> list[SideBySide]:
    """The larger report beside what one may take, and how its time grows with the rows."""
    growth = larger.cpu_s / smaller.cpu_s / (larger.rows / smaller.rows)
    values = {f"CPU time a row, {larger.rows:,} over {smaller.rows:,} rows": (growth, GROWTH),
              f"wall time over {WALL_S:g} s": (larger.wall_s / WALL_S, 1.0),
              f"peak over {PEAK_BYTES / 1e9:g} GB": (larger.peak_bytes / PEAK_BYTES, 1.0),
              f"page over {PAGE_BYTES / 1e6:g} MB": (larger.page_bytes / PAGE_BYTES, 1.0)}
    return [SideBySide(f"report of {what}, {name}", Spread((value,)), goal if has_goals else None)
            for name, (value, goal) in values.items()]


def measure_report(codecs: int, points: int, images: int) -> ReportCost:
    """Store rows and build their report in a process of its own.

    Raises:
        BenchError: it fails.
    """
    with temporary_folder("benchmark") as folder:
        rows = store_rows(folder / "results", codecs, points, images)
        printed, wall_s = run_python(["-c", SCRIPT, "report", "--dataset", DATASET], folder,
                                     BENCH_RESULTS=str(folder / "results"), BENCH_REPORTS=str(folder / "reports"))
        page = folder / "reports" / LOCAL / DATASET / "index.html"
        cpu_s, peak_bytes = printed.splitlines()[-1].split()
        return ReportCost(rows, float(cpu_s), wall_s, int(peak_bytes), page.stat().st_size)


def store_rows(results: Path, codecs: int, points: int, images: int) -> int:
    """Store rows under ``results``, a file for each codec, and return how many these are."""
    count = 0
    for name in [*ANCHORS, *(f"codec_{number:03}" for number in range(len(ANCHORS), codecs))]:
        path = Store(results).path(DATASET, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [row.to_json() for row in synthesise_rows(name, points, images)]
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")
        count += len(lines)
    return count


def synthesise_rows(name: str, points: int, images: int) -> Iterator[Row]:
    """Yield rows of one codec, point by point, on images that are as hard for every codec; the same in every run.

    Args:
        name: of the codec, from which its numbers come.
        points: rate points, along which rates and qualities rise on every image.
        images: in the whole set.
    """
    random = np.random.default_rng(list(name.encode()))
    hardness = np.random.default_rng(0).normal(0, 0.4, (images, 1))
    saving = random.normal(0, 0.1) + random.normal(0, 0.03, (images, 1))
    bpp = np.geomspace(0.1, 1.2, points) * np.exp(hardness + saving)
    psnr = np.linspace(28, 38, points) - 4 * hardness + random.normal(0, 0.1, (images, points))
    for point in range(points):
        for image in range(images):
            yield _make_row(name, point, image, float(bpp[image, point]), float(psnr[image, point]), images)


def _make_row(name: str, point: int, image: int, bpp: float, psnr: float, images: int) -> Row:
    pixels, image_name = 768 * 512, f"image{image:05}.png"
    size = round(bpp * pixels / 8)
    quality = {"psnr": psnr, "psnr-y": psnr + 1, "psnr-cb": psnr + 6, "psnr-cr": psnr + 6,
               "ms-ssim": 1 - 10 ** (-psnr / 20)}
    series: dict[str, Any] = {
        "series": f"{name} q{point}", "codec": "learned", "name": name, "label": name, "point": f"q{point}",
        "identity": {"codec": "learned", "name": name, "point_settings": {"quality": point}, "coder": "synthesised",
                     "settings": {"model": name, "options": {"M": 320, "N": 192}}, "weights_sha256": f"{point:064x}"},
    }
    return Row(
        **series, key=row_key(series["series"], DATASET, image_name, f"{image:064x}"), status=OK, dataset=DATASET,
        image=image_name, image_sha256=f"{image:064x}", dataset_total=images, width=768, height=512,
        padding=(0, 0, 0, 0), bytes_total=size, bytes_y=size - 200, bytes_z=190, bytes_header=10, bpp=8 * size / pixels,
        bpp_estimated=7.9 * size / pixels, actual_over_estimated=8 / 7.9, quality=quality,
        quality_versions=dict.fromkeys(quality, "1"), encode_s=0.1, decode_s=0.1, decode_matches=True,
        decode_max_abs_difference=0, code_version="0", measured_at="2026-01-01T00:00:00+00:00",
        provenance=Provenance(device="cpu: synthesised", cpus=2, libraries={"numpy": "1", "torch": "2"}))
