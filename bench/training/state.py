"""What a training leaves on disk: the state to go on from, weights of the best validations, and the log.

Files are whole or absent, and a state that another job made is refused.
"""

from __future__ import annotations

import errno
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.common.errors import CheckpointError, ConfigurationError
from bench.common.files import match_files, whole, write_whole, writing
from bench.results.training_logs import read_log_lines
from bench.training.recipes import Job

LOG_NAME = "log.jsonl"
PROBE_BYTES = 1 << 20  # that are written to learn why a file could not be
KEPT_RECORD = "kept"  # entry of a kept file with its step and metric


class Stateful:
    """What training changes of an object is the attributes that ``SAVED`` names: tensors, plain data or Stateful."""

    SAVED: tuple[str, ...] = ()

    def state_dict(self) -> dict[str, Any]:
        """What to save. Tensors are those of the object itself, which replaces them and never writes into them."""
        values = {name: getattr(self, name) for name in self.SAVED}
        return {name: value.state_dict() if isinstance(value, Stateful) else value for name, value in values.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        for name, value in state.items():
            part = getattr(self, name, None)
            if isinstance(part, Stateful):
                part.load_state_dict(value)
            else:
                setattr(self, name, value)


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` so that a kill at any moment leaves the old file or the new one.

    Raises:
        BenchError: the file can't be written.
    """
    with whole(path) as temporary:
        try:
            torch.save(state, temporary)
        except RuntimeError as error:  # torch doesn't say what the system said
            with temporary.open("ab") as file:
                file.write(bytes(PROBE_BYTES))
            raise OSError(errno.EIO, str(error).splitlines()[0]) from error


def read_state(path: Path, job: Job, given: Mapping[str, Any]) -> dict[str, Any]:
    """Read the state of ``job`` with ``given`` start and images.

    Raises:
        CheckpointError: the file is damaged.
        ConfigurationError: another job made it, or the same from another start or images.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        made_by, wanted = {**state["job"], **state["given"]}, {**job.as_plain(), **given}
    except Exception as error:  # damaged files raise many kinds
        raise CheckpointError(f"{path} is no state of a training, or a damaged one: {error}",
                              "remove it to start anew, or choose another --out") from None
    if made_by != wanted:
        other = ", ".join(list_differences(made_by, wanted))
        raise ConfigurationError(f"{path} was made by another training: {other}", "choose another --out")
    return state


def list_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two trees of plain data, in words."""
    before, after = dict(_flatten(old)), dict(_flatten(new))
    return [f"{name} {before.get(name)!r}, not {after.get(name)!r}" for name in {**before, **after}
            if before.get(name) != after.get(name)]


class CheckpointKeeper:
    """Keeps the weights of the best few validations of a training, and of the last, as ``step-<n>.pt`` in a folder.

    The published manager (LIC-HPCM-Balanced, phase 2) keeps the latest records instead of the best, and forgets what it
    has kept when it is restarted. Here all are ranked by their loss, and what is kept is read from the folder: each
    file holds its own step and loss. Nothing is removed before the next :meth:`save`.

    Args:
        folder: where the files are; it is made when the first one is saved.
        keep_best: how many of the best to keep. Of equals the earlier is better.

    Attributes:
        losses: of each step that is kept; None where the loss was not finite, so that it is never among the best.
    """

    def __init__(self, folder: Path, keep_best: int) -> None:
        self.folder, self.keep_best = folder, keep_best
        self.losses: dict[int, float | None] = {}
        for path in match_files(folder, "step-*.pt"):
            try:  # tensors are mapped, so that they are not read
                kept = torch.load(path, map_location="cpu", weights_only=True, mmap=True)[KEPT_RECORD]
                self.losses[kept["step"]] = kept["metric"]
            except Exception as error:  # damaged files raise nearly any kind
                warnings.warn(f"{path} is no state that this training kept, so it is passed over: {error!r}",
                              stacklevel=2)

    def save(self, step: int, weights: Mapping[str, Tensor], loss: float) -> None:
        """Write weights, then remove those that are neither the last nor among the best.

        A kill at any moment leaves every file whole and the one before this in place.
        """
        known = loss if math.isfinite(loss) else None
        write_state(self._path(step), {"model": dict(weights), KEPT_RECORD: {"step": step, "metric": known}})
        self.losses[step] = known

        ranked = sorted((loss, step) for step, loss in self.losses.items() if loss is not None)
        wanted = {max(self.losses), *(step for _, step in ranked[:self.keep_best])}
        for surplus in set(self.losses) - wanted:
            self._path(surplus).unlink(missing_ok=True)
            del self.losses[surplus]

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step}.pt"


class LogWriter:
    """Appends to ``log.jsonl`` in ``folder``, one JSON object a line, and the same figures to TensorBoard's files.

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
        values = _round(values)
        with writing(self.path), self.path.open("a") as file:
            file.write(json.dumps({"kind": kind, **values}, ensure_ascii=False, allow_nan=False) + "\n")
        if "step" in values:
            for name, value in _flatten(values):
                if isinstance(value, (int, float)) and name != "step":
                    self._board.add_scalar(f"{kind}/{name}", value, values["step"])

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


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value
