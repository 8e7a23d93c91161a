"""Workers: what they say of themselves, where rows say they ran, and that one which differs refuses to measure."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import faulty_codecs
import msgspec
import pytest
from msgspec.structs import replace

import bench
from bench.common.errors import BenchError
from bench.results.rows import Provenance
from bench.runners.evaluate.unit import identify
from bench.runners.machine import describe_machine
from bench.runners.nodes.placement import Placement, identify_node, read_placement
from bench.runners.nodes.worker import (
    Expectation,
    WorkerDescription,
    WorkerDiffers,
    describe_worker,
    digest_code,
    list_differences,
    refuse_other_series,
    refuse_other_worker,
)

DIGEST = "from bench.runners.nodes.worker import digest_code; print(digest_code())"


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> WorkerDescription:
    monkeypatch.setenv("BENCH_NODE", "node07")
    return describe_worker("cpu")


def test_a_worker_describes_itself_and_comes_back_as_it_was(worker: WorkerDescription) -> None:
    assert WorkerDescription.from_json(worker.to_json()) == worker
    assert worker.node == "node07" and worker.torch_device == "cpu" and worker.cpus >= 1
    assert 0 < worker.free_disk_bytes <= shutil.disk_usage("/").total * 100
    assert worker.expectation.libraries["numpy"] == __import__("numpy").__version__
    refuse_other_worker(worker.expectation, worker)


@pytest.mark.parametrize("change", [{"cpus": -1}, {"expectation": {}}, {"more": 1}, {"node": ""}])
def test_text_that_describes_no_worker_is_refused(worker: WorkerDescription, change: dict) -> None:
    with pytest.raises(BenchError, match="no description of a worker"):
        WorkerDescription.from_json(json.dumps(json.loads(worker.to_json()) | change))


@pytest.mark.parametrize(("field", "value", "message"), [
    ("device", "cuda: NVIDIA H200", "device: wanted cuda: NVIDIA H200, found cpu: "),
    ("instructions", "AVX-1024", "instructions: wanted AVX-1024, found "),
    ("python", "3.99.1", "python: wanted 3.99.1, found 3."),
    ("code_sha256", "f" * 64, "code: wanted ffffffffffff..., found "),
    ("plugins", {"mine": "e" * 64}, "mine: wanted eeeeeeeeeeee..., found none"),
    ("libraries", {"torch": "9.9"}, "torch: wanted 9.9, found "),
])
def test_a_worker_that_differs_refuses_by_node_wanted_and_found(worker: WorkerDescription, field: str, value: object,
                                                                message: str) -> None:
    with pytest.raises(WorkerDiffers) as caught:
        refuse_other_worker(replace(worker.expectation, **{field: value}), worker)
    assert str(caught.value).startswith("node node07 is not what was planned for: ") and message in str(caught.value)


def test_every_field_of_an_expectation_counts(worker: WorkerDescription) -> None:
    other = {str: "other", dict: {"other": "1"}, type(None): "other"}
    for name in Expectation.__struct_fields__:
        changed = replace(worker.expectation, **{name: other[type(getattr(worker.expectation, name))]})
        assert msgspec.convert(msgspec.to_builtins(changed), Expectation) == changed
        assert list_differences(worker.expectation, changed) and list_differences(changed, worker.expectation)


def test_a_series_that_is_identified_otherwise_is_refused() -> None:
    ours, theirs = identify(faulty_codecs.spec(8)), identify(faulty_codecs.spec(8, other="library"))
    refuse_other_series([("deflate s8", ours.digest)], [ours], "node07")
    with pytest.raises(WorkerDiffers, match="node07 .*series of deflate s8: wanted"):
        refuse_other_series([("deflate s8", ours.digest)], [theirs], "node07")


def test_the_code_is_known_without_git_and_wherever_it_lies(tmp_path: Path) -> None:
    """Where no git is, the version alone would be the same for any code."""
    copy = tmp_path / "elsewhere"
    shutil.copytree(Path(bench.__file__).parent, copy / "bench", ignore=shutil.ignore_patterns("__pycache__"))

    def digest() -> str:
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        return subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True, cwd=copy,
                              env=environment).stdout.strip()

    assert digest() == digest_code()
    module = copy / "bench" / "models" / "rounding.py"
    module.write_text(module.read_text() + "\n")
    assert digest() != digest_code()


def test_rows_say_where_they_were_made_without_the_hosts_name(monkeypatch: pytest.MonkeyPatch) -> None:
    placement = Placement("slurm", "gpu1", 2)
    for name, value in placement.environment.items():
        monkeypatch.setenv(name, value)
    assert read_placement() == placement
    provenance = describe_machine("cpu", jobs=1, torch=None)
    assert (provenance.engine, provenance.slot, provenance.attempt) == ("slurm", "gpu1", 2)
    assert provenance.node == identify_node() and len(provenance.node) == 12
    assert socket.gethostname() not in msgspec.json.encode(provenance).decode()


def test_rows_say_what_part_of_a_machine_they_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.runners.machine.find_cpu_quota", lambda: 2.5)
    monkeypatch.setattr("os.nice", lambda change: 15)
    provenance = describe_machine("cpu", jobs=1, torch=None)
    assert (provenance.cpu_quota, provenance.nice) == (2.5, 15)
    assert msgspec.json.decode(msgspec.json.encode(provenance), type=Provenance) == provenance


def test_nodes_of_one_host_are_told_apart_and_stay_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_NODE", raising=False)
    nodes = []
    for name in ("n1", "n2", "n1"):
        monkeypatch.setenv("SLURMD_NODENAME", name)
        nodes.append(identify_node())
    assert nodes[0] == nodes[2] != nodes[1]


def test_without_an_engine_the_machine_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Placement("", "slot").environment:
        monkeypatch.delenv(name, raising=False)
    assert read_placement() == Placement("local", None, 1)
