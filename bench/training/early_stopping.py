"""Early stopping by one score, or scale by scale (LIC-HPCM-Balanced, phase 4, corrected)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.common.errors import ConfigurationError

MODES = ("min", "max")


@dataclass(frozen=True)
class AdaptivePatience:
    """When to wait longer: while scores come close to the best one on average, but not past it.

    Attributes:
        maximum: the longest patience; one that is longer at the start stays as it is.
        increase: added to the patience after each score for which the rule holds.
        threshold: upper end, exclusive, of the mean gain over the best score that calls for more patience; the lower
            end is 0, exclusive.
        window: how many gains are averaged at most.
        least: how many there must be.
    """

    maximum: int = 200
    increase: int = 20
    threshold: float = 0.01
    window: int = 10
    least: int = 5

    def longer(self, patience: int) -> int:
        """Return the patience after one increase."""
        return max(patience, min(patience + self.increase, self.maximum))


class EarlyStopping:
    """Stops when the score has not improved for ``patience`` scores in a row.

    A score improves when it beats the best one by more than ``min_delta``; the first one always does. A score that
    is not finite never does.

    Attributes:
        best, best_epoch: the best score and its epoch, None before the first finite score.
        counter: scores since then.
        stopped: whether the score has converged; stays so.

    Args:
        patience: scores without improvement that end the training.
        min_delta: least improvement that counts, in the score's unit.
        mode: "min" or "max", which scores are better.
        adaptive: when the patience grows; never by default.

    Raises:
        ConfigurationError: an impossible value.
    """

    def __init__(
        self, patience: int, min_delta: float = 1e-4, mode: str = "min", adaptive: AdaptivePatience | None = None
    ) -> None:
        if patience < 1 or min_delta < 0:
            raise ConfigurationError(
                f"patience must be 1 or more and min_delta 0 or more, not {patience} and {min_delta}")
        if mode not in MODES:
            raise ConfigurationError(f"mode must be {' or '.join(MODES)}, not {mode!r}")
        self.patience, self.min_delta, self.mode, self.adaptive = patience, min_delta, mode, adaptive
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.counter = 0
        self.stopped = False
        self.gains: list[float] = []

    def step(self, epoch: int, score: float) -> bool:
        """Take the score of an epoch; returns whether to stop."""
        if self.wants_patience(score):
            self.lengthen()
        return self.judge(epoch, score)

    def wants_patience(self, score: float) -> bool:
        """Note the gain of a score over the best one before it; returns whether the adaptive rule holds."""
        if self.adaptive is None or self.best is None or not math.isfinite(score):
            return False
        self.gains = [*self.gains, self._gain(score)][-self.adaptive.window :]
        mean = sum(self.gains) / len(self.gains)
        return len(self.gains) >= self.adaptive.least and 0 < mean < self.adaptive.threshold

    def lengthen(self) -> None:
        """Raise the patience by one increase of the adaptive rule, where there is one."""
        if self.adaptive is not None:
            self.patience = self.adaptive.longer(self.patience)

    def judge(self, epoch: int, score: float) -> bool:
        """Compare a score with the best one, patience as it is; returns whether to stop."""
        if math.isfinite(score) and (self.best is None or self._gain(score) > self.min_delta):
            self.best, self.best_epoch, self.counter = score, epoch, 0
        else:
            self.counter += 1
        self.stopped = self.stopped or self.counter >= self.patience
        return self.stopped

    def _gain(self, score: float) -> float:
        return self.best - score if self.mode == "min" else score - self.best

    def state_dict(self) -> dict[str, Any]:
        """What to save: numbers and lists of numbers."""
        return {"patience": self.patience, "best": self.best, "best_epoch": self.best_epoch,
                "counter": self.counter, "stopped": self.stopped, "gains": list(self.gains)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self.patience, self.best, self.best_epoch = state["patience"], state["best"], state["best_epoch"]
        self.counter, self.stopped, self.gains = state["counter"], state["stopped"], list(state["gains"])


class ScaleEarlyStopping:
    """Early stopping of several scores, each with a patience of its own; training ends when all have converged.

    A score that has converged is no longer followed.

    Args:
        scales: names of the scores.
        patience, min_delta, mode, adaptive: see :class:`EarlyStopping`.
        shared_patience: the published rule, in which all scores share one patience, so that each of them lengthens
            that of the others: for reproduction only.
        on_converged: called with the name of a scale when it converges, for instance to freeze its networks; and
            again when a state in which it had converged is loaded.

    Raises:
        ConfigurationError: an impossible value.
    """

    def __init__(
        self,
        scales: Sequence[str],
        patience: int,
        min_delta: float = 1e-4,
        mode: str = "min",
        adaptive: AdaptivePatience | None = None,
        shared_patience: bool = False,
        on_converged: Callable[[str], None] | None = None,
    ) -> None:
        if not scales:
            raise ConfigurationError("early stopping by scale needs the name of at least one scale")
        self.trackers = {scale: EarlyStopping(patience, min_delta, mode, adaptive) for scale in scales}
        self.shared_patience, self.on_converged = shared_patience, on_converged

    @property
    def stopped(self) -> bool:
        """Whether all scales have converged."""
        return all(tracker.stopped for tracker in self.trackers.values())

    @property
    def converged(self) -> tuple[str, ...]:
        """Names of the scales that have converged."""
        return tuple(scale for scale, tracker in self.trackers.items() if tracker.stopped)

    def step(self, epoch: int, scores: Mapping[str, float]) -> bool:
        """Take the scores of an epoch by scale; returns whether to stop.

        Raises:
            ConfigurationError: the score of a scale that is still followed is missing.
        """
        followed = {scale: tracker for scale, tracker in self.trackers.items() if not tracker.stopped}
        if missing := [scale for scale in followed if scale not in scores]:
            raise ConfigurationError(f"early stopping follows {', '.join(missing)}, which validation does not give",
                                     f"it gives: {', '.join(scores)}")
        for scale, tracker in followed.items():  # all of them, before any is judged by a shared patience
            if tracker.wants_patience(scores[scale]):
                for lengthened in (self.trackers.values() if self.shared_patience else (tracker,)):
                    lengthened.lengthen()
        for scale, tracker in followed.items():
            if tracker.judge(epoch, scores[scale]):
                self._tell(scale)
        return self.stopped

    def _tell(self, scale: str) -> None:
        if self.on_converged is not None:
            self.on_converged(scale)

    def state_dict(self) -> dict[str, Any]:
        """What to save, by scale."""
        return {scale: tracker.state_dict() for scale, tracker in self.trackers.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave.

        Raises:
            ConfigurationError: the state is of other scales.
        """
        if set(state) != set(self.trackers):
            raise ConfigurationError(
                f"a state of early stopping by {', '.join(state)} does not fit {', '.join(self.trackers)}")
        for scale, tracker in self.trackers.items():
            tracker.load_state_dict(state[scale])
        for scale in self.converged:
            self._tell(scale)
