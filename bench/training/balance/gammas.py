"""Schedules of γ, which pulls the logits of task weights towards 0 (LIC-HPCM-Balanced, phase 2).

Published warm-ups and steps are epochs of trainings of 3000; here they scale with the total, unless they are given.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Sequence
from typing import Any

from bench.common.errors import ConfigurationError
from bench.common.registry import Registry

PUBLISHED_TOTAL = 3000
CALM, LIVELY = 0.01, 0.05  # coefficients of variation of losses that adaptive schedules react to
CEILING = 1.5  # largest γ of adaptive schedules, over the first


class Schedule:
    """What all schedules share: those that look at losses override these."""

    def record(self, loss: Any) -> None:
        """Take note of an epoch's loss."""

    def state_dict(self) -> dict[str, Any]:
        """What was recorded."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""


class Gamma(Schedule):
    """One γ over epochs; constant until the warm-up ends.

    Args:
        total: epochs of the training.
        initial, final: γ at first and at last.
        warmup: epochs of constant γ; None: a thirtieth of the total.

    Raises:
        ConfigurationError: γ is negative, or the warm-up is negative or as long as the training.
    """

    def __init__(self, total: float, initial: float = 0.006, final: float = 0.001,
                 warmup: float | None = None) -> None:
        check(total, (initial, final))
        warmup = scaled(100, total) if warmup is None else warmup
        if not 0 <= warmup < total:
            raise ConfigurationError(f"a warm-up of {warmup:g} epochs does not fit a training of {total:g}",
                                     "give a shorter one")
        self.total, self.initial, self.final, self.warmup = total, initial, final, warmup

    def value(self, epoch: float) -> float:
        """γ of an epoch, which may lie within one (0.5)."""
        return self.initial if epoch < self.warmup else self.after_warmup(epoch)

    def after_warmup(self, epoch: float) -> float:
        """γ of an epoch that is not before the warm-up's end."""
        raise NotImplementedError

    def progress(self, epoch: float) -> float:
        """Share of the epochs after the warm-up that have passed, 1 at most."""
        return min((epoch - self.warmup) / (self.total - self.warmup), 1.0)


GAMMAS: Registry[type[Gamma]] = Registry("schedule of gamma")


@GAMMAS.register("linear")
class Linear(Gamma):
    """A straight line from the first γ to the last."""

    def after_warmup(self, epoch: float) -> float:
        return linear(self.initial, self.final, self.progress(epoch))


@GAMMAS.register("cosine")
class Cosine(Gamma):
    """Half a cosine from the first γ to the last."""

    def after_warmup(self, epoch: float) -> float:
        return cosine(self.initial, self.final, self.progress(epoch))


@GAMMAS.register("step")
class Step(Gamma):
    """γ times ``factor`` at each of ``epochs``, never below the last γ.

    Args:
        epochs: None: 1/3, 2/3 and 5/6 of the total.
        total, initial, final, warmup: see :class:`Gamma`.
    """

    published: tuple[int, ...] = (1000, 2000, 2500)

    def __init__(self, total: float, initial: float = 0.006, final: float = 0.001, warmup: float | None = None,
                 epochs: Sequence[float] | None = None, factor: float = 0.5) -> None:
        super().__init__(total, initial, final, warmup)
        self.epochs = [scaled(epoch, total) for epoch in self.published] if epochs is None else list(epochs)
        self.factor = factor

    def after_warmup(self, epoch: float) -> float:
        return max(self.final, self.initial * self.factor ** sum(start <= epoch for start in self.epochs))


@GAMMAS.register("hpcm")
class HPCMStep(Step):
    """Steps at 1/6, 1/2 and 11/12 of the total."""

    published = (500, 1500, 2750)

    def __init__(self, total: float, initial: float = 0.006, final: float = 0.0005, warmup: float | None = None,
                 epochs: Sequence[float] | None = None, factor: float = 0.5) -> None:
        super().__init__(total, initial, final, warmup, epochs, factor)


@GAMMAS.register("adaptive")
class Adaptive(Cosine):
    """The cosine, 20 % lower while the recorded losses hardly change, 20 % higher while they vary much.

    Args:
        window: losses that are looked at; with fewer it is the cosine.
        total, initial, final, warmup: see :class:`Gamma`.
    """

    def __init__(self, total: float, initial: float = 0.006, final: float = 0.001, warmup: float | None = None,
                 window: int = 50) -> None:
        super().__init__(total, initial, final, warmup)
        check_window(window)
        self.losses: deque[float] = deque(maxlen=window)

    def record(self, loss: float) -> None:
        self.losses.append(float(loss))

    def after_warmup(self, epoch: float) -> float:
        gamma = super().after_warmup(epoch)
        if len(self.losses) < self.losses.maxlen:
            return gamma
        variation = statistics.pstdev(self.losses) / (statistics.fmean(self.losses) + 1e-8)
        gamma *= 0.8 if variation < CALM else 1.2 if variation > LIVELY else 1.0
        return clamped(gamma, self.final, self.initial)

    def state_dict(self) -> dict[str, Any]:
        return {"losses": list(self.losses)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.losses = deque(state["losses"], maxlen=self.losses.maxlen)


def scaled(epoch: float, total: float) -> float:
    """An epoch of the published 3000 as one of a training of ``total``."""
    return epoch * total / PUBLISHED_TOTAL


def linear(first: float, last: float, share: float) -> float:
    """Straight line, ``share`` of the way."""
    return first - (first - last) * share


def cosine(first: float, last: float, share: float) -> float:
    """Half a cosine, ``share`` of the way."""
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


def clamped(gamma: float, final: float, initial: float) -> float:
    """γ between its last value and the ceiling over its first."""
    return min(max(gamma, final), CEILING * initial)


def check(total: float, gammas: Sequence[float]) -> None:
    """Refuse a training without epochs, and γ that are negative or not finite."""
    if not 0 < total < math.inf:
        raise ConfigurationError(f"a schedule of gamma needs a training of more than 0 epochs, not {total}")
    if not all(0 <= gamma < math.inf for gamma in gammas):
        raise ConfigurationError(f"gammas must be finite and not below 0, not {list(gammas)}")


def check_window(window: int) -> None:
    """Refuse a window that has no variation."""
    if window < 2:
        raise ConfigurationError(f"an adaptive schedule of gamma needs a window of two losses or more, not {window}")
