"""The log of a training: one JSON object a line, and the same figures for TensorBoard."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.common.whole_files import whole

FILE = "log.jsonl"


class Log:
    """Appends to ``log.jsonl`` in ``folder`` and, where TensorBoard is installed, to its event files.

    Args:
        folder: where the log is kept.
        step: the step that the training goes on from: later lines are dropped, they come again.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self.path = folder / FILE
        if self.path.is_file():  # at step 0, what came before any state was saved
            _rewrite(self.path, [line for line in read_log(self.path) if step and line.get("step", 0) <= step])
        self._board = _board(folder / "tensorboard", step)

    def write(self, kind: str, **values: Any) -> None:
        """Append one line; numbers that are not finite become null."""
        line = {"kind": kind, **_plain(values)}
        with self.path.open("a") as file:
            file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        if self._board is not None and "step" in line:
            for name, value in _flat(line):
                self._board.add_scalar(f"{kind}/{name}", value, line["step"])

    def close(self) -> None:
        if self._board is not None:
            self._board.close()


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log; a torn last line, as a kill leaves it, is left out."""
    with path.open() as file:
        for line in file:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                return


def _rewrite(path: Path, lines: list[dict[str, Any]]) -> None:
    with whole(path) as temporary:
        temporary.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else 0)


def _plain(value: Any) -> Any:
    """JSON data: rounded to six digits, and null for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def _flat(line: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in line.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and name != "step":
            yield prefix + name, value
