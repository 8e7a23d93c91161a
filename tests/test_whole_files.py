"""Files that appear whole or not at all."""

import errno
import os
import resource
import stat
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from privileges import binding_permissions

from bench.common.files import DiskFull, PlaceError, match_files, require_writable, whole, write_whole, writing
from bench.models.checkpoints import write_weights
from bench.training.state import write_state


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


@settings(max_examples=30, deadline=None, derandomize=True)
@given(names=st.sets(st.lists(st.sampled_from(["a", "b.jsonl", ".c.jsonl"]), min_size=1, max_size=3).map("/".join)),
       pattern=st.sampled_from(["*.jsonl", "*/*.jsonl", "a/*/*.jsonl", "**/b.jsonl", "[!.]*"]))
def test_files_are_matched_as_pathlib_does(names, pattern, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tree")
    for name in sorted(names):
        path = folder / name
        if all(parent.is_dir() or not parent.exists() for parent in path.parents) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    assert match_files(folder, pattern) == sorted(folder.glob(pattern))


def test_what_cannot_be_listed_is_an_error_and_what_is_not_there_is_empty(tmp_path):
    (tmp_path / "results" / "closed").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert match_files(tmp_path / "none" / "here", "*/*.jsonl") == []
    with pytest.raises(PlaceError, match="link"):
        match_files(tmp_path / "link" / "kodak", "*.jsonl")
    (tmp_path / "results" / "closed").chmod(0)
    with binding_permissions():
        assert list((tmp_path / "results").glob("*/*.jsonl")) == []  # which pathlib does not tell from this
        with pytest.raises(PlaceError, match="closed: Permission denied\n  check its permissions"):
            match_files(tmp_path / "results", "*/*.jsonl")
    (tmp_path / "results" / "closed").chmod(0o755)


def test_the_hint_of_who_knows_best_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(PlaceError, match="file/a: File exists\n  choose another"), \
            writing(tmp_path, "choose another"):
        write_whole(tmp_path / "file" / "a", "")


@pytest.mark.parametrize("write", [
    lambda path: write_whole(path, bytes(100_000)), lambda path: write_state(path, {"a": torch.rand(100_000)}),
    lambda path: write_weights(torch.nn.Linear(300, 300), path, {}),
])
def test_what_the_system_says_while_writing_is_told(write, tmp_path):
    """Libraries say only that they failed."""
    write(tmp_path / "file")
    before, limits = (tmp_path / "file").read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(PlaceError, match=rf"can't write {tmp_path / 'file'}: {os.strerror(errno.EFBIG)}\n"):
            write(tmp_path / "file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "file").read_bytes() == before and os.listdir(tmp_path) == ["file"]


def test_a_full_disk_is_told_from_the_rest(tmp_path, monkeypatch):
    def refuse(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(DiskFull, match="free some space"):
        write_whole(tmp_path / "file", "")


def test_a_folder_is_tried_before_time_is_spent(tmp_path):
    require_writable(tmp_path / "new" / "folder")
    assert os.listdir(tmp_path / "new" / "folder") == []
    (tmp_path / "new").chmod(0o555)
    with binding_permissions(), pytest.raises(PlaceError, match="can't write .*other: Permission denied"):
        require_writable(tmp_path / "new" / "other")
    (tmp_path / "new").chmod(0o755)


def test_text_that_is_no_utf8_is_written_as_escapes(tmp_path):
    assert write_whole(tmp_path / "file", "caf\udce9 λ").read_text(encoding="utf-8") == "caf\\udce9 λ"
