"""Early stopping against recorded runs of the published code, and against a plain simulation of the rules."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.common.errors import ConfigurationError
from bench.training.early_stopping import AdaptivePatience, EarlyStopping, ScaleEarlyStopping

CASES = json.loads((Path(__file__).parent / "reference" / "balanced.json").read_text())["early_stopping"]
PLAIN, ADAPTIVE = (next(case for case in CASES if case["adaptive"] is adaptive) for adaptive in (False, True))


def run(stopping, metrics):
    """Epochs at which the scales converge (None: never), and patiences after each epoch by scale."""
    stop_epochs, patiences = dict.fromkeys(metrics), []
    for epoch, scores in enumerate(zip(*metrics.values())):
        stopping.step(epoch, dict(zip(metrics, scores)))
        for scale in stopping.converged:
            stop_epochs[scale] = epoch if stop_epochs[scale] is None else stop_epochs[scale]
        patiences.append([tracker.patience for tracker in stopping.trackers.values()])
    return stop_epochs, patiences


def matches(case, stopping, metrics):
    stop_epochs, _ = run(stopping, metrics)
    trackers = stopping.trackers
    assert list(stop_epochs.values()) == case["stop_epoch"]
    assert {scale: t.best_epoch for scale, t in trackers.items()} == case["best_epochs"]
    assert {scale: t.best for scale, t in trackers.items()} == pytest.approx(case["best_scores"], abs=1e-10, rel=0)
    assert {scale: t.counter for scale, t in trackers.items()} == case["counters"]
    assert stopping.stopped == case["all_stopped"]


def test_fixed_patience_is_the_recorded_one():
    matches(PLAIN, ScaleEarlyStopping(list(PLAIN["metrics"]), PLAIN["patience"]), PLAIN["metrics"])


def test_shared_patience_reproduces_the_recorded_fault():
    """The published class has one patience for all scales, so three of them add 60 in one epoch."""
    def shared():
        return ScaleEarlyStopping(list(ADAPTIVE["metrics"]), ADAPTIVE["patience"], adaptive=AdaptivePatience(),
                                  shared_patience=True)

    matches(ADAPTIVE, shared(), ADAPTIVE["metrics"])
    _, patiences = run(shared(), ADAPTIVE["metrics"])
    assert [row[0] for row in patiences] == ADAPTIVE["patience_by_epoch"]
    assert max(np.diff(ADAPTIVE["patience_by_epoch"])) == 60


def simulated(scores, patience, sign=1):
    """The corrected rule for one scale, written out: (epoch of the stop or None, patience after each epoch)."""
    best, since, gains, patiences, stopped = None, 0, [], [], None
    for epoch, score in enumerate(scores):
        if stopped is None:
            if best is not None:
                gains.append(sign * (best - score))
                recent = np.array(gains[-10:])
                if recent.size >= 5 and 0 < recent.mean() < 0.01:
                    patience = min(200, patience + 20)
            if best is None or sign * (best - score) > 1e-4:
                best, since = score, 0
            else:
                since += 1
            stopped = epoch if since >= patience else None
        patiences.append(patience)
    return stopped, patiences


@pytest.mark.parametrize("sign", [1, -1], ids=["min", "max"])
@pytest.mark.parametrize("patience", [3, 8])
def test_each_scale_has_a_patience_of_its_own(patience, sign):
    metrics = {scale: [sign * score for score in scores] for scale, scores in ADAPTIVE["metrics"].items()}
    stopping = ScaleEarlyStopping(list(metrics), patience, mode="min" if sign == 1 else "max",
                                  adaptive=AdaptivePatience())
    stop_epochs, patiences = run(stopping, metrics)
    expected = {scale: simulated(scores, patience, sign) for scale, scores in metrics.items()}
    assert stop_epochs == {scale: stop for scale, (stop, _) in expected.items()}
    assert list(map(list, zip(*patiences))) == [values for _, values in expected.values()]
    assert max(np.diff(patiences, axis=0).max(axis=0)) <= 20


def test_a_scale_does_not_lengthen_the_patience_of_another():
    slow = [1 - 0.005 * epoch for epoch in range(30)]  # gains of 0.005: within the adaptive rule
    stopping = ScaleEarlyStopping(["slow", "flat"], 4, adaptive=AdaptivePatience())
    stop_epochs, _ = run(stopping, {"slow": slow, "flat": [1.0] * 30})
    assert stop_epochs == {"slow": None, "flat": 4}
    assert stopping.trackers["flat"].patience == 4 and stopping.trackers["slow"].patience == 200


@pytest.mark.parametrize("mode, scores, stop", [
    ("min", [1, 0.9, 0.89995, 0.9, 0.8], 3), ("min", [1, 0.9, 0.8, 0.7, 0.6], None),
    ("max", [1, 2, 2.00005, 1], 3), ("min", [-1, -1.5, -1.2, -1.4], 3),
])
def test_only_improvements_beyond_the_least_delta_count(mode, scores, stop):
    stopping = EarlyStopping(2, mode=mode)
    told = [stopping.step(epoch, score) for epoch, score in enumerate(scores)]
    assert (told.index(True) if True in told else None) == stop


def test_scores_that_are_not_finite_never_improve():
    stopping = EarlyStopping(3)
    assert not any(stopping.step(epoch, score) for epoch, score in enumerate([float("nan"), -float("inf"), 2.0, 1.0]))
    assert (stopping.best, stopping.best_epoch) == (1.0, 3)
    assert [stopping.step(4 + i, float("nan")) for i in range(3)] == [False, False, True]


def test_resuming_goes_on_as_without_a_break():
    metrics = PLAIN["metrics"]
    epochs = [dict(zip(metrics, scores)) for scores in zip(*metrics.values())]

    def stopping():
        return ScaleEarlyStopping(list(metrics), 8, adaptive=AdaptivePatience(maximum=12, increase=2))

    whole = stopping()
    for epoch, scores in enumerate(epochs):
        whole.step(epoch, scores)
    for cut in (3, 19, 40):
        first, second = stopping(), stopping()
        for epoch, scores in enumerate(epochs[:cut]):
            first.step(epoch, scores)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        for epoch, scores in enumerate(epochs[cut:], cut):
            second.step(epoch, scores)
        assert second.state_dict() == whole.state_dict()
    assert whole.converged


def test_the_hook_hears_of_each_scale_once_and_again_after_loading():
    told = []
    stopping = ScaleEarlyStopping(["s1", "z"], 2, on_converged=told.append)
    for epoch in range(5):
        stopping.step(epoch, {"s1": 1.0, "z": -epoch})
    assert told == ["s1"] and not stopping.stopped
    resumed = ScaleEarlyStopping(["s1", "z"], 2, on_converged=told.append)
    resumed.load_state_dict(stopping.state_dict())
    assert told == ["s1", "s1"]
    for epoch in range(5, 7):
        resumed.step(epoch, {"z": 0.0})  # what has converged needs no score
    assert told == ["s1", "s1", "z"] and resumed.stopped


def test_impossible_values_are_refused():
    for options in ({"patience": 0}, {"patience": 3, "min_delta": -1}, {"patience": 3, "mode": "least"}):
        with pytest.raises(ConfigurationError):
            EarlyStopping(**options)
    with pytest.raises(ConfigurationError, match="at least one"):
        ScaleEarlyStopping([], 3)
    stopping = ScaleEarlyStopping(["s1", "s2"], 3)
    with pytest.raises(ConfigurationError, match="s2"):
        stopping.step(0, {"s1": 1.0})
    with pytest.raises(ConfigurationError, match="does not fit"):
        stopping.load_state_dict({"s1": {}})
