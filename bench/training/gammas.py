"""Schedules of γ, which pulls the logits of task weights towards 0 (LIC-HPCM-Balanced, phases 2 and 3).

``GAMMAS`` has schedules of one γ, ``SCALE_GAMMAS`` of three, for the rates of the scales. Published warm-ups and
breakpoints are epochs of trainings of 3000; here they scale with the total, unless they are given.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Sequence
from typing import Any

from bench.errors import ConfigurationError
from bench.registry import Registry

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
        _check(total, (initial, final))
        warmup = _scaled(100, total) if warmup is None else warmup
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
        return _linear(self.initial, self.final, self.progress(epoch))


@GAMMAS.register("cosine")
class Cosine(Gamma):
    """Half a cosine from the first γ to the last."""

    def after_warmup(self, epoch: float) -> float:
        return _cosine(self.initial, self.final, self.progress(epoch))


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
        self.epochs = [_scaled(epoch, total) for epoch in self.published] if epochs is None else list(epochs)
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
        _check_window(window)
        self.losses: deque[float] = deque(maxlen=window)

    def record(self, loss: float) -> None:
        self.losses.append(float(loss))

    def after_warmup(self, epoch: float) -> float:
        gamma = super().after_warmup(epoch)
        if len(self.losses) < self.losses.maxlen:
            return gamma
        variation = statistics.pstdev(self.losses) / (statistics.fmean(self.losses) + 1e-8)
        gamma *= 0.8 if variation < CALM else 1.2 if variation > LIVELY else 1.0
        return _clamped(gamma, self.final, self.initial)

    def state_dict(self) -> dict[str, Any]:
        return {"losses": list(self.losses)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.losses = deque(state["losses"], maxlen=self.losses.maxlen)


class ScaleGammas(Schedule):
    """γ of the three scales over epochs; the last is half of the first.

    Args:
        total: epochs of the training.
        initial: γ of s1, s2 and s3 at first.

    Raises:
        ConfigurationError: γ is negative, not three, or there are no epochs.
    """

    def __init__(self, total: float, initial: Sequence[float] = (0.008, 0.006, 0.004)) -> None:
        _check(total, initial)
        if len(initial) != 3:
            raise ConfigurationError(f"gammas of three scales must be three, not {list(initial)}")
        self.total, self.initial = total, tuple(initial)
        self.final = tuple(0.5 * gamma for gamma in initial)

    def values(self, epoch: float) -> tuple[float, float, float]:
        """γ of s1, s2 and s3 in an epoch, which may lie within one (0.5)."""
        raise NotImplementedError


SCALE_GAMMAS: Registry[type[ScaleGammas]] = Registry("schedule of the scales' gammas")


@SCALE_GAMMAS.register("fixed")
class FixedScales(ScaleGammas):
    """The first γ for ever."""

    def values(self, epoch: float) -> tuple[float, float, float]:
        return self.initial


@SCALE_GAMMAS.register("linear")
class LinearScales(ScaleGammas):
    """Straight lines down to half."""

    def values(self, epoch: float) -> tuple[float, float, float]:
        return tuple(_linear(*ends, min(epoch / self.total, 1.0)) for ends in zip(self.initial, self.final))


@SCALE_GAMMAS.register("cosine")
class CosineScales(ScaleGammas):
    """Half cosines down to half."""

    def values(self, epoch: float) -> tuple[float, float, float]:
        return tuple(_cosine(*ends, min(epoch / self.total, 1.0)) for ends in zip(self.initial, self.final))


@SCALE_GAMMAS.register("adaptive")
class AdaptiveScales(ScaleGammas):
    """Each γ falls by 5 % an epoch while its scale's losses hardly change, and rises by 2 % while they vary much.

    Args:
        window: losses that are looked at; nothing changes until more are recorded.
        total, initial: see :class:`ScaleGammas`.
    """

    def __init__(self, total: float, initial: Sequence[float] = (0.008, 0.006, 0.004), window: int = 50) -> None:
        super().__init__(total, initial)
        _check_window(window)
        self.current, self.recorded = self.initial, 0
        self.losses: deque[tuple[float, ...]] = deque(maxlen=window)

    def record(self, loss: Sequence[float]) -> None:
        """Take note of an epoch's losses of s1, s2 and s3."""
        self.losses.append(tuple(float(part) for part in loss))
        self.recorded += 1
        if self.recorded > self.losses.maxlen:
            self.current = tuple(self._moved(*of_scale)
                                 for of_scale in zip(self.current, self.initial, self.final, zip(*self.losses)))

    def _moved(self, gamma: float, initial: float, final: float, losses: tuple[float, ...]) -> float:
        variation = statistics.stdev(losses) / (statistics.fmean(losses) + 1e-8)
        gamma *= 0.95 if variation < CALM else 1.02 if variation > LIVELY else 1.0
        return _clamped(gamma, final, initial)

    def values(self, epoch: float) -> tuple[float, float, float]:
        return self.current

    def state_dict(self) -> dict[str, Any]:
        return {"losses": [list(losses) for losses in self.losses], "current": list(self.current),
                "recorded": self.recorded}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.losses = deque(map(tuple, state["losses"]), maxlen=self.losses.maxlen)
        self.current, self.recorded = tuple(state["current"]), state["recorded"]


@SCALE_GAMMAS.register("hierarchical")
class HierarchicalScales(ScaleGammas):
    """s1 first, then s2, then s3: multiples of the first γ, linear between breakpoints, then constant.

    Args:
        extrapolate: after the last breakpoint go on along the last line, as published: there γ turns negative.
        total, initial: see :class:`ScaleGammas`.
    """

    breakpoints = (  # epoch of 3000, multiples of s1, s2, s3
        (0, (1.0, 0.8, 0.6)), (300, (1.2, 0.8, 0.6)), (1500, (0.9, 1.1, 1.0)), (2500, (0.7, 0.8, 1.1)),
        (3000, (0.5, 0.5, 1.3)),
    )

    def __init__(self, total: float, initial: Sequence[float] = (0.008, 0.006, 0.004),
                 extrapolate: bool = False) -> None:
        super().__init__(total, initial)
        self.extrapolate = extrapolate

    def values(self, epoch: float) -> tuple[float, float, float]:
        place = epoch * PUBLISHED_TOTAL / self.total
        if not self.extrapolate:
            place = min(place, PUBLISHED_TOTAL)
        pieces = list(zip(self.breakpoints, self.breakpoints[1:]))
        (start, low), (end, high) = next((piece for piece in pieces if place < piece[1][0]), pieces[-1])
        share = (place - start) / (end - start)
        return tuple(gamma * _linear(a, b, share) for gamma, a, b in zip(self.initial, low, high))


def _scaled(epoch: float, total: float) -> float:
    return epoch * total / PUBLISHED_TOTAL


def _linear(first: float, last: float, share: float) -> float:
    return first - (first - last) * share


def _cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


def _clamped(gamma: float, final: float, initial: float) -> float:
    return min(max(gamma, final), CEILING * initial)


def _check(total: float, gammas: Sequence[float]) -> None:
    if not 0 < total < math.inf:
        raise ConfigurationError(f"a schedule of gamma needs a training of more than 0 epochs, not {total}")
    if not all(0 <= gamma < math.inf for gamma in gammas):
        raise ConfigurationError(f"gammas must be finite and not below 0, not {list(gammas)}")


def _check_window(window: int) -> None:
    if window < 2:
        raise ConfigurationError(f"an adaptive schedule of gamma needs a window of two losses or more, not {window}")
