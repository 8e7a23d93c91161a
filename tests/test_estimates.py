"""Intervals beside scipy's, p-values beside their intervals, and what happens with few or equal values."""

import math

import numpy as np
import pytest
from scipy import stats

from bench.metrics.statistics.estimates import Exact, Student
from bench.metrics.statistics.ratios import ratio_estimate
from bench.metrics.statistics.resampled import Resampled

LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)


def sample(n=24, seed=0):
    """Skewed values, so that bias and acceleration are not zero."""
    return np.random.default_rng(seed).lognormal(1, 0.7, n)


def mean_estimate(values, resamples=2000, seed=1):
    drawn = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    left_out = np.array([np.delete(values, index).mean() for index in range(len(values))])
    return Resampled(float(values.mean()), values[drawn].mean(axis=1), len(values), left_out)


def few(n=4, seed=2):
    values = sample(n, seed)
    return Student(float(values.mean()), float(values.mean()), float(stats.sem(values)), n - 1.0, n)


def median_ratio(n_a=12, n_b=12, paired=True, seed=3):
    random = np.random.default_rng(seed)
    return ratio_estimate(random.lognormal(0.1, 0.1, n_a), random.lognormal(0, 0.1, n_b), paired)


ESTIMATES = {"bca": mean_estimate(sample()), "student": few(), "resampled ratio": median_ratio(),
             "student ratio": median_ratio(4, 5, paired=False)}


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("seed", [0, 1])
def test_intervals_are_scipys_at_the_expanded_level(method, level, seed):
    values = sample(seed=seed)
    freedom = 2 * 24 / (stats.kurtosis(values, fisher=False) - 1 + 2 / 23)
    reach = stats.t.ppf((1 + level) / 2, min(23, freedom)) * stats.sem(values)
    drawn = stats.bootstrap((values,), np.mean, n_resamples=5000, method="percentile", random_state=4)
    expanded = 2 * stats.norm.cdf(reach / drawn.bootstrap_distribution.std()) - 1
    theirs = stats.bootstrap((values,), np.mean, n_resamples=0, bootstrap_result=drawn, confidence_level=expanded,
                             method="BCa" if method == "bca" else method)
    own = Resampled(values.mean(), drawn.bootstrap_distribution, 24, mean_estimate(values).left_out)
    np.testing.assert_allclose(own.interval(level, method), theirs.confidence_interval, rtol=1e-9)


def test_normal_values_have_hesterbergs_levels():
    """Of a mean: t with n - 1 degrees of freedom, times sqrt(n / (n - 1))."""
    values = stats.norm.ppf((np.arange(24) + 0.5) / 24)
    estimate = mean_estimate(values, 50_000)
    assert estimate.freedom == 23 and estimate.acceleration == pytest.approx(0, abs=1e-9)
    level = stats.norm.cdf(stats.t.ppf(0.975, 23) * math.sqrt(24 / 23))
    low, high = np.quantile(estimate.resamples, (1 - level, level))
    np.testing.assert_allclose(estimate.interval(method="percentile"), (low, high), rtol=0.02)


@pytest.mark.parametrize("name", [name for name in ESTIMATES if name != "resampled ratio"])  # many equal resamples
@pytest.mark.parametrize("level", LEVELS)
def test_p_values_are_the_inverse_of_the_bounds(name, level):
    low, high = ESTIMATES[name].interval(level)
    assert ESTIMATES[name].p_above(low) == pytest.approx((1 - level) / 2, abs=0.003)
    assert ESTIMATES[name].p_below(high) == pytest.approx((1 - level) / 2, abs=0.003)


@pytest.mark.parametrize("name", ESTIMATES)
def test_an_interval_and_its_p_values_decide_alike(name):
    """What lies just outside a one-sided bound is rejected at its level, what lies just inside is not."""
    estimate = ESTIMATES[name]
    for alpha in (0.01, 0.05, 0.2):
        low, high = estimate.interval(1 - 2 * alpha)
        step = 0.02 * (high - low)
        assert estimate.p_above(low - step) < alpha < estimate.p_above(low + step)
        assert estimate.p_below(high + step) < alpha < estimate.p_below(high - step)


