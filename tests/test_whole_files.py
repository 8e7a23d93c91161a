"""Files that appear whole or not at all."""

import os
import stat

import pytest

from bench.common.files import whole, write_whole


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = write_whole(tmp_path / "deep" / "file.txt", "old λ")
    assert path.read_bytes() == "old λ".encode()

    with pytest.raises(KeyboardInterrupt), whole(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old λ" and os.listdir(path.parent) == ["file.txt"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_have_the_permissions_that_the_umask_gives(umask, tmp_path):
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "whole", b"1")
        (tmp_path / "plain").write_bytes(b"1")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("whole", "plain")]
    assert modes[0] == modes[1] == 0o666 & ~umask


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "file"
    with whole(path) as first, whole(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first" and os.listdir(tmp_path) == ["file"]
