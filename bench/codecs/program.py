"""Running an encoder or decoder that is a program of its own."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from bench.common.errors import CodecError, CodecUnavailable
from bench.common.processes import describe_ending

FIRST_LINES, LAST_LINES = 2, 2  # the cause comes first or last; between them is what follows from it


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
        CodecError: it ran too long or, unless ``check`` is off, failed; the message holds the first and
            last lines it printed.
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
        printed = _excerpt(done.stderr) or _excerpt(done.stdout) or "it printed nothing"
        for argument in filter(os.path.isabs, command):
            printed = printed.replace(argument, Path(argument).name)
        raise CodecError(f"{name} failed with {describe_ending(done.returncode)}: {printed}")
    return done


def _excerpt(output: bytes) -> str:
    """First and last lines of a program's output on one line, without addresses that differ in every run."""
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    if len(lines) > FIRST_LINES + LAST_LINES:
        lines[FIRST_LINES:-LAST_LINES] = ["..."]
    return re.sub(r" @ 0x[0-9a-f]+", "", " | ".join(lines))