@pytest.mark.parametrize("name", ESTIMATES)
def test_p_values_fall_with_the_distance_and_never_below_zero(name):
    estimate = ESTIMATES[name]
    low, high = estimate.interval()
    places = estimate.value + np.linspace(-6, 6, 81) * (high - low)
    above, below = (np.array([test(x) for x in places]) for test in (estimate.p_above, estimate.p_below))
    assert (np.diff(above) >= 0).all() and (np.diff(below) <= 0).all()
    assert min(above.min(), below.min()) >= 0 and max(above.max(), below.max()) <= 1
    assert above[0] < 0.01 and below[-1] < 0.01
    assert estimate.p_above(estimate.value) >= 0.5 and estimate.p_below(estimate.value) >= 0.5


def test_far_away_p_values_are_those_of_a_t_test():
    """Beyond the resamples a tail goes on, so that many claims at once can still be told from chance."""
    values = np.random.default_rng(5).normal(0, 1, 24)
    estimate = mean_estimate(values, 10_000)
    for distance in (5, 7):
        x = estimate.value - distance * stats.sem(values)
        theirs = stats.ttest_1samp(values, x, alternative="greater").pvalue
        assert estimate.p_above(x) == pytest.approx(theirs, rel=1)  # within a factor of two
        assert estimate.p_above(x) < 1e-4


def test_few_values_have_students_interval_and_p_value():
    values, estimate = sample(4, 2), few()
    theirs = stats.ttest_1samp(values, 1.0, alternative="greater")
    assert estimate.p_above(1.0) == pytest.approx(theirs.pvalue, rel=1e-12)
    assert estimate.p_below(1.0) == pytest.approx(1 - theirs.pvalue, rel=1e-12)
    expected = stats.t.interval(0.9, 3, values.mean(), stats.sem(values))
    np.testing.assert_allclose(estimate.interval(0.9), expected, rtol=1e-12)


def test_a_bootstrap_of_equal_values_is_that_value():
    estimate = Resampled(-4.0, np.full(100, -4.0) + 1e-15, 24, np.full(24, -4.0))
    assert estimate.interval() == (-4.0, -4.0) and estimate.detectable() == 0
    assert (estimate.p_below(-3), estimate.p_below(-4), estimate.p_below(-5)) == (0, 1, 1)
    assert (estimate.p_above(-3), estimate.p_above(-4), estimate.p_above(-5)) == (1, 1, 0)


def test_an_exact_number_has_no_uncertainty():
    exact = Exact(3.0)
    assert exact.interval() == (3.0, 3.0) and exact.detectable() == 0
    assert (exact.p_below(4), exact.p_below(3), exact.p_above(2), exact.p_above(3)) == (0, 1, 0, 1)


def test_an_interval_that_can_not_be_is_refused():
    with pytest.raises(ValueError, match="percentile bootstrap"):
        median_ratio().interval(method="bca")
    with pytest.raises(ValueError, match="'basic'"):
        mean_estimate(sample()).interval(method="basic")


@pytest.mark.parametrize("n", [5, 24])
def test_the_detectable_effect_is_detected_as_often_as_it_says(n):
    """With the error estimated from each sample, around 80 % of one-sided tests at 5 % find it."""
    random, error = np.random.default_rng(7), 1 / math.sqrt(n)
    exact = Student(0.0, 0.0, error, n - 1.0, n).detectable() if n < 6 else (stats.norm.ppf(0.95) + 0.8416) * error
    found = []
    for seed in range(600):
        values = random.normal(exact, 1, n)
        estimate = mean_estimate(values, 300, seed) if n >= 6 else Student(
            float(values.mean()), float(values.mean()), float(stats.sem(values)), n - 1.0, n)
        found.append(estimate.p_above(0.0) < 0.05)
    assert 0.74 < np.mean(found) < 0.86


def test_the_detectable_effect_goes_by_the_standard_error():
    values = sample()
    estimate = mean_estimate(values)
    assert estimate.standard_error == pytest.approx(stats.sem(values), rel=1e-9)
    expected = (stats.norm.ppf(0.95) + stats.norm.ppf(0.8)) * estimate.standard_error
    assert estimate.detectable() == pytest.approx(expected)
    assert estimate.detectable(power=0.9) > estimate.detectable()
