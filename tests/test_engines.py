"""One contract for all engines: the same rows wherever units run, none lost, none twice, whatever is killed meanwhile.

Slurm's jobs run as processes of this machine, through submitit's own executor; with BENCH_SLURM=1 in a Slurm of two
nodes too. Ray is tried where it is installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import faulty_codecs
import msgspec
import psutil
import pytest
import slurm_nodes

from bench.cli import main
from bench.results.rows import FAILED, OK, Row
from bench.results.store import Store
from bench.runners.engines.dispatch import ClusterEngine
from bench.runners.engines.engine import TimedUnits
from bench.runners.engines.local import LocalEngine
from bench.runners.engines.merge import list_runs, merge_abandoned
from bench.runners.engines.registry import ENGINES, list_available, open_cluster
from bench.runners.engines.run_folder import RunFolder
from bench.runners.engines.setup import LOCAL, RAY, SLURM, Setup
from bench.runners.evaluate.expected import ExpectedUnit, Work
from bench.runners.evaluate.stopwatch import CODING, STARTING
from bench.runners.evaluate.unit import Unit, UnitImage, identify
from bench.runners.forecast import Kind
from bench.runners.nodes.worker import WorkerDiffers, describe_worker

SIZES = [(30, 20), (faulty_codecs.FAULTY_WIDTH, 20), (20, 30), (24, 24)]
STEPS = (4, 16)
VARYING = ("encode_s", "decode_s", "provenance", "measured_at")  # of rows of one measurement
HERE, REAL = "submitit", "slurm"
PATIENCE_S = 120


class ListedUnits(TimedUnits):
    """Units of which each picture takes a second, and what was said of them."""

    def __init__(self, units: Sequence[Unit]) -> None:
        super().__init__(units)
        self.told: list[str] = []
        self.workers = 0
        self.released: list[tuple[str, str]] = []

    def expect(self, unit: Unit) -> ExpectedUnit:
        coding = (Work(Kind("coding"), CODING, 1.0),)
        return ExpectedUnit(Work(Kind("start"), STARTING, 0.1), {image.name: coding for image in unit.images})

    def share_among(self, workers: int) -> None:
        self.workers = workers

    def tell(self, text: str) -> None:
        self.told.append(text)

    def release(self, unit: Unit) -> None:
        self.released.append((unit.spec.name, unit.spec.point))


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BENCH_PLUGINS", "PYTHONPATH"):
        monkeypatch.setenv(name, faulty_codecs.environment()[name])


@pytest.fixture(scope="module")
def slurm() -> Iterator[slurm_nodes.SlurmNodes]:
    if missing := slurm_nodes.explain_missing():
        pytest.skip(missing)
    with slurm_nodes.slurm_nodes(lost_after_s=10) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def started_ray() -> Iterator[None]:
    ray = pytest.importorskip("ray")
    from bench.runners.engines.ray import DEFAULTS

    with pytest.MonkeyPatch.context() as patched:
        for name, value in DEFAULTS.items():
            patched.setenv(name, value)
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


@pytest.fixture(params=[HERE, RAY, REAL])
def make_setup(request: pytest.FixtureRequest) -> Callable[..., Setup]:
    """Make set-ups of one engine that has a cluster."""
    if request.param == RAY:
        request.getfixturevalue("started_ray")
        return lambda **values: Setup(**{"name": RAY, "engine": RAY, "slots": 1, **values})
    if request.param == REAL:
        return request.getfixturevalue("make_slurm_setup")
    pytest.importorskip("submitit")
    return lambda **values: Setup(**{"name": "here", "engine": SLURM, "here": True, "slots": 1, **values})


@pytest.fixture
def make_slurm_setup(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Setup]:
    """Make set-ups of a real Slurm."""
    pytest.importorskip("submitit")
    if os.environ.get("BENCH_SLURM") != "1":
        pytest.skip("starts a Slurm; run with BENCH_SLURM=1")
    environment = request.getfixturevalue("slurm").environment
    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, environment[name])
    return lambda **values: Setup(**{"name": SLURM, "engine": SLURM, **values})


def make_units(folder: Path, **settings: str) -> list[Unit]:
    folder = faulty_codecs.write_images(folder / "pictures", SIZES)
    images = tuple(UnitImage(path.name, str(path), hashlib.sha256(path.read_bytes()).hexdigest())
                   for path in sorted(folder.glob("*.png")))
    specs = [faulty_codecs.spec(step, **settings) for step in STEPS]
    return [Unit(spec, "set", None, images, series=identify(spec)) for spec in specs]


def run_local(units: list[Unit]) -> list[Row]:
    with closing(LocalEngine(1).run_units(ListedUnits(units))) as groups:
        return [row for group in groups for _, row, _ in group]


def strip(rows: list[Row]) -> list[dict]:
    """What rows say of the measurement alone, in one order."""
    values = [{name: value for name, value in msgspec.to_builtins(row).items() if name not in VARYING} for row in rows]
    return sorted(values, key=lambda value: (value["point"], value["image"]))


def wait_until(holds: Callable[[], bool]) -> None:
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < PATIENCE_S
        time.sleep(0.05)


def list_job_processes(folder: Path) -> list[psutil.Process]:
    """The processes that measure the batches of a run: their environment or what they have open names its folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(file.path.startswith(str(folder / "shards")) for file in process.open_files()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill_first_job(engine: ClusterEngine) -> None:
    processes = list_job_processes(engine.folder.path)
    assert processes
    for process in processes:
        process.kill()


def test_rows_are_those_of_this_machines_engine(make_setup: Callable[..., Setup], tmp_path: Path) -> None:
    units, listed = make_units(tmp_path, fault="encode"), None
    with open_cluster(make_setup(batch_s=3.0, retries=1), tmp_path / "results", "set") as engine:
        worker, fault = engine.cluster.ask(describe_worker, "cpu")
        assert worker is not None and fault == ""
        assert engine.cluster.ask(describe_worker, "cuda:77")[1].startswith("torch finds ")
        engine.expected = worker.expectation
        listed = ListedUnits(units)
        rows = [row for group in engine.run_units(listed) for _, row, _ in group]
        assert not engine.folder.path.exists()

    assert strip(rows) == strip(run_local(units))
    assert Counter(row.status for row in rows) == {OK: 6, FAILED: 2}  # the codec's own error, which stays one
    assert {(row.provenance.engine, row.provenance.attempt) for row in rows} == {(engine.folder.run.setup.engine, 1)}
    assert {bool(row.provenance.node) for row in rows} == {True}
    assert listed.released == [("deflate", "s4"), ("deflate", "s16")] and listed.told == []


def test_what_a_killed_worker_leaves_is_tried_again(make_setup: Callable[..., Setup], tmp_path: Path) -> None:
    units, rows = ListedUnits(make_units(tmp_path, delay_s="0.5")), []
    with open_cluster(make_setup(retries=1), tmp_path / "results", "set") as engine:
        for group in engine.run_units(units):
            if not rows:
                kill_first_job(engine)
            rows += [row for _, row, _ in group]

    assert [row.status for row in rows] == [OK] * len(SIZES) * len(STEPS)
    assert len({row.key for row in rows}) == len(rows)
    assert {row.provenance.attempt for row in rows} == {1, 2}
    assert len(units.told) == 1 and "tried again elsewhere" in units.told[0]


def test_what_a_lost_node_leaves_is_tried_on_another(make_slurm_setup: Callable[..., Setup], tmp_path: Path,
                                                     slurm: slurm_nodes.SlurmNodes) -> None:
    units, rows, lost = ListedUnits(make_units(tmp_path, delay_s="1")), [], ""
    with open_cluster(make_slurm_setup(gpus=1), tmp_path / "results", "set") as engine:
        for group in engine.run_units(units):
            if not rows:
                lost = find_node(engine.folder.run.name)
                slurm.kill_node(lost)
            rows += [row for _, row, _ in group]
    slurm.start_node(lost)
    slurm_nodes.wait_for("node that is back", lambda: slurm.read_states()[lost] == "idle", slurm.describe)

    assert len({row.key for row in rows}) == len(rows) == len(SIZES) * len(STEPS)
    assert {row.status for row in rows} == {OK}
    assert len({row.provenance.node for row in rows}) == 2 and {row.provenance.attempt for row in rows} == {1, 2}


def find_node(job: str) -> str:
    """Return the node on which the job of this name runs."""
    return subprocess.run(["squeue", "--noheader", f"--name={job}", "--format=%N"], capture_output=True,
                          text=True, check=True).stdout.strip()


def test_what_is_lost_too_often_fails_with_node_and_reason(make_setup: Callable[..., Setup], tmp_path: Path) -> None:
    rows: list[Row] = []
    with open_cluster(make_setup(retries=0), tmp_path / "results", "set") as engine:
        for group in engine.run_units(ListedUnits(make_units(tmp_path, delay_s="0.5"))):
            if not rows:
                kill_first_job(engine)
            rows += [row for _, row, _ in group]

    lost = [row for row in rows if row.status == FAILED]
    assert lost and len(rows) == len({row.key for row in rows}) == len(SIZES) * len(STEPS)
    for row in lost:
        assert row.reason is not None and row.reason.startswith(f"JobLost: node {row.provenance.node}: ")


def test_a_worker_that_differs_measures_nothing(make_setup: Callable[..., Setup], tmp_path: Path) -> None:
    with open_cluster(make_setup(retries=0), tmp_path / "results", "set") as engine:
        here = describe_worker("cpu").expectation
        engine.expected = msgspec.structs.replace(here, python="2.7")
        with pytest.raises(WorkerDiffers, match=r"node \S+ is not .* python: wanted 2.7, found 3"):
            assert list(engine.run_units(ListedUnits(make_units(tmp_path)))) == []


def test_who_stops_ends_the_jobs_and_loses_no_row(make_setup: Callable[..., Setup], tmp_path: Path) -> None:
    store, units = Store(tmp_path / "results"), ListedUnits(make_units(tmp_path, delay_s="0.5"))
    with open_cluster(make_setup(), store.root, "set") as engine, closing(engine.run_units(units)) as groups:
        store.append_all(row for _, row, _ in next(groups))
    wait_until(lambda: not list_job_processes(engine.folder.path))

    wait_until(lambda: bool(merge_abandoned(store)) and not RunFolder.list_all(store.root))
    rows = store.read("set")
    assert 0 < len(rows) < len(SIZES) * len(STEPS) and len(read_lines(store)) == len(rows)


def read_lines(store: Store) -> list[str]:
    return store.path("set", "deflate").read_text().splitlines()


@pytest.fixture
def evaluate_command(tmp_path: Path) -> Iterator[list[str]]:
    """`evaluate` on the faulty codec's two rate points through submitit, with a set-up of engines.yaml."""
    pytest.importorskip("submitit")
    faulty_codecs.write_images(tmp_path / "set", SIZES)
    setups = tmp_path / "engines.yaml"
    setups.write_text("engines:\n  try:\n    engine: slurm\n    here: true\n    slots: 2\n    retries: 0\n")
    before = os.environ.get("BENCH_ENGINES")
    os.environ["BENCH_ENGINES"] = str(setups)
    yield ["evaluate", "--dataset", str(tmp_path / "set"), "--codecs", "deflate", "--metrics", "psnr",
           "--engine", "try", "--results", str(tmp_path / "results")]
    if before is None:
        del os.environ["BENCH_ENGINES"]
    else:
        os.environ["BENCH_ENGINES"] = before


def test_jobs_outlive_a_killed_driver_and_the_next_run_stores_their_rows(evaluate_command: list[str],
                                                                         tmp_path: Path) -> None:
    results = tmp_path / "results"
    environment = {**os.environ, "DEFLATE_DELAY_S": "0.5"}
    driver = subprocess.Popen([sys.executable, "-m", "bench", *evaluate_command], env=environment)
    rows = results / "set" / "deflate.jsonl"
    wait_until(lambda: rows.exists() or driver.poll() is not None)
    driver.kill()
    driver.wait()
    stored = len(rows.read_text().splitlines())
    assert 0 < stored < len(SIZES) * len(STEPS)

    [folder] = RunFolder.list_all(results)
    wait_until(lambda: not list_job_processes(folder.path))
    assert main(evaluate_command) == 0
    lines = [Row.from_json(line) for line in rows.read_bytes().splitlines()]
    assert len(lines) == len({row.key for row in lines}) == len(SIZES) * len(STEPS)
    assert RunFolder.list_all(results) == []


def test_a_run_that_is_left_alone_is_listed_spared_and_cancelled(evaluate_command: list[str], tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch,
                                                                 capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DEFLATE_DELAY_S", "60")
    results = ["--results", str(tmp_path / "results")]
    assert main([*evaluate_command, "--detach"]) == 0
    [state] = list_runs(tmp_path / "results")
    name = state.folder.run.name
    assert not state.has_driver and state.alive == len(state.batches) > 0

    capsys.readouterr()
    assert main(["jobs", "list", *results]) == 0 and name in capsys.readouterr().out
    assert main([*evaluate_command, "--plan"]) == 0
    assert f"{len(SIZES) * len(STEPS)} images are left to jobs" in capsys.readouterr().out

    assert main(["jobs", "cancel", name, *results]) == 0
    assert list_job_processes(state.folder.path) == [] and RunFolder.list_all(tmp_path / "results") == []
    assert main(["jobs", "cancel", name, *results]) == 2


def test_engines_say_what_they_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(ENGINES) == {LOCAL, SLURM, RAY} and LOCAL in list_available()
    monkeypatch.setenv("PATH", str(tmp_path))
    entry = ENGINES.get(SLURM)
    assert entry is not None and not entry.available() and shutil.which("sbatch") is None
    images = faulty_codecs.write_images(tmp_path / "set", SIZES[:1])
    with pytest.raises(SystemExit):
        main(["evaluate", "--dataset", str(images), "--engine"])
    assert main(["evaluate", "--dataset", str(images), "--codecs", "deflate", "--engine", SLURM,
                 "--results", str(tmp_path / "results")]) == 2
    assert list(tmp_path.glob("results/.jobs/*")) == []
