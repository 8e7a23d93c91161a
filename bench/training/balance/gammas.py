"""Schedules of γ, which pulls the logits of task weights towards 0 (LIC-HPCM-Balanced, phases 2 and 3, corrected).

Published warm-ups and breakpoints are epochs of trainings of 3000; here they scale with the length of the training.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.common.errors import ConfigurationError
from bench.common.registry import Registry
from bench.training.losses import SCALES
from bench.training.recipes import Recipe
from bench.training.state import Stateful

PUBLISHED_TOTAL = 3000
WARMUP = 100  # of the published epochs
FINAL_SHARE = 0.2  # last γ over the first, as LIC-HPCM-Balanced's command line has it
HPCM_GAMMAS = (0.006, 0.0005)  # first and last γ of the schedule "hpcm", which has its own
FINAL_SHARE_OF_SCALES = 0.5
CALM, LIVELY = 0.01, 0.05  # coefficients of variation of losses that adaptive schedules react to
CEILING = 1.5  # largest γ of adaptive schedules, over the first

Gammas = tuple[float, ...]  # one for each task


class GammaSchedule(Stateful):
    """γ of each task over a training: straight lines from the first values to the last, after a warm-up.

    Args:
        total: steps of the training.
        first, last: γ of each task, at first and at last.
        warmup: published epochs in which γ stays.

    Attributes:
        needs_rates: whether :meth:`record` needs the rates of the scales.
    """

    needs_rates = False

    def __init__(self, total: float, first: Gammas, last: Gammas, warmup: float = 0) -> None:
        self.total, self.first, self.last = total, first, last
        self.warmup = self.scale_epoch(warmup)

    def scale_epoch(self, epoch: float) -> float:
        """An epoch of the published 3000 as a step of this training."""
        return epoch * self.total / PUBLISHED_TOTAL

    def values(self, step: float) -> Gammas:
        """γ of each task at a step."""
        share = min((step - self.warmup) / (self.total - self.warmup), 1.0)
        if share < 0:
            return self.first
        return tuple(self.interpolate(first, last, share) for first, last in zip(self.first, self.last))

    @staticmethod
    def interpolate(first: float, last: float, share: float) -> float:
        """What lies between two γ, ``share`` of the way."""
        return first - (first - last) * share

    def record(self, validated: Mapping[str, Any]) -> None:
        """Take note of a validation."""


class CosineGammas(GammaSchedule):
    """Half cosines from the first values to the last."""

    @staticmethod
    def interpolate(first: float, last: float, share: float) -> float:
        return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


class SteppedGammas(GammaSchedule):
    """γ halves at 1/3, 2/3 and 5/6 of the training, never below the last value."""

    published_epochs: tuple[int, ...] = (1000, 2000, 2500)

    def values(self, step: float) -> Gammas:
        halvings = sum(self.scale_epoch(epoch) <= step for epoch in self.published_epochs)
        return tuple(max(last, first * 0.5**halvings) for first, last in zip(self.first, self.last))


class HPCMGammas(SteppedGammas):
    """γ halves at 1/6, 1/2 and 11/12 of the training."""

    published_epochs = (500, 1500, 2750)


class AdaptiveGammas(CosineGammas):
    """The cosine, 20 % lower while the last 50 losses hardly change, 20 % higher while they vary much."""

    SAVED, window = ("losses",), 50
    losses: Sequence[float] = ()

    def record(self, validated: Mapping[str, Any]) -> None:
        self.losses = [*self.losses, float(validated["loss"])][-self.window:]

    def values(self, step: float) -> Gammas:
        gammas = super().values(step)
        if step < self.warmup or len(self.losses) < self.window:
            return gammas

        factor = _react(statistics.pstdev(self.losses), self.losses, 0.8, 1.2)
        return tuple(_clamp(gamma * factor, first, last)
                     for gamma, first, last in zip(gammas, self.first, self.last))


class AdaptiveScaleGammas(GammaSchedule):
    """γ of each scale falls by 5 % a validation while its last 50 rates hardly change, and rises by 2 % while they vary
    much; nothing changes before."""

    SAVED, needs_rates, window = ("rates", "gammas"), True, 50
    rates: Sequence[Sequence[float]] = ()
    gammas: Sequence[float] = ()  # empty before the first change

    def record(self, validated: Mapping[str, Any]) -> None:
        is_full = len(self.rates) == self.window
        self.rates = [*self.rates, [float(validated["rates"][scale]) for scale in SCALES]][-self.window:]
        if not is_full:
            return

        gammas = list(self.values(0))
        for task, of_scale in enumerate(zip(*self.rates), start=1):  # the first task is distortion
            factor = _react(statistics.stdev(of_scale), of_scale, 0.95, 1.02)
            gammas[task] = _clamp(gammas[task] * factor, self.first[task], self.last[task])
        self.gammas = gammas

    def values(self, step: float) -> Gammas:
        return tuple(self.gammas or self.first)


class HierarchicalGammas(GammaSchedule):
    """γ of s1 first, then of s2, then of s3: multiples of the first γ, linear between breakpoints, then constant."""

    breakpoints = (  # published epoch, multiples of D, s1, s2, s3 and z
        (0, (1.0, 1.0, 0.8, 0.6, 1.0)), (300, (1.0, 1.2, 0.8, 0.6, 1.0)), (1500, (1.0, 0.9, 1.1, 1.0, 1.0)),
        (2500, (1.0, 0.7, 0.8, 1.1, 1.0)), (3000, (1.0, 0.5, 0.5, 1.3, 1.0)),
    )

    def values(self, step: float) -> Gammas:
        epoch = min(step * PUBLISHED_TOTAL / self.total, PUBLISHED_TOTAL)
        pieces = list(zip(self.breakpoints, self.breakpoints[1:]))
        (start, low), (end, high) = next((piece for piece in pieces if epoch < piece[1][0]), pieces[-1])

        share = (epoch - start) / (end - start)
        return tuple(gamma * self.interpolate(a, b, share) for gamma, a, b in zip(self.first, low, high))


RATE_SCHEDULES: Registry[type[GammaSchedule]] = Registry("schedule of gamma", {
    "linear": GammaSchedule, "cosine": CosineGammas, "step": SteppedGammas, "hpcm": HPCMGammas,
    "adaptive": AdaptiveGammas,
})
SCALE_SCHEDULES: Registry[type[GammaSchedule]] = Registry("schedule of the scales' gammas", {
    "fixed": GammaSchedule, "linear": GammaSchedule, "cosine": CosineGammas, "adaptive": AdaptiveScaleGammas,
    "hierarchical": HierarchicalGammas,
})


def make_gamma_schedule(recipe: Recipe, total: int) -> GammaSchedule:
    """The schedule that a balanced recipe names, over ``total`` steps: of one γ, or of those of the three scales.

    Raises:
        ConfigurationError: there is no such schedule for the recipe's tasks, or it is of one γ and the recipe of more.
    """
    name, gammas = recipe.gamma_schedule, recipe.gammas
    if recipe.tasks == "scales":
        distortion, *scales, z = gammas if isinstance(gammas, Sequence) else [gammas] * (len(SCALES) + 2)
        share = 1 if name == "fixed" else FINAL_SHARE_OF_SCALES
        lower = [share * gamma for gamma in scales]
        return SCALE_SCHEDULES.get(name)(total, (distortion, *scales, z), (distortion, *lower, z))

    kind = RATE_SCHEDULES.get(name)
    if isinstance(gammas, Sequence):
        raise ConfigurationError(f"the schedule '{name}' is of one gamma, not of {len(gammas)}",
                                 "give one, or choose no schedule")
    first, last = HPCM_GAMMAS if name == "hpcm" else (gammas, FINAL_SHARE * gammas)
    return kind(total, (first, first), (last, last), WARMUP)


def _react(deviation: float, losses: Sequence[float], calm: float, lively: float) -> float:
    """Factor of γ for losses that hardly change, that vary much, or neither."""
    variation = deviation / (statistics.fmean(losses) + 1e-8)
    if variation < CALM:
        return calm
    return lively if variation > LIVELY else 1.0


def _clamp(gamma: float, first: float, last: float) -> float:
    """γ between its last value and the ceiling over its first."""
    return min(max(gamma, last), CEILING * first)
