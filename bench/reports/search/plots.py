"""Optuna's figures of a search's RD costs, and its importances."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import optuna
import optuna.visualization.matplotlib as optuna_plots
from matplotlib.figure import Figure as Canvas
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import create_trial

from bench.reports.page.figures import WIDE, Figure, Layout
from bench.training.search.record import COMPLETE
from bench.training.search.trials import SearchAnalysis, TrialsAtLambda

FEWEST_TRIALS = 4  # complete ones, for importances to say something


Outcome = tuple[Mapping[str, float], float]  # parameters of a complete trial, and its RD cost


@dataclass(frozen=True)
class SearchPlot:
    """All that one plot shows: "slice" or "contour" of some parameters."""

    kind: str
    parameters: tuple[str, ...]
    outcomes: tuple[Outcome, ...]


def make_study(outcomes: Sequence[Outcome]) -> optuna.Study:
    """Complete trials at one λ as Optuna's plots take them."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    values = {name: [parameters[name] for parameters, _ in outcomes] for name in outcomes[0][0]}
    distributions: dict[str, BaseDistribution] = {
        name: FloatDistribution(min(found), max(found), log=True) for name, found in values.items()}
    study.add_trials([create_trial(params=dict(parameters), distributions=distributions, value=loss)
                      for parameters, loss in outcomes])
    return study


def list_outcomes(group: TrialsAtLambda) -> tuple[Outcome, ...]:
    """The complete trials at one λ."""
    return tuple((trial.parameters, trial.loss) for trial in group.of_state(COMPLETE) if trial.loss is not None)


def find_importances(group: TrialsAtLambda) -> dict[str, float]:
    """Share of each parameter in what sets the best trials at one λ apart, by PED-ANOVA; empty for few trials."""
    if len(group.of_state(COMPLETE)) < FEWEST_TRIALS or not _varied_parameters(group):
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return optuna.importance.get_param_importances(make_study(list_outcomes(group)), evaluator=evaluator,
                                                   params=_varied_parameters(group))


def list_figures(analysis: SearchAnalysis) -> Iterator[Figure]:
    """RD cost over each parameter, and over each two of them, at each λ."""
    for group in analysis.by_lambda:
        parameters, point = _varied_parameters(group), f"{group.lambda_:g}".replace(".", "_")
        if parameters:
            yield _plot_parameters("slice", f"slice_{point}", group, parameters,
                                   f"λ {group.lambda_:g}: RD cost over each parameter, a dot a complete trial.")
        if len(parameters) > 1:
            yield _plot_parameters("contour", f"contour_{point}", group, parameters,
                                   f"λ {group.lambda_:g}: RD cost over pairs of parameters, interpolated between"
                                   " complete trials (dots).")


def _varied_parameters(group: TrialsAtLambda) -> list[str]:
    """Parameters of which the complete trials have several values."""
    trials = group.of_state(COMPLETE)
    names = trials[0].parameters if trials else {}
    return [name for name in names if len({trial.parameters[name] for trial in trials}) > 1]


def _plot_parameters(kind: str, name: str, group: TrialsAtLambda, parameters: list[str], caption: str) -> Figure:
    return Figure(name, caption, _draw_plot, SearchPlot(kind, tuple(parameters), list_outcomes(group)), (WIDE,))


def _draw_plot(plot: SearchPlot, layout: Layout) -> Canvas:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        draw = getattr(optuna_plots, f"plot_{plot.kind}")
        axes = draw(make_study(plot.outcomes), params=list(plot.parameters), target_name="RD cost")
    canvas = np.ravel(axes)[0].figure
    plt.close(canvas)  # which pyplot would keep
    canvas.set_size_inches(layout.width,
                           layout.axes_height * (1 if len(plot.parameters) < 3 or plot.kind == "slice" else 2))
    canvas.subplots_adjust(bottom=0.18)
    return canvas
