"""Keeps the last few and the best few states of a training on disk.

The published manager (LIC-HPCM-Balanced, phase 2) keeps the latest records instead of the best, and forgets what it
has kept when it is restarted. Here all states are ranked by their metric, and what is kept is read from the folder:
each file holds its own step and metric, and the index, which spares opening the files, can be lost.
"""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from bench.common.errors import CheckpointError, ConfigurationError
from bench.common.whole_files import whole

INDEX = "states.json"
FILE = re.compile(r"step-(\d+)\.pt")
RECORD = "kept"  # entry of a file with its step and metric
MODES = ("min", "max")


@dataclass(frozen=True)
class KeptState:
    """A state on disk.

    Attributes:
        step: the training step it was saved after.
        metric: what states are ranked by; None where it was not finite.
    """

    step: int
    metric: float | None


class CheckpointKeeper:
    """The states of one training, as files ``step-<n>.pt`` in a folder.

    Nothing is removed before the next :meth:`save`, so opening a folder only to read is safe.

    Args:
        folder: where the files are; it is made when the first state is saved.
        keep_last: how many of the latest states to keep, 1 or more.
        keep_best: how many of the best to keep. Of equals the earlier is better.
        mode: "min" or "max", which metrics are better.

    Raises:
        ConfigurationError: an impossible value.
    """

    def __init__(self, folder: Path, keep_last: int = 3, keep_best: int = 3, mode: str = "min") -> None:
        if keep_last < 1 or keep_best < 0:
            raise ConfigurationError(
                f"at least one last state and no fewer than 0 best must be kept, not {keep_last} and {keep_best}")
        if mode not in MODES:
            raise ConfigurationError(f"mode must be {' or '.join(MODES)}, not {mode!r}")
        self.folder, self.keep_last, self.keep_best, self.mode = folder, keep_last, keep_best, mode
        self._states = self._found()

    @property
    def kept(self) -> tuple[KeptState, ...]:
        """All states, in order of their steps."""
        return tuple(self._states[step] for step in sorted(self._states))

    @property
    def last(self) -> KeptState | None:
        """The state of the latest step, None where there is no state."""
        return self.kept[-1] if self._states else None

    @property
    def best(self) -> KeptState | None:
        """The state of the best metric, None where no state has one."""
        return next(iter(self._ranked()), None)

    def path(self, step: int) -> Path:
        """The file of the state of a step."""
        return self.folder / f"step-{step}.pt"

    def save(
        self, step: int, state: Mapping[str, Any] | Callable[[], Mapping[str, Any]], metric: float | None = None
    ) -> Path:
        """Write a state, then remove those that are no longer among the last or the best.

        A kill at any moment leaves every file whole and the state before this one in place.

        Args:
            step: the training step, 0 or more; a state of the same step is replaced.
            state: tensors and plain values by name, or what returns them.
            metric: what the state is ranked by. None or not finite: it is never among the best.

        Raises:
            ConfigurationError: the state has an entry of the name that step and metric are kept under.
        """
        content = dict(state() if callable(state) else state)
        if RECORD in content:
            raise ConfigurationError(f"a state can't have an entry '{RECORD}'", "call it something else")
        kept = KeptState(step, _finite(metric))
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._states.pop(step, None) is not None:
            self._write_index()  # else a kill would leave the old metric beside the new file
        with whole(self.path(step)) as temporary:
            torch.save({**content, RECORD: asdict(kept)}, temporary)
        self._states[step] = kept
        self._remove_surplus()
        return self.path(step)

    def load(self, state: KeptState) -> dict[str, Any]:
        """Read a state as it was given to :meth:`save`, tensors on the CPU.

        Raises:
            CheckpointError: the file is missing, damaged or would run code when unpickled.
        """
        content = _read(self.path(state.step))
        del content[RECORD]
        return content

    def _ranked(self) -> list[KeptState]:
        """States with a metric, best first."""
        sign = 1 if self.mode == "min" else -1
        return sorted((state for state in self._states.values() if state.metric is not None),
                      key=lambda state: (sign * state.metric, state.step))

    def _remove_surplus(self) -> None:
        wanted = {state.step for state in (*self.kept[-self.keep_last :], *self._ranked()[: self.keep_best])}
        surplus = set(self._states) - wanted
        self._states = {step: state for step, state in self._states.items() if step in wanted}
        self._write_index()
        for step in surplus:
            self.path(step).unlink(missing_ok=True)

    def _write_index(self) -> None:
        text = json.dumps({"states": [asdict(state) for state in self.kept]}, indent=1, allow_nan=False)
        with whole(self.folder / INDEX) as temporary:
            temporary.write_text(text + "\n")

    def _found(self) -> dict[int, KeptState]:
        """What is in the folder, from the index or, for files that it does not list, from the files."""
        listed, found = self._listed(), {}
        for path in self.folder.glob("step-*.pt"):
            if not (match := FILE.fullmatch(path.name)):
                continue
            step = int(match[1])
            try:
                found[step] = listed.get(step) or KeptState(step, _finite(_read(path)[RECORD]["metric"]))
            except CheckpointError as error:
                warnings.warn(f"{path} is passed over: {error}", stacklevel=3)
        return found

    def _listed(self) -> dict[int, KeptState]:
        """The states of the index; none where it is missing or can't be read."""
        try:
            entries = json.loads((self.folder / INDEX).read_text())["states"]
            states = [KeptState(int(entry["step"]), _finite(entry["metric"])) for entry in entries]
        except (OSError, ValueError, TypeError, LookupError):
            return {}
        return {state.step: state for state in states}


def _finite(metric: float | None) -> float | None:
    return float(metric) if metric is not None and math.isfinite(metric) else None


def _read(path: Path) -> dict[str, Any]:
    """The content of a file; its tensors are not read before they are used."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # damaged files raise nearly any kind
        raise CheckpointError(f"can't read the state {path}: {error}", "remove it and resume from another") from None
    if not isinstance(content, dict) or RECORD not in content:
        raise CheckpointError(f"{path} was not written as a state of a training", "move it out of the folder")
    return content
