"""Slots of a machine: each worker sees one GPU, from before torch is there on; what wants none leaves GPUs alone."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import faulty_codecs
import pretended_gpus
import pytest

from bench.results.rows import OK
from bench.runners.engines.batches import Batch, write_batch
from bench.runners.engines.job import run_batch
from bench.runners.engines.shards import MeasuredLine, ShardReader
from bench.runners.evaluate.engine import Measured, Units, run_units
from bench.runners.evaluate.slots import Slot, list_visible_gpus, make_slots
from bench.runners.evaluate.unit import Unit, UnitImage, identify


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two pretended GPUs, 4 and 7; the log of what the codec's processes saw."""
    log = tmp_path / "seen"
    for name, value in faulty_codecs.environment(
            BENCH_PLUGINS="faulty_codecs,pretended_gpus", CUDA_VISIBLE_DEVICES="4,7",
            PRETENDED_GPU_LOG=str(log)).items():
        monkeypatch.setenv(name, value)
    return log


def make_units(folder: Path, names: list[str], images: int = 2) -> list[Unit]:
    paths = sorted(faulty_codecs.write_images(folder, [(30 + n, 20) for n in range(images)]).glob("*.png"))
    pictures = tuple(UnitImage(path.name, str(path), hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths)
    units = []
    for step, name in enumerate(names, start=2):
        spec = pretended_gpus.spec(step) if name == "seeing" else faulty_codecs.spec(step)
        units.append(Unit(spec, "set", None, pictures, device="cuda", jobs=2))
    return units


def run(units: list[Unit], jobs: int) -> list[Measured]:
    measured = list(run_units(Units(units), jobs))
    assert [one.row.reason for one in measured if one.row.status != OK] == []
    assert len(measured) == sum(len(unit.images) for unit in units)
    return measured


def read_log(log: Path) -> list[tuple[str, str, str]]:
    """What, by which process, on which GPU; torch was never imported before the environment was read."""
    lines = [line.split() for line in log.read_text().splitlines()]
    assert {came_first for *_, came_first in lines} == {"False"}
    return [(what, process, gpu) for what, process, gpu, _ in lines]


def test_each_worker_and_its_decoder_see_one_gpu_of_their_own(gpus: Path, tmp_path: Path) -> None:
    measured = run(make_units(tmp_path, ["seeing"] * 4), jobs=2)
    seen = read_log(gpus)
    for what in ("encode", "decode"):
        by_process = {process: gpu for did, process, gpu in seen if did == what}
        assert sorted(by_process.values()) == ["4", "7"], "a process for each GPU"
    assert {one.row.provenance.slot for one in measured} == {"gpu0", "gpu1"}
    assert {one.row.provenance.device for one in measured} == {"cuda: Pretended"}


def test_what_wants_no_gpu_runs_beside_and_leaves_it_alone(gpus: Path, tmp_path: Path) -> None:
    measured = run(make_units(tmp_path, ["deflate", "deflate", "seeing", "deflate", "seeing"]), jobs=3)
    slots = {(one.row.codec, one.row.provenance.slot) for one in measured}
    assert {slot for codec, slot in slots if codec == "seeing"} <= {"gpu0", "gpu1"}
    assert ("deflate", "cpu0") in slots
    assert {gpu for *_, gpu in read_log(gpus)} <= {"4", "7"}


def test_a_job_uses_all_gpus_that_it_was_given(gpus: Path, tmp_path: Path) -> None:
    units = [replace(unit, jobs=1, series=identify(unit.spec)) for unit in make_units(tmp_path, ["seeing"] * 4)]
    shard = tmp_path / "run" / "shards" / "00001-1.jsonl"
    path = write_batch(Batch("00001-1", tuple(units), str(shard), "slurm"), tmp_path / "batch.json")
    run_batch(str(path))
    rows = [line.parse_row() for line in ShardReader(shard).read_new() if isinstance(line, MeasuredLine)]
    placed = {(row.status, row.provenance.slot, row.provenance.jobs) for row in rows}
    assert placed == {(OK, "gpu0", 2), (OK, "gpu1", 2)}
    assert len(rows) == 8 and {gpu for *_, gpu in read_log(gpus)} == {"4", "7"}


def test_more_workers_than_gpus_share_them_evenly(gpus: Path, tmp_path: Path) -> None:
    slots = make_slots(make_units(tmp_path, ["seeing"] * 9), jobs=6)
    assert Counter(slot.gpu for slot in slots) == {"4": 3, "7": 3}


def test_processors_need_no_look_for_gpus(gpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.runners.evaluate.slots.list_visible_gpus", lambda: pytest.fail("looked"))
    assert make_slots(make_units(tmp_path, ["deflate"] * 3), jobs=2) == [Slot("cpu0"), Slot("cpu1")]


@pytest.mark.parametrize(("named", "gpus"), [
    ("0,1,2", ["0", "1", "2"]), ("3", ["3"]), ("", []), ("-1", []), ("0,-1,2", ["0"]), ("0, 2", ["0", "2"]),
    ("GPU-8f2a,MIG-77", ["GPU-8f2a", "MIG-77"]), ("NoDevFiles", []), ("1,gpu,2", ["1"]),
])
def test_visible_gpus_are_those_that_cuda_would_take(named: str, gpus: list[str],
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert list_visible_gpus() == gpus


def test_without_a_name_torch_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert list_visible_gpus() == ["0", "1", "2"]
    assert os.environ.get("CUDA_VISIBLE_DEVICES") is None
