"""Signals end a command in order, in time and with one line, whatever it is doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_orphans import is_gone, wait_until_gone

from bench.common.files import whole

ROOT = Path(__file__).parents[1]
# Begins each command: a program of its own and a temporary folder, both named on its output.
BEGINNING = """
import contextlib, hashlib, os, signal, subprocess, sys, time
from bench.common.interruption import note_stored, run_interruptible
from bench.common.temporary import temporary_folder

def main():
    with temporary_folder("encoded") as folder:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        note_stored("2 of 3 are stored")
        print(child.pid, folder, flush=True)
        work()
    return 0

def native():
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # hears of nothing until it is done
"""
WORKS = {
    "unwinds": "time.sleep(600)",
    "native": "native()",
    "passes it over": "\n    with contextlib.suppress(BaseException):\n        time.sleep(600)\n    time.sleep(600)",
    "loses it": "\n    class A:\n        def __del__(self):\n            time.sleep(600)\n    a = A()\n    del a\n"
                "    time.sleep(600)",
    "fails of it": "\n    try:\n        time.sleep(600)\n    except KeyboardInterrupt:\n        raise ValueError",
    "unwinds for long": "\n    try:\n        time.sleep(600)\n    finally:\n        time.sleep(600)",
    "writes to nobody": "\n    try:\n        time.sleep(600)\n    finally:\n        os.write(1, bytes(10**6))",
}
ENDS_S = 2.0
BUSY_S = 10.0  # more that a machine under load may need


def start(work: str, place: Path, ending: str = "sys.exit(run_interruptible(main))",
          ignored: tuple[signal.Signals, ...] = ()) -> tuple[subprocess.Popen, int, Path]:
    """Start a command that does ``work``; return it, its child and its temporary folder."""
    def set_signals() -> None:
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    run = subprocess.Popen(
        [sys.executable, "-c", f"{BEGINNING}\ndef work():\n    {work}\n{ending}"], text=True, preexec_fn=set_signals,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(place)})
    assert run.stdout is not None
    child, folder = run.stdout.readline().split()
    time.sleep(0.1)  # so that it works
    return run, int(child), Path(folder)


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_ends_whatever_it_does(work: str, number: signal.Signals, tmp_path: Path) -> None:
    run, child, folder = start(WORKS[work], tmp_path)
    assert folder.is_dir() and not is_gone(child)
    since = time.monotonic()
    os.kill(run.pid, number)
    assert run.wait(60) == 128 + number
    assert time.monotonic() - since < ENDS_S + BUSY_S
    assert run.stderr is not None
    assert run.stderr.read() == f"interrupted ({number.name}): 2 of 3 are stored; run the same command to go on\n"
    assert wait_until_gone([child]) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("work", ["unwinds", "native"])
def test_the_first_signal_counts(work: str, tmp_path: Path) -> None:
    run, child, _ = start(WORKS[work], tmp_path)
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.killpg(run.pid, number)
        time.sleep(0.02)
    _, told = run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGTERM and told.count("\n") == told.count("SIGTERM") == 1
    assert wait_until_gone([child])


def test_a_closed_terminal_ends_it_and_what_is_ignored_stays_so(tmp_path: Path) -> None:
    run, *_ = start(WORKS["unwinds"], tmp_path, ignored=(signal.SIGHUP, signal.SIGINT))
    for number in (signal.SIGHUP, signal.SIGINT):
        os.kill(run.pid, number)
    with pytest.raises(subprocess.TimeoutExpired):
        run.wait(0.5)
    os.kill(run.pid, signal.SIGTERM)
    assert run.wait(60) == 128 + signal.SIGTERM

    run, *_ = start(WORKS["unwinds"], tmp_path)
    os.kill(run.pid, signal.SIGHUP)
    assert run.wait(60) == 128 + signal.SIGHUP


def test_a_command_that_ends_by_itself_keeps_its_status(tmp_path: Path) -> None:
    for work, status, told in (("pass", 0, ""), ("sys.exit(2)", 2, ""), ("raise ValueError", 1, "ValueError\n")):
        run, child, _ = start(work, tmp_path)
        assert run.communicate(timeout=60)[1].endswith(told) and run.returncode == status
        os.kill(child, signal.SIGKILL)


def test_a_forked_process_ends_alone_and_leaves_ctrl_c_to_its_parent(tmp_path: Path) -> None:
    run, *_ = start("""
    forked = os.fork()
    if not forked:
        time.sleep(600)
    os.kill(forked, signal.SIGINT)
    time.sleep(0.3)
    alive = os.waitpid(forked, os.WNOHANG) == (0, 0)
    os.kill(forked, signal.SIGTERM)
    print(alive, os.waitpid(forked, 0)[1] == signal.SIGTERM, flush=True)
    time.sleep(1.5)
    print("goes on", flush=True)""", tmp_path)
    assert run.communicate(timeout=60)[0].splitlines() == ["True True", "goes on"] and run.returncode == 0


SPAWNS = """
import multiprocessing, sys, time
from bench.common.interruption import sparing_children

if __name__ == "__main__":
    children = [multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,)) for _ in range(2)]
    for child in children:
        with sparing_children():
            child.start()
    print(*(child.pid for child in children), flush=True)
    time.sleep(600)
"""


def test_ctrl_c_spares_processes_that_this_one_ends(tmp_path: Path) -> None:
    (tmp_path / "spawns.py").write_text(SPAWNS)
    run = subprocess.Popen([sys.executable, tmp_path / "spawns.py"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True, start_new_session=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert run.stdout is not None and run.stderr is not None
    children = [int(word) for word in run.stdout.readline().split()]
    for child in children:
        os.kill(child, signal.SIGINT)
    time.sleep(0.5)
    assert len(children) == 2 and not any(map(is_gone, children))
    os.killpg(run.pid, signal.SIGKILL)
    assert run.communicate()[1] == "" and wait_until_gone(children)


WRITES = """
import sys, time
from pathlib import Path
from bench.common.files import whole
with whole(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print(temporary, flush=True)
    time.sleep(600)
"""


def test_what_a_killed_writer_left_goes_with_the_next_ones_file_and_that_of_a_living_stays(tmp_path: Path) -> None:
    runs = [subprocess.Popen([sys.executable, "-c", WRITES, str(tmp_path / name)], stdout=subprocess.PIPE, text=True,
                             env={**os.environ, "PYTHONPATH": str(ROOT)}) for name in ("a.json", "b.json")]
    killed, alive = (Path(run.stdout.readline().strip()) for run in runs)  # type: ignore[union-attr]
    runs[0].kill()
    runs[0].wait()
    assert killed.exists() and alive.exists()
    left = tmp_path / f".a.json.{'0' * 32}.new"  # by a kill between making and locking
    left.touch()
    os.utime(left, (time.time() - 100,) * 2)

    with whole(tmp_path / "c.json") as temporary:
        temporary.write_text("all")
    assert {path.name for path in tmp_path.iterdir()} == {alive.name, "c.json"}
    runs[1].kill()
    runs[1].wait()
    for run in runs:
        run.stdout.close()  # type: ignore[union-attr]
