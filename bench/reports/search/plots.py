"""Optuna's figures of a search's RD costs as bytes, and its importances; the same trials give the same bytes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import optuna
import optuna.visualization.matplotlib as optuna_plots
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import create_trial

from bench.reports.page.canvas import WIDE, Figure, open_canvas, save_figure
from bench.training.search.record import COMPLETE
from bench.training.search.trials import SearchAnalysis, TrialsAtLambda

FEWEST_TRIALS = 4  # complete ones, for importances to say something


def make_study(group: TrialsAtLambda) -> optuna.Study:
    """The complete trials at one λ as Optuna's plots take them."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study, trials = optuna.create_study(), group.of_state(COMPLETE)
    values = {name: [trial.parameters[name] for trial in trials] for name in trials[0].parameters}
    distributions: dict[str, BaseDistribution] = {
        name: FloatDistribution(min(found), max(found), log=True) for name, found in values.items()}
    study.add_trials([create_trial(params=trial.parameters, distributions=distributions, value=trial.loss)
                      for trial in trials])
    return study


def find_importances(group: TrialsAtLambda) -> dict[str, float]:
    """Share of each parameter in what sets the best trials at one λ apart, by PED-ANOVA; empty for few trials."""
    if len(group.of_state(COMPLETE)) < FEWEST_TRIALS or not _varied_parameters(group):
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return optuna.importance.get_param_importances(make_study(group), evaluator=evaluator,
                                                   params=_varied_parameters(group))


def draw_figures(analysis: SearchAnalysis) -> Iterator[Figure]:
    """RD cost over each parameter, and over each two of them, at each λ."""
    for group in analysis.by_lambda:
        parameters, point = _varied_parameters(group), f"{group.lambda_:g}".replace(".", "_")
        if parameters:
            yield _draw_figure("slice", f"slice_{point}", group, parameters,
                               f"λ {group.lambda_:g}: RD cost over each parameter, a dot a complete trial.")
        if len(parameters) > 1:
            yield _draw_figure("contour", f"contour_{point}", group, parameters,
                               f"λ {group.lambda_:g}: RD cost over pairs of parameters, interpolated between complete"
                               " trials (dots).")


def _varied_parameters(group: TrialsAtLambda) -> list[str]:
    """Parameters of which the complete trials have several values."""
    trials = group.of_state(COMPLETE)
    names = trials[0].parameters if trials else {}
    return [name for name in names if len({trial.parameters[name] for trial in trials}) > 1]


def _draw_figure(kind: str, name: str, group: TrialsAtLambda, parameters: list[str], caption: str) -> Figure:
    with open_canvas(name, WIDE), warnings.catch_warnings():  # for its settings; Optuna has a canvas of its own
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        axes = getattr(optuna_plots, f"plot_{kind}")(make_study(group), params=parameters, target_name="RD cost")
        canvas = np.ravel(axes)[0].figure
        canvas.set_size_inches(WIDE.width, WIDE.axes_height * (1 if len(parameters) < 3 or kind == "slice" else 2))
        canvas.subplots_adjust(bottom=0.18)
        try:
            return save_figure(canvas, f"{name}_{WIDE.name}", caption)
        finally:
            plt.close(canvas)
