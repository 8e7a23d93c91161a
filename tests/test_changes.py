"""Planted regressions are found and named; planted noise is not."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metrics.statistics.changes import QUALITY, RATE, rd_shift, time_shift

IMAGES, POINTS = 24, 6


def points(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rates and qualities of images with different content on a smooth curve."""
    random = np.random.default_rng(seed)
    base = np.geomspace(0.1, 1.0, POINTS)
    rate = base * np.exp(random.normal(0, 0.5, (IMAGES, 1)))
    return rate, 27 + 6 * np.log2(base / 0.1) / np.log2(10) * 3 + random.normal(0, 2, (IMAGES, 1))


def test_the_same_points_do_not_move():
    rate, quality = points()
    shift = rd_shift(rate, quality, rate, quality)
    assert shift.direction == 0 and shift.bd_percent.value == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_one_percent_of_rate_is_found_and_named(sign):
    rate, quality = points()
    shift = rd_shift(rate, quality, rate * (1 + 0.01 * sign), quality)
    assert shift.direction == sign and shift.term == RATE
    assert shift.rate_percent.value == pytest.approx(sign, rel=1e-9)
    assert shift.bd_percent.value == pytest.approx(sign, rel=1e-9)
    assert shift.quality_db.value == 0 and np.allclose(shift.per_point, sign)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_twentieth_of_a_decibel_is_found_and_named(sign):
    rate, quality = points()
    shift = rd_shift(rate, quality, rate, quality - 0.05 * sign)
    assert shift.direction == sign and shift.term == QUALITY
    assert shift.quality_db.value == pytest.approx(-0.05 * sign) and shift.rate_percent.value == 0
    assert np.sign(shift.bd_percent.value) == sign


def test_a_change_on_one_image_is_named_by_its_share():
    rate, quality = points()
    changed = rate.copy()
    changed[7] *= 1.5
    shift = rd_shift(rate, quality, changed, quality)
    assert int(np.argmax(shift.per_image)) == 7 and shift.per_image[7] == pytest.approx(50)
    assert shift.per_image[6] == 0


def test_trading_rate_for_quality_along_the_curve_is_no_change():
    """Moving each point along its own curve changes both terms and no BD-rate to speak of."""
    step = np.log2(10) / 18  # of log2 rate for a decibel
    rate, quality = points()
    shift = rd_shift(rate, quality, rate * 2 ** (0.2 * step), quality + 0.2)
    assert shift.direction == 0 and shift.rate_percent.value > 0.3 and shift.quality_db.value > 0.1


def test_noise_over_images_is_not_flagged():
    """Symmetric noise of 1 % a image: flagged either way in about 5 % of cases at each one-sided 5 %."""
    random = np.random.default_rng(3)
    rate, quality = points()
    flagged = [rd_shift(rate, quality, rate * np.exp(random.normal(0, 0.01, (IMAGES, 1))), quality).direction
               for _ in range(60)]
    assert sum(map(abs, flagged)) <= 14  # 99.9 % of a binomial(60, 0.1)


def test_few_points_are_compared_by_their_terms():
    rate, quality = (values[:, :2] for values in points())
    worse = rd_shift(rate, quality, rate * 1.01, quality)
    assert worse.bd_percent is None and worse.direction == 1 and worse.term == RATE
    assert rd_shift(rate, quality, rate * 1.01, quality + 0.1).direction == 0  # more of both
    assert rd_shift(rate, quality, rate, quality - 0.05).term == QUALITY


def test_one_image_has_no_noise_to_compare_with():
    rate, quality = (values[:1] for values in points())
    assert rd_shift(rate, quality, rate * 1.01, quality).direction == 1


@pytest.mark.parametrize(("factor", "direction"), [(1.1, 1), (0.9, -1), (1.0, 0), (1.02, 0)])
def test_times_move_beyond_noise_and_floor(factor, direction):
    random = np.random.default_rng(1)
    before, after = (1.5 * np.exp(random.normal(0, 0.01, 10)) for _ in range(2))
    shift = time_shift(before.tolist(), (factor * after).tolist())
    assert shift.direction == direction
    assert shift.low <= shift.value <= shift.high


def test_noisy_times_that_differ_little_are_not_flagged():
    random = np.random.default_rng(2)
    flagged = [time_shift(*(np.exp(random.normal(0, 0.05, 10)).tolist() for _ in range(2))).direction
               for _ in range(60)]
    assert sum(map(abs, flagged)) <= 6
