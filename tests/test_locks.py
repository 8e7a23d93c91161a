"""Locks on folders: one process at a time, released when it ends."""

import errno
import fcntl
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.common.errors import ConfigurationError
from bench.common.files import PlaceError
from bench.common.locks import FolderInUse, hold_lock, lock_folder
from bench.results.rows import Row
from bench.results.store import Store, read_rows

ROOT = Path(__file__).parents[1]
HOLDER = """
import sys
from pathlib import Path
from bench.common.locks import lock_folder
lock = lock_folder(Path(sys.argv[1]), "waits")
print("held", flush=True)
sys.stdin.readline()
"""


def test_another_process_keeps_us_out_until_it_is_killed(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ConfigurationError, match=f"another process waits in {tmp_path}"):
        lock_folder(tmp_path, "waits")
    lock_folder(tmp_path, "waits", "another").release()
    holder.kill()
    holder.wait()
    lock_folder(tmp_path, "waits").release()


def test_a_lock_is_held_until_it_is_released_or_forgotten(tmp_path):
    lock = lock_folder(tmp_path / "new" / "folder", "trains")
    with pytest.raises(FolderInUse, match="another process trains"):
        lock_folder(tmp_path / "new" / "folder", "trains")
    lock.release()
    lock = lock_folder(tmp_path / "new" / "folder", "trains")
    del lock
    gc.collect()
    lock_folder(tmp_path / "new" / "folder", "trains").release()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told(number, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    (tmp_path / "rows.jsonl").write_text("")
    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(fcntl, "lockf", refuse)

    def wait() -> None:
        with hold_lock(tmp_path / "lock"):
            pass

    for take in (lambda: lock_folder(tmp_path, "trains"), wait, lambda: Store(tmp_path).claim("set", "0123abcd"),
                 lambda: read_rows(tmp_path / "rows.jsonl", Row)):
        with pytest.raises(PlaceError, match=rf"{tmp_path}.*{os.strerror(number)}(.|\n)*no locks"):
            take()
