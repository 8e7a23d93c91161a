"""Files: written whole or not at all, under safe names; listed without passing over what can't be read.

What the operating system says against a place is turned into errors for the user here.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from bench.common.errors import BenchError
from bench.common.temporary import temporary_beside

_OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT)
_CHECK_PERMISSIONS = "check its permissions, and those of the folders above it"
_NO_LOCKS = "its file system has no locks, which keep processes apart: choose a folder on a local disk"
_HINTS = {  # what to do about an error of the operating system
    errno.EACCES: _CHECK_PERMISSIONS, errno.EPERM: _CHECK_PERMISSIONS,
    errno.EROFS: "it is on a disk that is mounted for reading alone: choose another place",
    errno.ENOENT: "check the path; a link may lead nowhere",
    errno.ENOTDIR: "a file is where the path needs a folder", errno.EISDIR: "this is a folder: name a file",
    errno.EEXIST: "a file is where a folder is wanted, or something else has its name",
    errno.ELOOP: "links lead in a circle: remove one", errno.ENAMETOOLONG: "choose a shorter path",
    errno.ENOLCK: _NO_LOCKS, errno.EOPNOTSUPP: _NO_LOCKS, errno.ENOSYS: _NO_LOCKS,
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.ENFILE: "the machine has too many files open: end other programs",
    errno.EFBIG: "files may not grow so large here: see ulimit -f, or choose another disk",
    errno.EIO: "the disk or the network share fails: look at the system's log",
    errno.ESTALE: "the network share has gone: mount it again", errno.ENXIO: "this is no file that can be read",
}


class PlaceError(BenchError):
    """A file or folder can't be used, for a reason that the operating system gives."""


class DiskFull(BenchError):
    """Nothing more can be written; everything stored so far is whole."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(
            f"no space left on the disk while writing {path}",
            "what was measured is stored; free some space and run the same command to go on",
        )
        self.path = path

    def __reduce__(self) -> tuple[type, tuple[str]]:
        """Pickle by the path: a worker process hands this error to its parent."""
        return DiskFull, (str(self.path),)


def is_out_of_space(number: int | None) -> bool:
    """Say whether an ``errno`` means "no space left" or "quota exceeded"."""
    return number in _OUT_OF_SPACE


@contextmanager
def disk_full_stops(path: Path | str) -> Iterator[None]:
    """Turn the operating system's "no space left" into :class:`DiskFull`; let other errors through."""
    try:
        yield
    except OSError as error:
        if is_out_of_space(error.errno):
            raise DiskFull(path) from error
        raise


def explain_os_error(error: OSError, action: str = "", hint: str = "") -> BenchError:
    """Return the error for the user that stands for one of the operating system.

    Args:
        action: what could not be done: "can't write /a/b"; by default the place is named that the error is about.
        hint: what to do about it; by default by what is wrong.
    """
    if not action:
        names = (os.fspath(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes, Path)))
        named = " as ".join(map(os.fsdecode, names))
        action = f"can't use {named}" if named else "the operating system refuses"
    return PlaceError(f"{action}: {error.strerror or error}", hint or _HINTS.get(error.errno or 0, ""))


@contextmanager
def writing(path: Path | str, hint: str = "") -> Iterator[None]:
    """Turn whatever the operating system says against writing ``path`` into an error for the user.

    Args:
        hint: what to do about it, also about a file that was written whole within; by default by what is wrong.

    Raises:
        DiskFull: there is no space left.
        PlaceError: it can't be written for another reason.
    """
    try:
        with disk_full_stops(path):
            yield
    except PlaceError as error:
        error.hint = hint or error.hint
        raise
    except OSError as error:
        raise explain_os_error(error, f"can't write {path}", hint) from error


@contextmanager
def reading(path: Path | str, damage: type[Exception] = UnicodeDecodeError) -> Iterator[None]:
    """Turn what the operating system, a decoder of text or a reader say against reading ``path`` into a BenchError.

    Args:
        damage: what the reader raises on a damaged file, beside that it is no text.

    Raises:
        BenchError: it can't be read.
    """
    try:
        yield
    except OSError as error:
        raise explain_os_error(error, f"can't read {path}") from None
    except MemoryError:
        raise BenchError(f"can't read {path}: it does not fit into memory") from None
    except (UnicodeDecodeError, damage) as error:
        raise BenchError(f"can't read {path}: {error}") from None


def require_writable(folder: Path, hint: str = "") -> None:
    """Make a folder where it is missing, and refuse one that files can't be made in, before time is spent on them.

    Args:
        hint: what to do about it; by default by what is wrong.

    Raises:
        DiskFull: there is no space left.
        PlaceError: it can't be written for another reason.
    """
    with writing(folder, hint):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


def match_files(folder: Path, pattern: str) -> list[Path]:
    """Return what is below a folder under names such as "*/*.jsonl", sorted; nothing where there is no such folder.

    What can't be read is an error, and not left out as :meth:`pathlib.Path.glob` does: rows would be missing unsaid.

    Args:
        pattern: names with the wildcards of :mod:`fnmatch`; "**" before the last stands for any folders but links.

    Raises:
        PlaceError: a folder can't be read, or ``folder`` is a file.
    """
    try:
        return sorted(_match_below(folder, pattern.split("/")))
    except FileNotFoundError as error:
        nearest = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
        if nearest == folder or not os.path.exists(nearest):  # what is in it has gone, or a link leads nowhere
            raise explain_os_error(error) from None
        return []
    except OSError as error:
        raise explain_os_error(error) from None


def _match_below(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    name, *others = names
    with os.scandir(folder) as entries:
        for entry in entries:
            path = folder / entry.name
            if name == "**":
                if entry.is_dir(follow_symlinks=False):
                    yield from _match_below(path, names)
                if fnmatchcase(entry.name, others[0]):
                    yield path
            elif fnmatchcase(entry.name, name):
                if not others:
                    yield path
                elif entry.is_dir():
                    yield from _match_below(path, others)


def file_name(text: str) -> str:
    """Return ``text`` as one path component."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", text).lstrip(".") or "_"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give the name of a temporary file beside ``path`` to write to; it takes the place of ``path`` at the end.

    A kill at any moment leaves the old file or the new one, and an error the old one. Whoever else writes the same file
    is not disturbed. The folder is made where it is missing.

    Raises:
        DiskFull: there is no space left.
        PlaceError: it can't be written for another reason.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_beside(path) as temporary:
            yield temporary
            os.replace(temporary, path)


def write_whole(path: Path, content: bytes | str) -> Path:
    """Write ``content`` so that a reader never sees half of it; returns ``path``.

    Text is written as UTF-8, with escapes for what this does not have, such as a name of other bytes.

    Raises:
        DiskFull: there is no space left; the file is as it was.
        PlaceError: it can't be written for another reason; the file is as it was.
    """
    with whole(path) as temporary:
        temporary.write_bytes(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
    return path
