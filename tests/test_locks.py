"""Locks on folders: one process at a time, released when it ends."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from bench.common.errors import ConfigurationError
from bench.common.locks import FolderInUse, lock_folder

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
