"""Writing files: whole or not at all, under safe names, a full disk told apart from other errors."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.common.errors import BenchError
from bench.common.temporary import temporary_beside

_OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT)


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


@contextmanager
def writing(path: Path | str, hint: str = "") -> Iterator[None]:
    """Turn whatever the operating system says against writing ``path`` into an error for the user.

    Raises:
        DiskFull: there is no space left.
        BenchError: it can't be written for another reason.
    """
    try:
        with disk_full_stops(path):
            yield
    except OSError as error:
        raise BenchError(f"can't write {path}: {error.strerror or error}", hint) from error


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
    except (OSError, UnicodeDecodeError, damage) as error:
        raise BenchError(f"can't read {path}: {getattr(error, 'strerror', None) or error}") from None


def file_name(text: str) -> str:
    """Return ``text`` as one path component."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", text).lstrip(".") or "_"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give the name of a temporary file beside ``path`` to write to; it takes the place of ``path`` at the end.

    A kill at any moment leaves the old file or the new one, and an error the old one. Whoever else writes the same file
    is not disturbed. The folder is made where it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_beside(path) as temporary:
        yield temporary
        os.replace(temporary, path)


def write_whole(path: Path, content: bytes | str) -> Path:
    """Write ``content``, text as UTF-8, so that a reader never sees half of it; returns ``path``.

    Raises:
        OSError: it can't be written; the file is as it was.
    """
    with whole(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
