"""Holm's correction beside the closed test that it is a shortcut of."""

from itertools import combinations

import numpy as np
import pytest

from bench.metrics.statistics.verdicts import adjust_by_holm


def closed_test(p_values):
    """Largest Bonferroni p-value of any set of hypotheses that holds the one in question (Marcus et al., 1976)."""
    everything = range(len(p_values))
    sets = [chosen for size in range(1, len(p_values) + 1) for chosen in combinations(everything, size)]
    return [max(min(1, len(chosen) * min(p_values[j] for j in chosen)) for chosen in sets if i in chosen)
            for i in everything]


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_the_closed_test_of_bonferroni(seed):
    p_values = np.random.default_rng(seed).beta(0.3, 2, 7).round(3)  # rounded: some are equal
    np.testing.assert_allclose(adjust_by_holm(p_values), closed_test(p_values), rtol=1e-14)


def test_an_example_by_hand_keeps_its_order():
    assert adjust_by_holm([0.04, 0.01, 0.03, 0.5]).tolist() == pytest.approx([0.09, 0.04, 0.09, 0.5])


def test_equal_and_single_p_values():
    assert adjust_by_holm([0.2]).tolist() == [0.2]
    assert adjust_by_holm([0.6, 0.6]).tolist() == [1.0, 1.0]
    assert len(adjust_by_holm([])) == 0


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match="within 0 and 1"):
        adjust_by_holm([0.5, wrong])


def test_false_alarms_over_many_true_nulls():
    """At 5 %, at most 5 % of families of 20 true nulls have any rejection; without correction 64 % have."""
    families = np.random.default_rng(0).uniform(size=(4000, 20))
    alarms = np.mean([(adjust_by_holm(family) <= 0.05).any() for family in families])
    assert 0.04 < alarms < 0.06  # 1 - (1 - 0.05 / 20)^20 = 4.9 %, with a standard error of 0.3 %
