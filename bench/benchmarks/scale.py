"""Time what grows with the rows: storing them one by one and many at once, planning over them, reporting on them."""

from __future__ import annotations

import os
import time
from itertools import islice
from pathlib import Path
from typing import NoReturn

from msgspec.structs import replace

from bench.benchmarks.benchmark import BenchmarkReport, Tell, machine_line, make_report, run_python, tell_nothing
from bench.benchmarks.reports import DATASET, measure_report, synthesise_rows
from bench.codecs.base import CODECS, CodecEntry, CodecSpec
from bench.common.temporary import temporary_folder
from bench.datasets import Dataset
from bench.datasets.dataset import ImageFile
from bench.results.rows import Row, row_key
from bench.results.store import Store
from bench.runners.evaluate.plan import make_plan
from bench.runners.evaluate.unit import Unit, identify

CODEC = "synthesised"
SHAPES = ((10, 5, 200), (40, 6, 417))  # codecs, points, images: 10,000 and 100,000 rows
LARGEST = (40, 6, 4167)  # a million; with BENCH_LARGE=1, for it takes 10 GB
QUICK_SHAPES = ((4, 5, 50),)
SINGLE, GROUPED, GROUP = 300, 5000, 50  # rows that are stored one by one and many at once, and how many at once
PLAN_SCRIPT = """
import sys, time
from pathlib import Path
from typing import NoReturn
from bench.benchmarks.scale import plan_again
print(*plan_again(Path(sys.argv[1]), *map(int, sys.argv[2:])))
"""
NOTES = """\
Rows are synthesised. Each plan and report is made by a process of its own, its start included in a report and left out
of a plan: seconds of the processor, and the largest resident memory."""


def run(device: str, quick: bool = False, tell: Tell = tell_nothing) -> BenchmarkReport:
    """Store, plan and report, on the host whatever the device.

    Raises:
        BenchError: a process fails.
    """
    shapes = QUICK_SHAPES if quick else SHAPES + ((LARGEST,) if os.environ.get("BENCH_LARGE") == "1" else ())
    tell("storing")
    single, grouped, row_bytes = measure_storing(SINGLE // 10 if quick else SINGLE, GROUPED // 10 if quick else GROUPED)
    table = []
    for codecs, points, images in shapes:
        tell(f"{codecs} codecs, {points} points, {images} images")
        plan_s, plan_bytes = measure_plan(codecs, points, images)
        report = measure_report(codecs, points, images)
        table.append({"rows": f"{report.rows:,}", "plan, CPU [s]": f"{plan_s:.2f}",
                      "its peak [GB]": f"{plan_bytes / 1e9:.2f}",
                      "report, CPU [s]": f"{report.cpu_s:.1f}", "report's peak [GB]": f"{report.peak_bytes / 1e9:.2f}",
                      "page [MB]": f"{report.page_bytes / 1e6:.2f}"})
    stored = (f"stored one by one: {single:.0f} rows a second; {GROUP} at once: {grouped:.0f}; {row_bytes:.0f} bytes a"
              " row")
    return make_report(f"{machine_line('cpu')}\n{stored}", table, NOTES)


def measure_storing(single: int, grouped: int) -> tuple[float, float, float]:
    """Return rows a second by the clock, one by one and in groups, and the bytes of a row."""
    rows = list(islice(synthesise_rows("codec", 1, grouped), grouped))
    with temporary_folder("benchmark") as folder:
        store = Store(folder)
        start = time.perf_counter()
        for row in rows[:single]:
            store.append(row)
        single_s = time.perf_counter() - start

        start = time.perf_counter()
        for first in range(0, grouped, GROUP):
            store.append_all(rows[first:first + GROUP])
        grouped_s = time.perf_counter() - start
        row_bytes = store.path(DATASET, "codec").stat().st_size / (single + grouped)
    return single / single_s, grouped / grouped_s, row_bytes


def measure_plan(codecs: int, points: int, images: int) -> tuple[float, int]:
    """Store all rows of a plan, and return what planning again takes: seconds of the processor and bytes at the peak.

    Raises:
        BenchError: it fails.
    """
    with temporary_folder("benchmark") as folder:
        store_planned(folder, codecs, points, images)
        printed, _ = run_python(["-c", PLAN_SCRIPT, str(folder), *map(str, (codecs, points, images))], folder)
    cpu_s, peak_bytes = printed.split()
    return float(cpu_s), int(peak_bytes)


def store_planned(results: Path, codecs: int, points: int, images: int) -> None:
    """Store a row for each picture of each unit, under the keys that a plan has for them."""
    for name, specs in list_specs(codecs, points).items():
        series = [identify(spec).digest for spec in specs]
        rows = synthesise_rows(name, points, images)
        lines = [give_key(row, series[number // images]).to_json() for number, row in enumerate(rows)]
        path = Store(results).path(DATASET, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def give_key(row: Row, series: str) -> Row:
    """Return a row as one of another series."""
    return replace(row, series=series, key=row_key(series, row.dataset, row.image, row.image_sha256))


def plan_again(results: Path, codecs: int, points: int, images: int) -> tuple[float, int]:
    """Plan what is stored; return seconds of the processor and bytes at the peak.

    Raises:
        AssertionError: something of it counts as not stored.
    """
    specs = [spec for own in list_specs(codecs, points).values() for spec in own]
    files = tuple(ImageFile(f"image{number:05}.png", results / "nowhere", f"{number:064x}", True)
                  for number in range(images))
    dataset = Dataset(DATASET, DATASET, files, images, True, (), (), None)
    start = time.process_time()
    plan = make_plan(dataset, specs, (), Store(results), Unit(specs[0], DATASET, images, (), metrics=("psnr",)))
    cpu_s = time.process_time() - start
    assert not plan.pending and len(plan.units) == len(specs)
    return cpu_s, read_peak_bytes()


def list_specs(codecs: int, points: int) -> dict[str, list[CodecSpec]]:
    """Return the rate points of each of so many codecs, which exist by name alone."""
    if CODEC not in CODECS:
        CODECS.add(CODEC, CodecEntry(build=_refuse, identify=lambda spec: {}, default_specs=list, label=CODEC))
    names = [f"codec_{number:03}" for number in range(codecs)]
    return {name: [CodecSpec(CODEC, name, f"q{point}") for point in range(points)] for name in names}


def _refuse(spec: CodecSpec) -> NoReturn:
    raise NotImplementedError(f"{spec.name} codes nothing")


def read_peak_bytes() -> int:
    """Return the largest resident memory of this process so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
