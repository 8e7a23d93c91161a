"""Early stopping against recorded runs of the published code, and against a plain simulation of the rules."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.training.early_stopping import EarlyStopping, Stopping
from bench.training.recipes import Recipe

CASES = json.loads((Path(__file__).parent / "reference" / "balanced.json").read_text())["early_stopping"]
PLAIN, ADAPTIVE = (next(case for case in CASES if case["adaptive"] is adaptive) for adaptive in (False, True))
SCALES = ("s1", "s2", "s3")


def by_scale(patience, on_converged=None):
    return Stopping(Recipe(scale_patience=patience), on_converged)


def validations(metrics):
    return [{"loss": 1.0, "rates": dict(zip(metrics, scores))} for scores in zip(*metrics.values())]


def run(stopping, metrics):
    """Epochs at which the scales converge (None: never), and patiences after each epoch by scale."""
    stop_epochs, patiences = dict.fromkeys(metrics), []
    for epoch, validated in enumerate(validations(metrics)):
        stopping.record(validated)
        for scale, rule in stopping.by_scale.items():
            if rule.stopped and stop_epochs[scale] is None:
                stop_epochs[scale] = epoch
        patiences.append([rule.patience for rule in stopping.by_scale.values()])
    return stop_epochs, patiences


def test_fixed_patience_is_the_recorded_one():
    for number, (scale, scores) in enumerate(PLAIN["metrics"].items()):
        rule, epochs = EarlyStopping(PLAIN["patience"]), []
        for epoch, score in enumerate(scores):
            epochs.append(epoch)
            if rule.record(score):
                break
        assert (epochs[-1] if rule.stopped else None) == PLAIN["stop_epoch"][number]
        assert rule.counter == PLAIN["counters"][scale] == epochs[-1] - PLAIN["best_epochs"][scale]
        assert rule.best == pytest.approx(PLAIN["best_scores"][scale], abs=1e-10, rel=0)


def simulated(scores, patience, adaptive=True):
    """The corrected rule for one scale, written out: (epoch of the stop or None, patience after each epoch)."""
    best, since, gains, patiences, stopped = None, 0, [], [], None
    for epoch, score in enumerate(scores):
        if stopped is None:
            if best is not None:
                gains.append(best - score)
                recent = np.array(gains[-10:])
                if recent.size >= 5 and 0 < recent.mean() < 0.01:
                    patience = min(200, patience + 20)
            if best is None or best - score > 1e-4:
                best, since = score, 0
            else:
                since += 1
            stopped = epoch if since >= patience else None
        patiences.append(patience)
    return stopped, patiences


def test_a_patience_that_all_scales_share_is_the_recorded_fault():
    """The published class has one patience for all scales, so three of them add 60 in one epoch; ours add 20 each."""
    scores, best, patience, recorded = ADAPTIVE["metrics"], {}, ADAPTIVE["patience"], []
    gains = {scale: [] for scale in scores}
    for row in zip(*scores.values()):
        for scale, score in zip(scores, row):
            if scale in best:
                gains[scale] = [*gains[scale], best[scale] - score][-10:]
                if len(gains[scale]) >= 5 and 0 < np.mean(gains[scale]) < 0.01:
                    patience = min(200, patience + 20)
            if best.get(scale, np.inf) - score > 1e-4:
                best[scale] = score
        recorded.append(patience)
    assert recorded == ADAPTIVE["patience_by_epoch"] and max(np.diff(recorded)) == 60
    assert max(np.diff(run(by_scale(ADAPTIVE["patience"]), ADAPTIVE["metrics"])[1], axis=0).max(axis=0)) == 20


@pytest.mark.parametrize("patience", [3, 8])
def test_each_scale_has_a_patience_of_its_own(patience):
    metrics = ADAPTIVE["metrics"]
    stopping = by_scale(patience)
    stop_epochs, patiences = run(stopping, metrics)
    expected = {scale: simulated(scores, patience) for scale, scores in metrics.items()}
    assert stop_epochs == {scale: stop for scale, (stop, _) in expected.items()}
    assert list(map(list, zip(*patiences))) == [values for _, values in expected.values()]
    assert stopping.stopped == (None not in stop_epochs.values())


def test_a_scale_does_not_lengthen_the_patience_of_another():
    slow = [1 - 0.005 * epoch for epoch in range(30)]  # gains of 0.005: within the adaptive rule
    stopping = by_scale(4)
    stop_epochs, _ = run(stopping, {"s1": slow, "s2": [1.0] * 30, "s3": slow})
    assert stop_epochs == {"s1": None, "s2": 4, "s3": None} and not stopping.stopped
    assert stopping.by_scale["s2"].patience == 4 and stopping.by_scale["s1"].patience == 200


@pytest.mark.parametrize("scores, stop", [
    ([1, 0.9, 0.89995, 0.9, 0.8], 3), ([1, 0.9, 0.8, 0.7, 0.6], None), ([-1, -1.5, -1.2, -1.4], 3),
])
def test_only_improvements_beyond_the_least_gain_count(scores, stop):
    rule = EarlyStopping(2)
    stops = [rule.record(score) for score in scores]
    assert (stops.index(True) if True in stops else None) == stop


def test_scores_that_are_not_finite_never_improve():
    rule = EarlyStopping(3)
    assert not any(rule.record(score) for score in (float("nan"), -float("inf"), 2.0, 1.0))
    assert (rule.best, rule.counter) == (1.0, 0)
    assert [rule.record(float("nan")) for _ in range(3)] == [False, False, True]


def test_resuming_goes_on_as_without_a_break():
    epochs = validations(PLAIN["metrics"])

    def stopping():
        return Stopping(Recipe(scale_patience=8, patience=60))

    whole = stopping()
    for validated in epochs:
        whole.record(validated)
    for cut in (3, 19, 40):
        first, second = stopping(), stopping()
        for validated in epochs[:cut]:
            first.record(validated)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        for validated in epochs[cut:]:
            second.record(validated)
        assert second.state_dict() == whole.state_dict()


def test_the_hook_hears_of_each_scale_once_and_again_after_loading():
    heard = []
    stopping = by_scale(2, heard.append)
    for epoch in range(5):
        stopping.record({"loss": 1.0, "rates": {"s1": 1.0, "s2": -epoch, "s3": -epoch}})
    assert heard == ["s1"] and not stopping.stopped
    resumed = by_scale(2, heard.append)
    resumed.load_state_dict(stopping.state_dict())
    assert heard == ["s1", "s1"]
    for _ in range(2):
        resumed.record({"loss": 1.0, "rates": {"s2": 0.0, "s3": 0.0}})  # what has converged needs no rate
    assert heard == ["s1", "s1", "s2", "s3"] and resumed.stopped


def test_a_recipe_without_patience_never_stops():
    stopping = Stopping(Recipe())
    for _ in range(500):
        stopping.record({"loss": 1.0})
    assert not stopping.stopped and not stopping.by_scale
