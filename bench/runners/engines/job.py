"""What a job does on its node: it looks whether it is what was planned for, measures its batch, and tells its shard.

The same under every engine; a unit runs there as it does on one machine, in processes of its own.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec

from bench.common.errors import BenchError
from bench.common.plugins import load_plugins
from bench.runners.engines.batches import Batch, read_batch
from bench.runners.engines.run_folder import files_folder
from bench.runners.engines.shards import Begun, Ended, MeasuredLine, Refused, ShardWriter, Stopped
from bench.runners.evaluate.engine import Units, run_units
from bench.runners.evaluate.slots import count_gpus
from bench.runners.evaluate.unit import Unit, identify
from bench.runners.nodes.files import FileFinder, FileNotHere, find_cache, find_shared_folders, take_from
from bench.runners.nodes.placement import Placement, find_node_name, identify_node
from bench.runners.nodes.worker import WorkerDiffers, describe_worker, refuse_other_series, refuse_other_worker

T = TypeVar("T")


def run_batch(path: str) -> None:
    """Measure the batch that a file holds."""
    load_plugins()
    batch = read_batch(Path(path))
    shard = ShardWriter(Path(batch.shard))
    with _ending_on_signal(), _placed(batch):
        try:
            shard.write(Begun(find_node_name(), identify_node()))
            units = prepare_units(batch)
            jobs = count_gpus(units) or 1
            units = [replace(unit, jobs=jobs) for unit in units]
            with closing(run_units(Units(units), jobs)) as measured:
                for _, row, seconds in measured:
                    shard.write(MeasuredLine(seconds, msgspec.Raw(row.to_json().encode())))
            shard.write(Ended())
        except (WorkerDiffers, FileNotHere) as error:
            shard.write(Refused(str(error)))
        except BenchError as error:
            shard.write(Stopped(str(error)))
        except BaseException as error:  # a time limit, a signal
            shard.write(Stopped(f"{type(error).__name__}: {error}"))
            raise


def answer(function: Callable[..., T], *arguments: str) -> tuple[T | None, str]:
    """Return what a function gives here, and what is wrong, if anything: errors of the suite's own travel as text."""
    load_plugins()
    try:
        return function(*arguments), ""
    except BenchError as error:
        return None, str(error)


def prepare_units(batch: Batch) -> list[Unit]:
    """Return the units of a batch with the paths that their files have here.

    Raises:
        WorkerDiffers: this machine is not what the batch was planned for.
        FileNotHere: a picture or checkpoint is not here.
    """
    if batch.expected is not None:
        refuse_other_worker(batch.expected, describe_worker(batch.units[0].device))
    finder = FileFinder(find_shared_folders(), find_cache(), take_from(files_folder(Path(batch.shard))))
    units = [finder.localise(unit, batch.files) for unit in batch.units]
    planned = [(f"{unit.spec.name} {unit.spec.point}", unit.series.digest) for unit in units if unit.series is not None]
    found = [identify(unit.spec) for unit in units if unit.series is not None]
    refuse_other_series(planned, found, find_node_name())
    return units


@contextmanager
def _placed(batch: Batch) -> Iterator[None]:
    """Let rows say what ran them; a task of Ray may follow in this process."""
    before = dict(os.environ)
    os.environ.update(Placement(batch.engine, None, batch.attempt).environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _ending_on_signal() -> Iterator[None]:
    """End on SIGTERM, which submitit else passes over, after the shard has said so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
