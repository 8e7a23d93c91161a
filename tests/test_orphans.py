"""After kill -9 of a run: no process of it lives on, and what it left in temporary folders the next run removes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.cli import main
from bench.common import temporary
from bench.common.errors import EXIT_DONE
from bench.common.temporary import KINDS, remove_abandoned, temporary_file, temporary_folder
from bench.runners.evaluate.fork_server import ForkServer

FOLDER = Path(__file__).parent
# A worker that hears of nothing, as in native code, with a program and a process of its own.
RUN = """
import os, signal, subprocess, sys, time
from bench.common.temporary import temporary_folder
from bench.runners.evaluate.fork_server import ForkServer
from bench.runners.evaluate.forked_process import ForkedProcess

def work(connection):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    program = subprocess.Popen(["sleep", "600"])
    with temporary_folder("encoded") as folder:
        inner = ForkedProcess(connection.recv(), "run:decode")
        connection.send([os.getpid(), program.pid, inner.receive()])
        time.sleep(600)

def decode(connection):
    connection.send(os.getpid())
    time.sleep(600)

if __name__ == "__main__":
    server = ForkServer()
    worker = ForkedProcess(server.address, "run:work")
    worker.send(server.address)
    print(server._process.pid, *worker.receive(), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The usual folder of temporary files; short, for addresses of sockets."""
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(folder)


def is_gone(number: int) -> bool:
    try:
        return psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until_gone(numbers: list[int]) -> bool:
    until = time.monotonic() + 20  # on a busy machine; else it takes two
    while not all(map(is_gone, numbers)) and time.monotonic() < until:
        time.sleep(0.05)
    return all(map(is_gone, numbers))


def test_nothing_lives_on_after_kill_9_and_the_next_run_clears_up(place: Path, tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(RUN)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(FOLDER.parent), str(tmp_path)])}
    run = subprocess.Popen([sys.executable, tmp_path / "run.py"], env=environment, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    numbers = [int(word) for word in run.stdout.readline().split()]
    assert len(numbers) == 4 and not any(map(is_gone, numbers))
    run.kill()
    run.wait()
    run.stdout.close()

    assert wait_until_gone(numbers)

    left = {path.name.split("-")[1] for path in place.glob("bench-*")}
    assert left == {"server", "encoded"}
    with ForkServer():
        assert {path.name.split("-")[1] for path in place.glob("bench-*")} == {"server"}  # its own
    assert list(place.glob("bench-*")) == []


def test_a_verb_that_starts_no_process_clears_up_too(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "bench-server-x").mkdir()
    (place / "bench-server-x" / ".owner").touch()
    assert main(["variants"]) == EXIT_DONE and list(place.iterdir()) == []


def test_what_has_an_owner_stays(place: Path) -> None:
    with temporary_folder("encoded") as folder, temporary_file("decoder") as file:
        (folder / "a.bin").write_bytes(b"a")
        assert remove_abandoned() == [] and (folder / "a.bin").exists() and Path(file.name).exists()
    assert list(place.iterdir()) == []


def test_what_has_none_goes_with_all_that_is_in_it(place: Path) -> None:
    for kind in KINDS:
        (place / f"bench-{kind}-x" / "deeper").mkdir(parents=True)
        (place / f"bench-{kind}-x" / ".owner").touch()
    (place / "bench-decoder-y").touch()
    assert len(remove_abandoned()) == len(KINDS) + 1 and list(place.iterdir()) == []


def test_others_are_left_alone(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "bench-of-mine").mkdir()
    (place / "bench-encoded-new").mkdir()  # one that is being made
    (tmp_path / ".owner").touch()
    (place / "bench-encoded-link").symlink_to(tmp_path)
    assert remove_abandoned() == [] and (tmp_path / ".owner").exists()

    (place / "bench-encoded-theirs").mkdir()
    (place / "bench-encoded-theirs" / ".owner").touch()
    monkeypatch.setattr(temporary.os, "getuid", lambda: -1)
    assert remove_abandoned() == []


def test_a_folder_that_was_never_locked_goes_after_a_day(place: Path) -> None:
    (place / "bench-encoded-old").mkdir()
    os.utime(place / "bench-encoded-old", (time.time() - 2 * 86400,) * 2)
    assert remove_abandoned() == [place / "bench-encoded-old"]


CALLS = """
import os, time
from bench.common.processes import call_apart

def work():
    print(os.getpid(), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    next(call_apart(work, {"one": ()}, 1))
"""


def test_trainings_of_miniatures_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    (tmp_path / "calls.py").write_text(CALLS)
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
    run = subprocess.Popen([sys.executable, tmp_path / "calls.py"], env=environment,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert run.stdout is not None
    number = int(run.stdout.readline())
    assert not is_gone(number)
    run.kill()
    run.communicate()
    assert wait_until_gone([number])
