"""Schedules of γ of the three scales (LIC-HPCM-Balanced, phase 3): one value for the rate of each.

Published breakpoints are epochs of trainings of 3000; here they scale with the total.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Sequence
from typing import Any

from bench.common.errors import ConfigurationError
from bench.common.registry import Registry
from bench.training.balance.gammas import (
    CALM,
    LIVELY,
    PUBLISHED_TOTAL,
    Schedule,
    check,
    check_window,
    clamped,
    cosine,
    linear,
)


class ScaleGammas(Schedule):
    """γ of the three scales over epochs; the last is half of the first.

    Args:
        total: epochs of the training.
        initial: γ of s1, s2 and s3 at first.

    Raises:
        ConfigurationError: γ is negative, not three, or there are no epochs.
    """

    def __init__(self, total: float, initial: Sequence[float] = (0.008, 0.006, 0.004)) -> None:
        check(total, initial)
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
        return tuple(linear(*ends, min(epoch / self.total, 1.0)) for ends in zip(self.initial, self.final))


@SCALE_GAMMAS.register("cosine")
class CosineScales(ScaleGammas):
    """Half cosines down to half."""

    def values(self, epoch: float) -> tuple[float, float, float]:
        return tuple(cosine(*ends, min(epoch / self.total, 1.0)) for ends in zip(self.initial, self.final))


@SCALE_GAMMAS.register("adaptive")
class AdaptiveScales(ScaleGammas):
    """Each γ falls by 5 % an epoch while its scale's losses hardly change, and rises by 2 % while they vary much.

    Args:
        window: losses that are looked at; nothing changes until more are recorded.
        total, initial: see :class:`ScaleGammas`.
    """

    def __init__(self, total: float, initial: Sequence[float] = (0.008, 0.006, 0.004), window: int = 50) -> None:
        super().__init__(total, initial)
        check_window(window)
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
        return clamped(gamma, final, initial)

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
        return tuple(gamma * linear(a, b, share) for gamma, a, b in zip(self.initial, low, high))
