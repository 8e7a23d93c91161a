"""Rehearse the full sets on stand-ins of their numbers and sizes of pictures: time, memory and disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psutil

from bench.benchmarks.benchmark import BenchmarkReport, Tell, machine_line, make_report, run_python, tell_nothing
from bench.benchmarks.zoo import write_images
from bench.common.errors import BenchError
from bench.common.temporary import temporary_folder
from bench.datasets import resolve_dataset
from bench.results.rows import OK
from bench.results.store import Store

SETS = {"clic2020": (41, (2048, 1365)), "tecnick": (100, (1200, 1200))}  # pictures, width and height
SAMPLE_S = 0.2  # between looks at the memory
NOTES = """\
`python -m bench evaluate` on one rate point, one unit at a time. seconds: of the whole command. a picture: of the
pictures after the first, so without starts. whole set: that for all pictures and all rate points of the codec. memory:
the largest sum over all its processes, what they share counted once. rows: what it stored, for the whole set."""


@dataclass(frozen=True)
class Rehearsal:
    """One codec at one of its ``points`` rate points, on so many pictures of a set; None is all of them."""

    codec: str
    point: str
    points: int
    pictures: int | None = None


REHEARSALS = (Rehearsal("jpeg", "q55", 7), Rehearsal("hpcm_base_mini", "0.0067", 4, pictures=4))


def run(device: str, quick: bool = False, tell: Tell = tell_nothing) -> BenchmarkReport:
    """Evaluate each codec on a stand-in of each set; on the CPU, whatever the device."""
    rows = []
    for name, (pictures, shape) in SETS.items():
        for rehearsal in REHEARSALS:
            number = 3 if quick else rehearsal.pictures or pictures
            tell(f"{name}: {rehearsal.codec}, {number} pictures of {shape[0]}x{shape[1]}")
            rows.append({"set": name, **rehearse(rehearsal, number, pictures, shape)})
    return make_report(machine_line("cpu"), rows, NOTES)


def rehearse(rehearsal: Rehearsal, number: int, pictures: int, shape: tuple[int, int]) -> dict[str, object]:
    """Evaluate on ``number`` pictures, and scale what it took to all ``pictures`` of the set.

    Raises:
        BenchError: a picture could not be measured.
    """
    with temporary_folder("benchmark") as folder:
        write_images(folder / "images", number, shape)
        with watch_memory() as peaks:
            _, seconds = run_python(
                ["-m", "bench", "evaluate", "--dataset", str(folder / "images"), "--codecs", rehearsal.codec,
                 "--points", rehearsal.point, "--device", "cpu", "--results", str(folder / "results")], folder)
        store, dataset = Store(folder / "results"), resolve_dataset(folder / "images").name
        measured = store.read(dataset)
        size = store.path(dataset, rehearsal.codec).stat().st_size

    if len(measured) != number or any(row.status != OK for row in measured):
        raise BenchError(f"{rehearsal.codec} failed on some of {number} pictures")
    times = sorted(datetime.fromisoformat(row.measured_at) for row in measured)
    each_s = (times[-1] - times[0]).total_seconds() / (number - 1)
    scale = rehearsal.points * pictures
    return {
        "codec": rehearsal.codec, "pictures": number, "seconds": f"{seconds:.0f}", "a picture, s": f"{each_s:.2f}",
        "whole set, min": f"{each_s * scale / 60:.0f}", "memory, MB": f"{max(peaks) / 1e6:.0f}",
        "rows, MB": f"{size / number * scale / 1e6:.1f}",
    }


@contextmanager
def watch_memory() -> Iterator[list[int]]:
    """Collect, while the block runs, the bytes that all processes have that this one started."""
    peaks, finished = [0], threading.Event()

    def watch() -> None:
        while not finished.wait(SAMPLE_S):
            peaks.append(sum(_proportional_bytes(process) for process in psutil.Process().children(recursive=True)))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        finished.set()
        thread.join()


def _proportional_bytes(process: psutil.Process) -> int:
    """Resident memory, of shared pages a share; 0 for a process that has ended."""
    try:
        return process.memory_full_info().pss
    except psutil.Error:
        return 0
