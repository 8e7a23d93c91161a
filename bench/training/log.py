"""The log of a training: one JSON object a line, and the same figures for TensorBoard."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.common.files import write_whole
from bench.results.training_logs import read_log_lines

LOG_NAME = "log.jsonl"


class LogWriter:
    """Appends to ``log.jsonl`` in ``folder`` and to TensorBoard's event files.

    Args:
        folder: where the log is kept.
        step: the step that the training goes on from: later lines are dropped, they come again.

    Raises:
        BenchError: the log that is there is damaged.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter  # which takes seconds

        self.path = folder / LOG_NAME
        if self.path.is_file():
            # At step 0, what came before any state was saved.
            kept = [text for text, line in read_log_lines(self.path) if step and line.step <= step]
            write_whole(self.path, "".join(f"{text}\n" for text in kept))
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else 0)

    def write(self, kind: str, **values: Any) -> None:
        """Append one line; numbers that are not finite become null."""
        line = {"kind": kind, **_round(values)}
        with self.path.open("a") as file:
            file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        if "step" in line:
            for name, value in _flatten(line):
                self._board.add_scalar(f"{kind}/{name}", value, line["step"])

    def close(self) -> None:
        """Write out what TensorBoard still holds."""
        self._board.close()


def _round(value: Any) -> Any:
    """JSON data with floats of six digits, and null for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _round(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_round(entry) for entry in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def _flatten(line: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in line.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and name != "step":
            yield prefix + name, value
