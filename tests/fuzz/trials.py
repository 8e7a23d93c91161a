"""One input: what it is made of, what must come out, and what happened when it was tried."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fuzz.bounds import OutOfBounds, bounded
from hypothesis.strategies import SearchStrategy

from bench.common.errors import BenchError

READ, REFUSED = "read", "refused"
LONGEST_MESSAGE = 10_000  # of letters
RELATIVE = 1e-9  # of numbers that are averages


class Trial(NamedTuple):
    """Files, of which the first is read.

    Attributes:
        files: name to content; a name may have folders.
        expected: what reading gives, as JSON holds it; None where nobody knows.
        refusable: an error will do too.
    """

    files: dict[str, bytes]
    expected: Any = None
    refusable: bool = True


class Broken(AssertionError):
    """An input that gave neither a right result nor an error that names it."""


@dataclass(frozen=True)
class Generator:
    """Inputs of one kind.

    Attributes:
        trials: makes them.
        read: reads the first file as the suite does, and returns what is compared with what is expected.
        name_input: what an error must name of the file's path.
        ci_inputs: how many are tried by the tests.
    """

    name: str
    trials: SearchStrategy[Trial]
    read: Callable[[Path], Any]
    ci_inputs: int
    name_input: Callable[[Path], str] = str


def try_trial(generator: Generator, trial: Trial, folder: Path) -> str:
    """Try an input in an empty folder; return READ or REFUSED.

    Raises:
        Broken: it gives another result than the right one, any other error, or takes too long or too much memory.
    """
    paths = [_write(folder / name, content) for name, content in trial.files.items()]
    try:
        with bounded():
            result = generator.read(paths[0])
    except BenchError as error:
        _require_message(str(error), generator.name_input(paths[0]))
        if not trial.refusable:
            raise Broken(f"refused what is right: {error}") from error
        return REFUSED
    except OutOfBounds as error:
        raise Broken(f"out of bounds: {error}") from error

    if trial.expected is not None and not is_same(result, trial.expected):
        raise Broken(f"wrong: {result!r:.2000} in place of {trial.expected!r:.2000}")
    return READ


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _require_message(message: str, name: str) -> None:
    if name not in message:
        raise Broken(f"the error does not name {name}: {message}")
    if len(message) > LONGEST_MESSAGE:
        raise Broken(f"the error has {len(message)} letters: {message:.500}")


def is_same(result: Any, expected: Any) -> bool:
    """Whether two values are the same, but for the last digits of averages."""
    if isinstance(expected, dict):
        return isinstance(result, dict) and result.keys() == expected.keys() and all(
            is_same(result[key], value) for key, value in expected.items())
    if isinstance(expected, (list, tuple)):
        is_list = isinstance(result, (list, tuple))
        return is_list and len(result) == len(expected) and all(map(is_same, result, expected))
    if isinstance(expected, float) and isinstance(result, (int, float)):
        return math.isclose(result, expected, rel_tol=RELATIVE)
    return bool(result == expected)


def write_trial(folder: Path, generator: str, trial: Trial, name: str = "") -> Path:
    """Write an input to a file that :func:`read_trial` reads again; returns the file, called by its content."""
    files = {name: base64.b64encode(content).decode() for name, content in trial.files.items()}
    text = json.dumps({"generator": generator, **trial._asdict(), "files": files}, indent=1)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name or f'{generator}-{hashlib.sha256(text.encode()).hexdigest()[:12]}'}.json"
    path.write_text(text)
    return path


def read_trial(path: Path) -> tuple[str, Trial]:
    """The name of the generator, and the input, of a file that :func:`write_trial` wrote."""
    values = json.loads(path.read_text())
    files = {name: base64.b64decode(content) for name, content in values["files"].items()}
    return values["generator"], Trial(files, values["expected"], values["refusable"])
