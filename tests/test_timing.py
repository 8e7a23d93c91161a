"""Statistics of timings against scipy, by hand and by simulation."""

import numpy as np
import pytest
from scipy import stats

from bench.metrics.timing import is_stable, ratio, summarise


def test_quantiles_are_numpys():
    samples = np.random.default_rng(0).gamma(5, size=31)
    summary = summarise(samples)
    assert (summary.p10, summary.median, summary.p90) == pytest.approx(np.quantile(samples, [0.1, 0.5, 0.9]))
    assert summary.n == 31


@pytest.mark.parametrize("number, ranks", [(6, (1, 6)), (8, (1, 8)), (9, (2, 8)), (10, (2, 9)), (20, (6, 15))])
def test_the_median_lies_between_the_tabulated_ranks(number, ranks):
    """Ranks of the 95 % sign-test interval, as printed in tables of order statistics."""
    samples = np.random.default_rng(1).permutation(np.arange(1.0, number + 1))
    assert summarise(samples).interval == ranks
    low, high = ranks
    assert stats.binom.cdf(high - 1, number, 0.5) - stats.binom.cdf(low - 1, number, 0.5) >= 0.95


def test_few_samples_have_no_interval():
    assert summarise([1.0, 2.0, 3.0, 4.0, 5.0]).interval is None


def test_the_medians_interval_covers():
    random = np.random.default_rng(2)
    intervals = [summarise(random.exponential(size=15)).interval for _ in range(2000)]
    covered = np.mean([low <= np.log(2) <= high for low, high in intervals])
    assert 0.945 < covered < 0.985  # at least 95 %, and not by far, as ranks are whole


def test_warm_up_ends_when_times_settle():
    assert not is_stable([5.0, 1, 1, 1, 1])  # too few
    assert not is_stable([9.0, 7, 5, 3, 2, 1])
    assert is_stable([9.0, 2, 1.01, 1, 1.02, 1, 1.01])
    assert not is_stable([1.0] * 3 + [1.05] * 3)
    assert is_stable([1.0] * 3 + [1.05] * 3, tolerance=0.06)


def test_a_real_difference_is_told_and_noise_is_not():
    random = np.random.default_rng(3)
    base = 1 + 0.02 * random.exponential(size=30)
    assert ratio(1.2 * base, base).differs
    again = 1 + 0.02 * random.exponential(size=30)
    result = ratio(again, base)
    assert not result.differs and result.low <= result.value <= result.high
    exact = ratio(1.02 * base, base, paired=True)
    assert exact.low > 1 and not exact.differs  # beyond its interval, yet below the noise floor
    assert ratio(1.02 * base, base, paired=True, noise_floor=0.01).differs


def test_pairs_take_out_what_slows_whole_rounds():
    random = np.random.default_rng(4)
    rounds = random.uniform(1, 3, size=25)
    paired, unpaired = (ratio(1.1 * rounds, rounds, paired=kind) for kind in (True, False))
    assert paired.high - paired.low < 1e-9 < unpaired.high - unpaired.low
    assert paired.value == unpaired.value == pytest.approx(1.1)


def test_the_ratios_interval_covers():
    random = np.random.default_rng(5)
    covered = [ratio_holds(random.gamma(50, size=25), random.gamma(50, size=25)) for _ in range(400)]
    assert 0.91 < np.mean(covered) < 0.99


def ratio_holds(a, b):
    result = ratio(a, b, resamples=500)
    return result.low <= 1 <= result.high


@pytest.mark.parametrize("a, b, paired, told", [
    ([], [1.0], False, "at least one"), ([float("nan")], [1.0], False, "finite"), ([0.0], [1.0], False, "positive"),
    ([1.0, 2.0], [1.0], True, "as many"),
])
def test_impossible_timings_are_refused(a, b, paired, told):
    with pytest.raises(ValueError, match=told):
        ratio(a, b, paired=paired)
