"""What the trainings of a search say: ranked within one λ, compared across λ by BD-rate.

Losses of different λ are different functions of the same quality and rate, so they are never compared.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.common.errors import ConfigurationError
from bench.metrics.rate.bdrate import BDResult, bd_rate
from bench.metrics.rate.curves import MINIMUM_POINTS, Curve
from bench.training.search.record import COMPLETE, FAILED, PRUNED, Setting, Trial, setting_of, told

NOISE = 0.001  # relative difference of losses below which two settings are tied


@dataclass(frozen=True)
class Ranked:
    """A setting at one λ, by its complete trials.

    Attributes:
        rank: 1 for the best; tied settings share the best rank among them.
        runs: complete trials that the means below are over.
        loss, bpp, psnr_db: means.
        excess: relative difference of ``loss`` from the best setting's.
    """

    setting: Setting
    rank: int
    runs: int
    loss: float
    bpp: float
    psnr_db: float
    excess: float


@dataclass(frozen=True)
class AtLambda:
    """All trials at one λ: ``ranked``, best first, and those that can't be."""

    lambda_: float
    ranked: tuple[Ranked, ...]
    pruned: tuple[Trial, ...]
    failed: tuple[Trial, ...]

    @property
    def runs(self) -> int:
        return sum(one.runs for one in self.ranked) + len(self.pruned) + len(self.failed)

    @property
    def recommended(self) -> tuple[Ranked, ...]:
        """The best setting and those tied with it, best first; empty where no trial is complete."""
        return tuple(one for one in self.ranked if one.rank == 1)


@dataclass(frozen=True)
class Compared:
    """A setting's curve over ``lambdas`` against the reference's over the same; ``rank`` None without a BD-rate."""

    setting: Setting
    lambdas: tuple[float, ...]
    result: BDResult
    rank: int | None


@dataclass(frozen=True)
class Analysis:
    """What a folder of trials says.

    Attributes:
        by_lambda: in order of λ.
        reference: the setting that others are compared with across λ, None where it is not known.
        compared: the settings with 4 or more λ, lowest BD-rate first.
        noise: relative difference of losses below which settings are tied.
        metric: what was trained for.
    """

    by_lambda: tuple[AtLambda, ...]
    reference: Setting | None
    compared: tuple[Compared, ...]
    noise: float
    metric: str

    @property
    def runs(self) -> int:
        return sum(one.runs for one in self.by_lambda)


def analyse(trials: Sequence[Trial], reference: Mapping[str, float] | None = None,
            noise: float = NOISE) -> Analysis:
    """Rank settings within each λ, and compare them across λ.

    Args:
        trials: of one variant; those at one λ from trainings that differ in the parameters and the seed alone.
        reference: setting to compare with across λ; None for the recipe's own.
        noise: relative difference of losses below which two settings are tied, for BD-rates the same in percent.

    Raises:
        ConfigurationError: the trials can't be compared, or ``noise`` is negative.
    """
    if not 0 <= noise < math.inf:
        raise ConfigurationError(f"the noise of losses must be 0 or more, not {noise}")
    _comparable(trials)
    groups = defaultdict(list)
    for trial in trials:
        groups[trial.lambda_].append(trial)
    by_lambda = tuple(_at_lambda(lambda_, groups[lambda_], noise) for lambda_ in sorted(groups))
    if reference is None:
        owns = {setting_of(trial.own) for trial in trials if trial.own}
        against = owns.pop() if len(owns) == 1 else None
    else:
        against = setting_of(reference)
    metric = trials[0].metric if trials else "mse"
    compared = _compare(by_lambda, against, noise) if against is not None and metric == "mse" else ()
    return Analysis(by_lambda, against, compared, noise, metric)


def _comparable(trials: Sequence[Trial]) -> None:
    variants = sorted({f"{trial.variant} ({trial.metric})" for trial in trials})
    if len(variants) > 1:
        raise ConfigurationError(f"the trials are of several variants: {', '.join(variants)}",
                                 "analyse a folder with those of one")
    first: dict[float, Trial] = {}
    for trial in trials:
        other = first.setdefault(trial.lambda_, trial)
        if (other.training, other.parameters.keys()) != (trial.training, trial.parameters.keys()):
            raise ConfigurationError(
                f"{other.place} and {trial.place} are trainings at λ {trial.lambda_:g} that differ in more than the"
                " values searched (recipe, steps or held-out images), so their losses can't be compared",
                "analyse their folders apart")


def _at_lambda(lambda_: float, trials: Sequence[Trial], noise: float) -> AtLambda:
    groups = defaultdict(list)
    for trial in trials:
        if trial.state == COMPLETE:
            groups[trial.setting].append(trial)
    means = sorted((*(math.fsum(getattr(trial, name) for trial in group) / len(group)
                      for name in ("loss", "bpp", "psnr_db")), setting, len(group))
                   for setting, group in groups.items())
    ranks = _ranks([loss for loss, *_ in means], lambda best, loss: loss - best < noise * best)
    ranked = tuple(Ranked(setting, rank, runs, loss, bpp, psnr_db, loss / means[0][0] - 1)
                   for rank, (loss, bpp, psnr_db, setting, runs) in zip(ranks, means))
    rest = {state: tuple(trial for trial in trials if trial.state == state) for state in (PRUNED, FAILED)}
    return AtLambda(lambda_, ranked, rest[PRUNED], rest[FAILED])


def _ranks(values: Sequence[float], tied: Callable[[float, float], bool]) -> list[int]:
    """Ranks of rising values, as in sports: those tied with the first of their group share its rank."""
    ranks: list[int] = []
    for number, value in enumerate(values):
        same = number > 0 and (value == values[ranks[-1] - 1] or tied(values[ranks[-1] - 1], value))
        ranks.append(ranks[-1] if same else number + 1)
    return ranks


def _compare(by_lambda: Sequence[AtLambda], reference: Setting, noise: float) -> tuple[Compared, ...]:
    """Curves of settings against the reference's, each over the λ that both have."""
    points: dict[Setting, dict[float, Ranked]] = defaultdict(dict)
    for group in by_lambda:
        for one in group.ranked:
            points[one.setting][group.lambda_] = one
    base = points.get(reference, {})
    found = []
    for setting, own in points.items():
        lambdas = tuple(sorted(own.keys() & base.keys()))
        if setting != reference and len(lambdas) >= MINIMUM_POINTS:
            result = bd_rate(_curve(base, lambdas, reference), _curve(own, lambdas, setting))
            found.append((setting, lambdas, result))
    numbers = sorted((one for one in found if one[2].value is not None), key=lambda one: one[2].value)
    without = sorted((one for one in found if one[2].value is None), key=lambda one: one[0])
    ranks = _ranks([result.value for *_, result in numbers], lambda best, value: value - best < 100 * noise)
    return (*(Compared(*one, rank) for one, rank in zip(numbers, ranks)), *(Compared(*one, None) for one in without))


def _curve(points: Mapping[float, Ranked], lambdas: Sequence[float], setting: Setting) -> Curve:
    return Curve([points[one].bpp for one in lambdas], [points[one].psnr_db for one in lambdas], told(setting))
