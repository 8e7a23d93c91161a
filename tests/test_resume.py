"""Kills, several runs at once and full disks leave a store that another run completes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import faulty_codecs
import psutil
import pytest
from msgspec.structs import replace

from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_INCOMPLETE
from bench.results.rows import OK, Provenance, Row
from bench.results.store import Store
from bench.runners.machine_lock import timing_alone

IMAGES = 6
ROWS = 2 * IMAGES
TIMELESS = {"encode_s": None, "decode_s": None, "measured_at": "", "provenance": Provenance(), "code_version": ""}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faulty_codecs.write_images(tmp_path_factory.mktemp("images") / "pictures",
                                      [(60 + n, 50) for n in range(IMAGES)])


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    """What a run that nothing disturbs gives."""
    results = tmp_path_factory.mktemp("whole")
    assert start(folder, results).wait(60) == EXIT_DONE
    return table(results)


def command(folder: Path, results: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "bench", "evaluate", "--dataset", str(folder), "--codecs", "deflate",
            "--results", str(results), *options]


def start(folder: Path, results: Path, *options: str, delay_s: float = 0.0) -> subprocess.Popen:
    return subprocess.Popen(
        command(folder, results, *options), env=faulty_codecs.environment(DEFLATE_DELAY_S=str(delay_s)),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=_heed_interrupts)


def _heed_interrupts() -> None:
    """Undo what a shell does to commands in its background: they and their children ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def lines_in(results: Path) -> list[str]:
    path = results / "pictures" / "deflate.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def wait_for_rows(process: subprocess.Popen, results: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(lines_in(results)) < count:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


def table(results: Path) -> dict[str, Row]:
    return {row.key: replace(row, **TIMELESS) for row in Store(results).read("pictures")}


def gone(process: psutil.Process) -> bool:
    """Say whether a process has ended; one that nobody has waited for yet counts as ended."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_run_killed_with_signal_9_resumes_to_the_same_table(folder: Path, whole: dict[str, Row], tmp_path: Path,
                                                             jobs: str) -> None:
    killed = tmp_path / "killed"
    process = start(folder, killed, "--jobs", jobs, delay_s=0.15)
    wait_for_rows(process, killed, 4)
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 4 <= len(lines_in(killed)) < ROWS
    deadline = time.monotonic() + 20
    while not all(map(gone, children)):
        assert time.monotonic() < deadline, "processes of the killed run are still there"
        time.sleep(0.05)

    with open(killed / "pictures" / "deflate.jsonl", "a") as file:  # and it died in mid-write
        file.write(lines_in(killed)[0][:300])
    done = start(folder, killed)
    output, _ = done.communicate(timeout=60)
    assert done.returncode == EXIT_DONE, output
    assert table(killed) == whole
    assert len(table(killed)) == ROWS
    assert len(lines_in(killed)) == ROWS, "something was measured twice"


KILLED = """
import os, sys
from bench.cli import main
os.environ["DEFLATE_RUN"] = str(os.getpid())
sys.exit(main(sys.argv[1:]))
"""


def test_kills_of_a_worker_and_then_of_its_run_store_nothing_twice_but_the_picture_in_work(tmp_path: Path) -> None:
    """Else each of these runs leaves a failed row of all that its unit had not done yet."""
    folder = faulty_codecs.write_images(tmp_path / "pictures", [(faulty_codecs.FAULTY_WIDTH, 50), (60, 50), (61, 50)])
    results, runs = tmp_path / "results", 2
    arguments = command(folder, results, "--points", "s4")[3:]
    for _ in range(runs):
        run = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, timeout=120,
                             env=faulty_codecs.environment(DEFLATE_DELAY_S="0.7"))
        assert run.returncode in (-signal.SIGKILL, EXIT_INCOMPLETE)  # where it is quick
    assert start(folder, results, "--points", "s4").wait(60) == EXIT_DONE

    rows = [Row.from_json(line) for line in lines_in(results)]
    measured = [row.image for row in rows if row.status == OK]
    assert sorted(measured) == ["image00.png", "image01.png", "image02.png"]
    assert {row.image for row in rows if row.status != OK} <= {"image00.png"} and len(rows) <= 3 + runs


def test_two_runs_at_once_share_the_work(folder: Path, tmp_path: Path) -> None:
    results = tmp_path / "shared"
    runs = [start(folder, results, delay_s=0.1) for _ in range(2)]
    outputs = [run.communicate(timeout=90)[0] for run in runs]
    assert [run.returncode for run in runs] == [EXIT_DONE, EXIT_DONE], outputs
    rows = [Row.from_json(line) for line in lines_in(results)]
    assert len(rows) == ROWS == len({row.key for row in rows})
    assert all(re.search(rf"deflate +s16 +{IMAGES}/{IMAGES} +0", output) for output in outputs)


def test_interrupted_run_says_how_to_go_on(folder: Path, tmp_path: Path) -> None:
    process = start(folder, tmp_path / "results", delay_s=0.15)
    wait_for_rows(process, tmp_path / "results", 2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in output and "Traceback" not in output
    assert len(Store(tmp_path / "results").read("pictures")) >= 2


def test_full_disk_stops_the_run_and_it_resumes(folder: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    inside = ['mount -t tmpfs -o size=16k none "$0"', '"$@"; status=$?', 'cp -r "$0/r" "$0.copy"',
              "exit $status"]
    if shutil.which("unshare") is None or subprocess.run(
            ["unshare", "-rm", "sh", "-c", inside[0], str(small)], capture_output=True).returncode:
        pytest.skip("a small file system can't be mounted here")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", "; ".join(inside), str(small), *command(folder, small / "r")],
        env=faulty_codecs.environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == EXIT_BAD_INPUT
    assert "no space left" in done.stderr and "Traceback" not in done.stderr
    copy = Path(f"{small}.copy")
    stored = len(lines_in(copy))
    assert 0 < stored < ROWS
    assert all(Row.from_json(line) for line in lines_in(copy))
    assert start(folder, copy).wait(60) == EXIT_DONE
    assert len(lines_in(copy)) == ROWS == len(table(copy))


def test_a_run_that_leaves_what_others_hold_ends_at_once_and_fails_nothing(folder: Path, tmp_path: Path) -> None:
    """Of an array of jobs the last ones would else keep their GPUs until the slowest is done."""
    results = tmp_path / "shared"
    holder = start(folder, results, "--jobs", "2", delay_s=0.6)
    wait_for_rows(holder, results, 1)
    leaver = start(folder, results, "--leave-claimed")
    output, _ = leaver.communicate(timeout=60)
    assert holder.poll() is None, "the other run is not done yet"
    assert leaver.returncode == EXIT_DONE, output
    assert all(f"deflate {point}: another run is measuring it, left to it" in output for point in ("s4", "s16"))
    assert holder.wait(60) == EXIT_DONE and len(lines_in(results)) == ROWS


def test_nothing_begins_while_another_run_times(folder: Path, tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_MACHINE_LOCKS", str(tmp_path))
    with timing_alone(print):
        run = start(folder, tmp_path / "results")
        for line in run.stdout:
            if "another run is timing on this machine: nothing begins until it is done" in line:
                break
        assert lines_in(tmp_path / "results") == []
    output, _ = run.communicate(timeout=60)
    assert run.returncode == EXIT_DONE, output
    assert len(lines_in(tmp_path / "results")) == ROWS
