"""Running an encoder or decoder that is a program of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.errors import CodecError, CodecUnavailable

TAIL_LINES = 4


def run_program(
    command: list[str],
    *,
    data: bytes = b"",
    folder: Path | str | None = None,
    timeout_s: float = 1800.0,
    check: bool = True,
) -> subprocess.CompletedProcess[bytes]:
    """Run ``command`` in ``folder`` with ``data`` on its standard input, and capture what it prints.

    Raises:
        CodecError: it ran too long or, unless ``check`` is off, failed; the message holds the last lines
            it printed.
        CodecUnavailable: it can't be started.
    """
    name = Path(command[0]).name
    try:
        done = subprocess.run(command, input=data, capture_output=True, cwd=folder, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise CodecError(f"{name} did not finish within {timeout_s:g} s") from None
    except OSError as error:
        raise CodecUnavailable(f"{name} can't be started: {error.strerror}") from None
    if check and done.returncode != 0:
        printed = last_lines(done.stderr) or last_lines(done.stdout) or "it printed nothing"
        raise CodecError(f"{name} failed with status {done.returncode}: {printed}")
    return done


def last_lines(output: bytes) -> str:
    """The last lines of a program's output, on one line."""
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    return " | ".join(lines[-TAIL_LINES:])
