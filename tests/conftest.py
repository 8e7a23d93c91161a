"""How the tests run: in several processes of one thread each."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator

import psutil
import pytest
from figures import undrawn_figures
from toy_metric import registered_metric

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch and numpy read it, and for the processes that tests start
os.environ.setdefault("BENCH_SHARED_MACHINE", "1")  # tests may run in a part of a machine,
os.environ["BENCH_MACHINE_LOCKS"] = tempfile.mkdtemp(prefix="bench-test-locks-")  # and beside those who time
atexit.register(shutil.rmtree, os.environ["BENCH_MACHINE_LOCKS"], ignore_errors=True)

MEMORY_OF_A_WORKER = 4 * 2**30


def pytest_xdist_auto_num_workers(config) -> int:
    """What ``-n auto`` means: a worker for each logical core, as many as the memory holds."""
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, psutil.virtual_memory().available // MEMORY_OF_A_WORKER))


@pytest.fixture
def undrawn() -> Iterator[None]:
    """Figures are files of a few bytes."""
    with undrawn_figures():
        yield


@pytest.fixture
def added_metric() -> Iterator[None]:
    """A metric of quality that falls with it, "mae", is known."""
    with registered_metric():
        yield


@pytest.fixture
def measured_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `evaluate` encodes is encoded in this process, and decoded in one that other tests use too."""
    from second_process import kept_decoder, run_units_here

    for module in ("engines.local", "reproduce"):
        monkeypatch.setattr(f"bench.runners.{module}.run_units", run_units_here)
    with kept_decoder():
        yield
