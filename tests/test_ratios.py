"""Ratios of medians of times: against scipy, by hand, and by simulation with fixed seeds."""

import math

import numpy as np
import pytest
from scipy import stats

from bench.metrics.statistics.ratios import Ratio, compare_rounds, ratio_estimate


def interleaved(generator, n, true_ratio, drift):
    """Times of two functions in n rounds, skewed, on a machine whose speed changes by up to ``drift``."""
    speed = 1 + drift * np.sin(np.linspace(0, 3, n) + generator.uniform(0, 6))
    noise = 1 + generator.gamma(1.0, 0.02, (2, n))
    return true_ratio * speed * noise[0], speed * noise[1]


@pytest.mark.parametrize(("n", "paired"), ((3, True), (5, True), (10, True), (5, False), (10, False), (20, False)))
def test_ratio_interval_covers_the_true_ratio(n, paired):
    generator = np.random.default_rng(7)
    times = [interleaved(generator, n, 1.2, 0.1 if paired else 0) for _ in range(250)]
    intervals = [ratio_estimate(a, b, paired).interval() for a, b in times]
    assert 0.92 <= np.mean([low <= 1.2 <= high for low, high in intervals]) <= 0.995
    assert np.mean([low for low, _ in intervals]) > 1.1  # and it isn't just wide


def test_equal_functions_hardly_ever_differ_and_unequal_ones_do():
    generator = np.random.default_rng(9)
    equal = [compare_rounds(*interleaved(generator, 10, 1.0, 0.1)) for _ in range(200)]
    assert np.mean([one.differs for one in equal]) <= 0.02
    unequal = [compare_rounds(*interleaved(generator, 10, 1.15, 0.1)) for _ in range(100)]
    assert np.mean([one.differs for one in unequal]) >= 0.98


def test_pairing_takes_out_what_both_share():
    generator = np.random.default_rng(11)
    a, b = interleaved(generator, 12, 1.1, 0.3)
    paired, unpaired = ratio_estimate(a, b, paired=True), ratio_estimate(a, b, paired=False)
    assert paired.value == unpaired.value == pytest.approx(np.median(a) / np.median(b))
    assert np.ptp(paired.interval()) < 0.4 * np.ptp(unpaired.interval())


def test_noise_floor_holds_back_a_difference_that_the_interval_shows():
    slow, equal = [1.02] * 10, [1.0] * 10
    assert not compare_rounds(slow, equal).differs and not compare_rounds(equal, slow).differs
    assert compare_rounds(slow, equal).low == pytest.approx(1.02)
    assert compare_rounds([1.04] * 10, equal).differs


def test_few_samples_take_student_t_on_logarithms():
    a, b = np.array([2.0, 2.1, 2.05, 2.2]), np.array([1.0, 1.02, 1.01, 1.1])
    paired, unpaired = ratio_estimate(a, b, paired=True), ratio_estimate(a, b, paired=False)
    assert paired.method == unpaired.method == "Student's t"
    one = stats.ttest_1samp(np.log(a) - np.log(b), 0).confidence_interval()
    two = stats.ttest_ind(np.log(a), np.log(b), equal_var=False).confidence_interval()
    assert paired.interval() == pytest.approx(tuple(np.exp([one.low, one.high])))
    assert unpaired.interval() == pytest.approx(tuple(np.exp([two.low, two.high])))
    assert compare_rounds(a, b).differs


def test_bootstrap_is_near_scipys_and_the_same_in_each_run():
    generator = np.random.default_rng(13)
    a, b = generator.gamma(50, 0.02, 25), generator.gamma(50, 0.01, 25)
    found = ratio_estimate(a, b, paired=False)
    theirs = stats.bootstrap((a, b), lambda x, y, axis: np.median(x, axis) / np.median(y, axis), method="percentile",
                             random_state=1).confidence_interval
    assert found.interval() == pytest.approx((theirs.low, theirs.high), rel=0.01)
    assert found.method == "percentile bootstrap"
    assert ratio_estimate(a, b, paired=False).interval() == found.interval()


def test_ratio_of_single_samples_has_no_interval():
    assert compare_rounds([2.0], [1.0]) == Ratio(2.0, None, None, 1, False)


def test_ratio_refuses_what_is_no_time_or_no_pair():
    with pytest.raises(ValueError, match="positive"):
        compare_rounds([1.0, 0.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="paired"):
        compare_rounds([1.0, 1.0], [1.0])


def test_a_ratio_of_single_samples_could_be_anything():
    estimate = ratio_estimate([2.0], [1.0], paired=True)
    assert estimate.value == 2 and estimate.interval() == (0, math.inf) and estimate.detectable() == math.inf
    assert estimate.p_above(1) == estimate.p_below(3) == 0.5 and estimate.p_above(0) == 0


def test_a_ratio_that_never_varies_is_certain():
    for times in ([1.0] * 3, [1.0] * 8):
        estimate = ratio_estimate([2 * time for time in times], times, paired=True)
        assert estimate.interval() == pytest.approx((2, 2))
        assert estimate.p_above(1.9) == 0 and estimate.p_below(2.1) == 0 and estimate.p_above(2.1) == 1


@pytest.mark.parametrize(("a", "b"), [([], [1.0]), ([0.0, 1.0], [1.0, 1.0]), ([1.0, 2.0], [1.0])])
def test_times_that_make_no_ratio_are_refused(a, b):
    with pytest.raises(ValueError):
        ratio_estimate(a, b, paired=True)
