"""What the trainings of a search say: ranked within one λ, compared across λ by BD-rate.

Losses of different λ are different functions of the same quality and rate, so they are never compared.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.common.errors import ConfigurationError
from bench.metrics.rate.bdrate import BDResult, bd_rate
from bench.metrics.rate.curves import MINIMUM_POINTS, Curve
from bench.training.search.record import COMPLETE, Setting, Trial, describe_setting, make_setting

NOISE = 0.001  # relative difference of losses below which two settings are tied


@dataclass(frozen=True)
class RankedSetting:
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
class TrialsAtLambda:
    """All trials at one λ, and the settings of the complete ones, best first."""

    lambda_: float
    trials: tuple[Trial, ...]
    ranked: tuple[RankedSetting, ...]

    def of_state(self, *states: str) -> list[Trial]:
        """The trials that ended so."""
        return [trial for trial in self.trials if trial.state in states]

    @property
    def recommended(self) -> list[RankedSetting]:
        """The best setting and those tied with it, best first; empty where no trial is complete."""
        return [setting for setting in self.ranked if setting.rank == 1]


@dataclass(frozen=True)
class ComparedSetting:
    """A setting's curve over ``lambdas`` against the reference's over the same; ``rank`` None without a BD-rate."""

    setting: Setting
    lambdas: tuple[float, ...]
    result: BDResult
    rank: int | None


@dataclass(frozen=True)
class SearchAnalysis:
    """What a folder of trials says.

    Attributes:
        by_lambda: in order of λ.
        reference: the setting that others are compared with across λ, None where it is not known.
        compared: the settings with 4 or more λ, lowest BD-rate first.
        noise: relative difference of losses below which settings are tied.
        metric: what was trained for.
    """

    by_lambda: tuple[TrialsAtLambda, ...]
    reference: Setting | None
    compared: tuple[ComparedSetting, ...]
    noise: float
    metric: str

    @property
    def trials(self) -> list[Trial]:
        """All trials, in order of λ."""
        return [trial for group in self.by_lambda for trial in group.trials]


def analyse_trials(trials: Sequence[Trial], reference: Mapping[str, float] | None = None,
                   noise: float = NOISE) -> SearchAnalysis:
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
    _refuse_incomparable(trials)

    groups = defaultdict(list)
    for trial in trials:
        groups[trial.lambda_].append(trial)
    by_lambda = tuple(TrialsAtLambda(lambda_, tuple(groups[lambda_]), _rank_settings(groups[lambda_], noise))
                      for lambda_ in sorted(groups))

    own = {make_setting(trial.own) for trial in trials if trial.own}
    against = own.pop() if len(own) == 1 else None
    if reference is not None:
        against = make_setting(reference)

    metric = trials[0].metric
    compared = _compare_settings(by_lambda, against, noise) if against is not None and metric == "mse" else ()
    return SearchAnalysis(by_lambda, against, compared, noise, metric)


def _refuse_incomparable(trials: Sequence[Trial]) -> None:
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


def _rank_settings(trials: Sequence[Trial], noise: float) -> tuple[RankedSetting, ...]:
    """Settings by the mean loss of their complete trials, best first."""
    groups = defaultdict(list)
    for trial in trials:
        if trial.state == COMPLETE:
            groups[trial.setting].append((trial.loss, trial.bpp, trial.psnr_db))

    means = {setting: [statistics.fmean(column) for column in zip(*group)] for setting, group in groups.items()}
    order = sorted(means, key=lambda setting: (means[setting], setting))
    losses = [means[setting][0] for setting in order]
    ranks = _rank_values(losses, noise, relative=True)
    return tuple(RankedSetting(setting, rank, len(groups[setting]), loss, bpp, psnr_db, loss / losses[0] - 1)
                 for setting, rank, (loss, bpp, psnr_db) in zip(order, ranks, (means[setting] for setting in order)))


def _rank_values(values: Sequence[float], noise: float, relative: bool = False) -> list[int]:
    """Ranks of rising values, as in sports: those tied with the first of their group share its rank."""
    ranks: list[int] = []
    for place, value in enumerate(values, start=1):
        best = values[ranks[-1] - 1] if ranks else -math.inf
        is_tied = value == best or value - best < (noise * best if relative else noise)
        ranks.append(ranks[-1] if ranks and is_tied else place)
    return ranks


def _compare_settings(by_lambda: Sequence[TrialsAtLambda], reference: Setting,
                      noise: float) -> tuple[ComparedSetting, ...]:
    """Curves of settings against the reference's, each over the λ that both have; those without a number last."""
    points: dict[Setting, dict[float, RankedSetting]] = defaultdict(dict)
    for group in by_lambda:
        for ranked in group.ranked:
            points[ranked.setting][group.lambda_] = ranked
    base = points.pop(reference, {})

    compared = []
    for setting, own in points.items():
        lambdas = tuple(sorted(own.keys() & base.keys()))
        if len(lambdas) >= MINIMUM_POINTS:
            result = bd_rate(_make_curve(base, lambdas, reference), _make_curve(own, lambdas, setting))
            compared.append(ComparedSetting(setting, lambdas, result, None))

    without = sorted((other for other in compared if other.result.value is None), key=lambda other: other.setting)
    numbers = sorted((other.result.value, other.setting, other) for other in compared if other.result.value is not None)
    ranks = _rank_values([value for value, *_ in numbers], 100 * noise)
    return (*(replace(other, rank=rank) for (*_, other), rank in zip(numbers, ranks)), *without)


def _make_curve(points: Mapping[float, RankedSetting], lambdas: Sequence[float], setting: Setting) -> Curve:
    return Curve([points[lambda_].bpp for lambda_ in lambdas], [points[lambda_].psnr_db for lambda_ in lambdas],
                 describe_setting(setting))
