"""Statistics of timings: against scipy, by hand, and by simulation with fixed seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.metrics.statistics.timing import (
    Summary,
    is_stable,
    median_interval,
    summarise_times,
)


def test_summary_of_a_known_series():
    assert summarise_times([5.0, 1.0, 2.0, 4.0, 3.0]) == Summary(3.0, pytest.approx(1.4), pytest.approx(4.6), 5, None)
    assert summarise_times([7]) == Summary(7.0, 7.0, 7.0, 1, None)
    assert summarise_times(range(1, 7)).interval == (1, 6)


def test_summary_does_not_depend_on_the_order():
    values = np.random.default_rng(0).gamma(2, size=31)
    assert summarise_times(values) == summarise_times(values[::-1])


@pytest.mark.parametrize("samples", ([], [1.0, float("nan")], [float("inf")], [[1.0, 2.0]]))
def test_summary_refuses_what_has_no_median(samples):
    with pytest.raises(ValueError, match="finite"):
        summarise_times(samples)


def test_steady_noise_is_stable_and_a_drift_is_not():
    generator = np.random.default_rng(3)
    steady = 1 + 0.01 * generator.standard_normal(40)
    assert is_stable(steady)
    drifting = steady * 0.9 ** np.arange(40)
    assert not any(is_stable(drifting[:n]) for n in range(41))


def test_warm_up_ends_where_a_decaying_series_has_levelled():
    times = 1 + 4 * 0.5 ** np.arange(30)
    first = next(n for n in range(len(times)) if is_stable(times[:n]))
    assert times[first - 5] <= 1.03 * times[first - 2] < 1.03 * times[first - 5]  # medians of its two windows
    assert times[first - 6] > 1.03 * times[first - 3]


def test_one_outlier_in_a_window_does_not_make_a_series_unstable():
    assert is_stable([1, 1, 9, 1, 9, 1])
    assert not is_stable([1, 1, 1, 9, 9, 1])


@pytest.mark.parametrize("n", range(6))
def test_fewer_than_two_windows_are_never_stable(n):
    assert not is_stable([1.0] * n)
    assert is_stable([1.0] * 6)


def test_tolerance_and_window_count():
    assert is_stable([1.0, 1.02], window=1)
    assert not is_stable([1.0, 1.02], window=1, tolerance=0.01)
    assert not is_stable([1.02, 1.0], window=1, tolerance=0.01)


@pytest.mark.parametrize("n", (6, 7, 10, 11, 25, 60))
def test_median_interval_is_that_of_scipy(n):
    values = np.random.default_rng(n).gamma(2, size=n)
    theirs = stats.quantile_test(values, q=0, p=0.5).confidence_interval(0.95)
    assert median_interval(values) == (theirs.low, theirs.high)


def test_few_samples_reach_a_lower_level_only():
    values = [3.0, 1.0, 2.0, 5.0, 4.0]
    assert median_interval(values) is None
    assert median_interval(values, 0.93) == (1, 5)  # 1 - 2 / 2^5
    assert median_interval(values, 0.6) == (2, 4)  # 1 - 2 (1 + 5) / 2^5


def test_median_interval_covers_as_often_as_ranks_say():
    generator = np.random.default_rng(5)
    intervals = [median_interval(generator.exponential(size=10)) for _ in range(2000)]
    covered = np.mean([low <= np.log(2) <= high for low, high in intervals])
    assert covered == pytest.approx(1 - 2 * (1 + 10) / 2**10, abs=0.01)
