"""Statistics of timings: against scipy, by hand, and by simulation with fixed seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.metrics.statistics.timing import (
    BOOTSTRAP,
    STUDENT,
    Summary,
    compare_medians,
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


def interleaved(generator, n, true_ratio, drift):
    """Times of two functions in n rounds, skewed, on a machine whose speed changes by up to ``drift``."""
    speed = 1 + drift * np.sin(np.linspace(0, 3, n) + generator.uniform(0, 6))
    noise = 1 + generator.gamma(1.0, 0.02, (2, n))
    return true_ratio * speed * noise[0], speed * noise[1]


@pytest.mark.parametrize(("n", "paired"), ((3, True), (5, True), (10, True), (5, False), (10, False), (20, False)))
def test_ratio_interval_covers_the_true_ratio(n, paired):
    generator = np.random.default_rng(7)
    found = [compare_medians(*interleaved(generator, n, 1.2, 0.1 if paired else 0), paired=paired) for _ in range(250)]
    covered = np.mean([one.low <= 1.2 <= one.high for one in found])
    assert 0.92 <= covered <= 0.995
    assert np.mean([one.low for one in found]) > 1.1  # and it isn't just wide


def test_equal_functions_hardly_ever_differ_and_unequal_ones_do():
    generator = np.random.default_rng(9)
    equal = [compare_medians(*interleaved(generator, 10, 1.0, 0.1), paired=True) for _ in range(200)]
    assert np.mean([one.differs for one in equal]) <= 0.02
    unequal = [compare_medians(*interleaved(generator, 10, 1.15, 0.1), paired=True) for _ in range(100)]
    assert np.mean([one.differs for one in unequal]) >= 0.98


def test_pairing_takes_out_what_both_share():
    generator = np.random.default_rng(11)
    a, b = interleaved(generator, 12, 1.1, 0.3)
    paired, unpaired = compare_medians(a, b, paired=True), compare_medians(a, b)
    assert paired.value == unpaired.value == pytest.approx(np.median(a) / np.median(b))
    assert paired.high - paired.low < 0.4 * (unpaired.high - unpaired.low)


def test_noise_floor_holds_back_a_difference_that_the_interval_shows():
    a, b = [1.02] * 10, [1.0] * 10
    assert not compare_medians(a, b).differs
    assert compare_medians(a, b, noise_floor=0.01).differs
    assert compare_medians(a, b).low == pytest.approx(1.02)
    assert not compare_medians(b, a).differs


def test_few_samples_take_student_t_on_logarithms():
    a, b = np.array([2.0, 2.1, 2.05, 2.2]), np.array([1.0, 1.02, 1.01, 1.1])
    paired, unpaired = compare_medians(a, b, paired=True), compare_medians(a, b)
    assert (paired.method, unpaired.method) == (STUDENT, STUDENT)
    one = stats.ttest_1samp(np.log(a) - np.log(b), 0).confidence_interval()
    two = stats.ttest_ind(np.log(a), np.log(b), equal_var=False).confidence_interval()
    assert (paired.low, paired.high) == pytest.approx(tuple(np.exp([one.low, one.high])))
    assert (unpaired.low, unpaired.high) == pytest.approx(tuple(np.exp([two.low, two.high])))
    assert compare_medians(a, b, paired=True).differs


def test_bootstrap_is_near_scipys_and_the_same_in_each_run():
    generator = np.random.default_rng(13)
    a, b = generator.gamma(50, 0.02, 25), generator.gamma(50, 0.01, 25)
    found = compare_medians(a, b)
    theirs = stats.bootstrap((a, b), lambda x, y, axis: np.median(x, axis) / np.median(y, axis), method="percentile",
                             random_state=1).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=0.01)
    assert found.method == BOOTSTRAP
    assert compare_medians(a, b) == found


def test_ratio_of_single_samples_has_no_interval():
    found = compare_medians([2.0], [1.0, 1.0])
    assert (found.value, found.low, found.high, found.differs, found.method) == (2.0, None, None, False, None)


def test_ratio_refuses_what_is_no_time_or_no_pair():
    with pytest.raises(ValueError, match="positive"):
        compare_medians([1.0, 0.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="paired"):
        compare_medians([1.0, 1.0], [1.0], paired=True)
