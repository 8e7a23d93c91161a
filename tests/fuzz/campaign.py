"""Runs generators: for a count of inputs, for a time, or one input that failed before."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
from fuzz.answers import ANSWERS
from fuzz.archives import ARCHIVES
from fuzz.bitstreams import BITSTREAMS
from fuzz.checkpoints import CHECKPOINTS
from fuzz.containers import CONTAINERS
from fuzz.curves import CURVES
from fuzz.labels import LABELLED
from fuzz.pictures import PICTURES
from fuzz.records import EXPORTS, RECORD_FILES
from fuzz.rows import LOGS, ROWS
from fuzz.trials import Generator, Trial, read_trial, try_trial, write_trial
from fuzz.yaml_files import YAML_FILES
from hypothesis import HealthCheck, Phase, given, settings

GENERATORS = {generator.name: generator for generator in (
    ROWS, LOGS, RECORD_FILES, EXPORTS, CURVES, YAML_FILES, CHECKPOINTS, CONTAINERS, BITSTREAMS, ARCHIVES, ANSWERS,
    PICTURES, LABELLED)}
CURRENT = "current"  # the name of the file of the input that is being tried, which stays where the process dies
settings.register_profile(
    "ci", derandomize=True, database=None, deadline=None, print_blob=False, suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink))


class Failure(AssertionError):
    """An input failed; it is in a file."""

    def __init__(self, path: Path, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {error}\n  tried again by: make fuzz REPLAY={path}")
        self.path = path


def run_inputs(generator: Generator, inputs: int, place: Path, seed: int | None = None,
               counts: Counter[str] | None = None) -> Counter[str]:
    """Try ``inputs`` inputs of a generator; return how many were read and refused.

    Args:
        place: a folder, which is made; a failing input stays there.
        seed: of the inputs; None: always the same.
        counts: counted on.

    Raises:
        Failure: one failed, the smallest that was found.
    """
    counts = Counter() if counts is None else counts
    failed: list[Trial] = []

    @settings(settings.get_profile("ci"), max_examples=inputs, derandomize=seed is None)
    @given(generator.trials)
    def try_one(trial: Trial) -> None:
        write_trial(place, generator.name, trial, CURRENT)
        with empty_folder(place / "input") as folder:
            try:
                outcome = try_trial(generator, trial, folder)
            except BaseException:
                failed.append(trial)
                raise
        counts[outcome] += 1

    try:
        (try_one if seed is None else hypothesis.seed(seed)(try_one))()
    except Exception as error:
        if not failed:
            raise
        raise Failure(write_trial(place, generator.name, failed[-1]), error) from error
    finally:
        (place / f"{CURRENT}.json").unlink(missing_ok=True)
    return counts


@contextmanager
def empty_folder(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def replay(path: Path, place: Path) -> str:
    """Try the input of a file again; return what became of it."""
    name, trial = read_trial(path)
    with empty_folder(place / "replayed") as folder:
        return try_trial(GENERATORS[name], trial, folder)


def run_for(generator: Generator, seconds: float, place: Path, seed: int, inputs: int = 200) -> Iterator[Counter[str]]:
    """Try inputs until ``seconds`` of the clock are over; gives the counts so far, every ``inputs``.

    Raises:
        Failure: one failed.
    """
    counts: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        run_inputs(generator, inputs, place, seed, counts)
        seed += 1
        yield counts
