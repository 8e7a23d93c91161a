"""The bootstrap of BD-rates beside loops over single curves, and its coverage where the truth is known."""

import bjontegaard
import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from bench.benchmarks import bootstrap as benchmark
from bench.metrics.rate.bdrate import bd_quality, bd_rate
from bench.metrics.rate.curves import Curve
from bench.metrics.rate.pchip import find_pchip_slopes, integrate_pchip
from bench.metrics.statistics.bootstrap import bd_of_curves, paired_bd_bootstrap, resample_counts

MEASURES = {"rate": bd_rate, "quality": bd_quality}


def codecs(seed=0, images=24, anchor_points=6, test_points=5):
    """Two codecs whose images differ in rate, quality and gain; (images, points)."""
    random = np.random.default_rng(seed)
    content, level = random.normal(0, 0.5, (images, 1)), random.normal(0, 2, (images, 1))

    def codec(points, saving):
        rate = np.geomspace(0.1, 1.0, points) * np.exp(content + random.normal(saving, 0.05, (images, 1)))
        return rate, np.linspace(28, 38, points) + level + random.normal(0, 0.1, (images, points))

    return (*codec(anchor_points, 0.0), *codec(test_points, -0.08))


def curves(*parts):
    return [Curve(*parts[:2]), Curve(*parts[2:])]


@pytest.mark.parametrize("points", [3, 4, 6, 9])
@pytest.mark.parametrize("shape", ["rising", "any", "flat parts"])
def test_slopes_and_integrals_are_scipys(points, shape):
    random = np.random.default_rng(points)
    x = random.uniform(0.1, 3, (points, 50)).cumsum(axis=0)
    y = random.normal(0, 1, (points, 50))
    if shape == "rising":
        y = np.exp(2 * y).cumsum(axis=0)
    elif shape == "flat parts":
        y = y.round()
    low, high = np.sort(random.uniform(x[0], x[-1], (2, 50)), axis=0)
    low[:10], high[10:20] = x[0, :10], x[-1, 10:20]  # whole ranges as well as parts
    found, areas = find_pchip_slopes(x, y), integrate_pchip(x, y, low, high)
    for index in range(50):
        theirs = PchipInterpolator(x[:, index], y[:, index])
        np.testing.assert_allclose(found[:, index], theirs.derivative()(x[:, index]), rtol=1e-12, atol=1e-12)
        assert areas[index] == pytest.approx(theirs.integrate(low[index], high[index]), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
def test_many_curves_have_the_deltas_of_each(measure):
    """Also those that have none: too little overlap, points that don't rise, rates that are not positive."""
    random = np.random.default_rng(1)
    sides = [part.T.copy() for part in codecs(2, images=300)]
    sides[2] *= np.exp(random.normal(0, 0.8, 300))
    sides[3] += random.normal(0, 5, 300)
    sides[3][2, :30] = sides[3][1, :30]
    sides[0][0, 30:40], sides[1][3, 40:50] = -0.1, np.nan
    sides[2][:, 50:80], sides[3][:, 50:80] = sides[2][::-1, 50:80], sides[3][::-1, 50:80]  # in any order
    found = bd_of_curves(tuple(sides[:2]), tuple(sides[2:]), measure)
    expected = [MEASURES[measure](*curves(*(part[:, index] for part in sides))).value for index in range(300)]
    expected = np.array(expected, dtype=float)
    assert 50 < np.isnan(expected).sum() < 250 and np.isfinite(expected[50:80]).any()
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("points", [1, 3])
def test_too_few_points_have_no_delta(points):
    rate = np.geomspace(0.1, 1, points)[:, None]
    assert np.isnan(bd_of_curves((rate, rate), (rate, rate), "rate")).all()


@pytest.mark.parametrize(("images", "seed"), [(1, 0), (7, 3), (24, 0)])
def test_images_are_drawn_as_numpy_draws_them_all_at_once(images, seed):
    drawn = np.random.default_rng(seed).integers(images, size=(images, 500))
    expected = [np.bincount(column, minlength=images) for column in drawn.T]
    np.testing.assert_array_equal(resample_counts(images, 500, seed), np.transpose(expected))


@pytest.mark.parametrize("measure", MEASURES)
def test_resamples_are_those_of_a_loop_over_bjontegaard(measure):
    sides = codecs(3)
    found = paired_bd_bootstrap(*sides, measure=measure, resamples=200, seed=5)
    theirs = bjontegaard.bd_rate if measure == "rate" else bjontegaard.bd_psnr
    averaged, per_image = [], []
    for drawn in resample_counts(24, 200, 5).T:
        chosen = np.repeat(np.arange(24), drawn.astype(int))
        assert len(chosen) == 24
        parts = [part[chosen].mean(axis=0) for part in sides]
        averaged.append(theirs(*parts, method="pchip", require_matching_points=False, min_overlap=0))
        per_image.append(found.per_image_values[chosen].mean())
    np.testing.assert_allclose(found.averaged.resamples, averaged, rtol=1e-10)
    np.testing.assert_allclose(found.per_image.resamples, per_image, rtol=1e-10)
    assert found.averaged.resamples.std() > 0


@pytest.mark.parametrize("measure", MEASURES)
def test_values_are_those_of_the_whole_sample(measure):
    sides, delta = codecs(4), MEASURES[measure]
    found = paired_bd_bootstrap(*sides, measure=measure, resamples=50)
    whole = delta(*curves(*(part.mean(axis=0) for part in sides)))
    assert found.averaged.value == pytest.approx(whole.value, rel=1e-10)
    single = [delta(*curves(*(part[index] for part in sides))).value for index in range(24)]
    np.testing.assert_allclose(found.per_image_values, single, rtol=1e-10)
    assert found.per_image.value == pytest.approx(np.mean(single), rel=1e-10)
    better = [value < 0 if measure == "rate" else value > 0 for value in single]
    assert found.share_improved == np.mean(better) and found.failed == 0
    assert (found.averaged.n, found.per_image.n, found.resamples, found.seed) == (24, 24, 50, 0)


def test_a_seed_gives_the_same_resamples():
    first, again, other = (paired_bd_bootstrap(*codecs(), resamples=50, seed=seed).averaged for seed in (1, 1, 2))
    assert (first.resamples == again.resamples).all() and (first.resamples != other.resamples).any()


def test_each_image_is_drawn_as_often_as_any():
    counts = resample_counts(5, 20_000, 0)
    assert (counts.sum(axis=0) == 5).all()
    np.testing.assert_allclose(counts.mean(axis=1), 1, atol=0.03)
    np.testing.assert_allclose(np.cov(counts), np.eye(5) - 1 / 5, atol=0.03)  # of a multinomial with 5 trials


def test_one_point_left_out():
    sides = codecs(6, anchor_points=5)
    means = [part.mean(axis=0) for part in sides]
    values = [bd_rate(*curves(*(np.delete(part, index) for part in means))).value for index in range(5)]
    assert paired_bd_bootstrap(*sides, resamples=20).drop_one == pytest.approx((min(values), max(values)))
    sides = codecs(6, anchor_points=6)  # no point of one is that of the other
    means = [part.mean(axis=0) for part in sides]
    values = [bd_rate(*curves(*means[:2], *(np.delete(part, index) for part in means[2:]))).value for index in range(5)]
    assert paired_bd_bootstrap(*sides, resamples=20).drop_one == pytest.approx((min(values), max(values)))
    assert paired_bd_bootstrap(*codecs(6, test_points=4), resamples=20).drop_one is None


@pytest.mark.parametrize("images", [3, 24])
@pytest.mark.parametrize("factor", [0.9, 1.0, 1.25])
def test_a_constant_factor_has_no_uncertainty(images, factor):
    rate, quality, _, _ = codecs(7, images)
    found = paired_bd_bootstrap(rate, quality, factor * rate, quality, resamples=200)
    percent = pytest.approx(100 * (factor - 1), abs=1e-10)
    for estimate in (found.averaged, found.per_image):
        assert estimate.value == percent and estimate.interval() == (percent, percent)
        assert estimate.p_below(estimate.value + 0.01) < 1e-12 and estimate.p_above(estimate.value - 0.01) < 1e-12
    assert found.drop_one == (percent, percent) and found.share_improved == float(factor < 1)


def test_images_without_a_curve_are_left_out_of_the_mean():
    sides = [part.copy() for part in codecs(8, anchor_points=5)]
    sides[3][2, 3] = sides[3][2, 2] - 0.5  # falls
    sides[3][9] += 6  # no overlap, as both span 10 dB
    sides[1][9] -= 6
    found = paired_bd_bootstrap(*sides, resamples=2000)
    assert np.flatnonzero(np.isnan(found.per_image_values)).tolist() == [2, 9]
    assert found.per_image.n == 22 and found.averaged.n == 24
    left = np.delete(found.per_image_values, [2, 9])
    assert found.per_image.value == pytest.approx(left.mean())
    assert found.per_image.standard_error == pytest.approx(left.std(ddof=1) / np.sqrt(22), rel=0.1)


def test_averages_may_have_a_delta_where_no_image_has():
    rate, quality, _, _ = codecs(9)
    swapped, sign = quality.copy(), (-1) ** np.arange(24)[:, None]
    bent = np.array([0, 4, 0, 0, 0, 0]) * sign  # each image's curve falls somewhere, the mean of all rises
    found = paired_bd_bootstrap(rate, swapped + bent, 0.9 * rate, swapped + bent, resamples=20)
    assert found.averaged.value == pytest.approx(-10)
    assert found.per_image is None and found.share_improved is None and np.isnan(found.per_image_values).all()


def test_few_images_have_students_interval():
    sides = codecs(10, images=4)
    found = paired_bd_bootstrap(*sides, resamples=20)
    values = found.per_image_values
    reach = 3.182446305284263 * values.std(ddof=1) / 2  # t of 97.5 % with 3 degrees of freedom
    np.testing.assert_allclose(found.per_image.interval(), (values.mean() - reach, values.mean() + reach), rtol=1e-9)
    left_out = [bd_rate(*curves(*(np.delete(part, index, axis=0).mean(axis=0) for part in sides))).value
                for index in range(4)]
    error = np.sqrt(3 / 4 * ((np.array(left_out) - np.mean(left_out)) ** 2).sum())
    assert found.averaged.error == pytest.approx(error, rel=1e-9)


def test_one_image_tells_nothing_about_others():
    found = paired_bd_bootstrap(*codecs(11, images=1), resamples=20)
    for estimate in (found.averaged, found.per_image):
        assert estimate.interval() == (-np.inf, np.inf) and estimate.p_below(0) == 0.5


@pytest.mark.parametrize(("change", "words"), [
    (lambda a, b, c, d: (a, b, c, d + 9), "share only"),
    (lambda a, b, c, d: (a, b, c, np.sort(d)[:, ::-1]), "must both rise"),
    (lambda a, b, c, d: (a, b, c[:, :3], d[:, :3]), "3 points, 4 are needed"),
    (lambda a, b, c, d: (a, b, c[:-1], d[:-1]), "24 images of the anchor but 23"),
    (lambda a, b, c, d: (a, b, c, d[:, 1:]), "images, points"),
    (lambda a, b, c, d: (a, b, np.where(c > 1, np.nan, c), d), "finite"),
])
def test_what_has_no_delta_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        paired_bd_bootstrap(*change(*codecs(12)), resamples=20)


def test_an_unknown_measure_is_refused():
    with pytest.raises(ValueError, match="'psnr'"):
        paired_bd_bootstrap(*codecs(), measure="psnr")


def test_curves_on_the_verge_of_having_none_are_refused():
    """The whole sample has 51 % of overlap, but many resamples have less than 50 %."""
    rate, quality, _, _ = codecs(13)
    shift = 3 * (1 + 0.3 * np.random.default_rng(0).normal(size=(24, 1)))
    sides = (rate, quality, rate, quality + shift)
    averages = [part.mean(axis=0) for part in sides]
    share = bd_rate(*curves(*averages), min_overlap=0.0).overlap
    with pytest.raises(ValueError, match="too close to having no BD-rate"):
        paired_bd_bootstrap(*sides, resamples=500, min_overlap=share - 0.005)
    loose = paired_bd_bootstrap(*sides, resamples=500, min_overlap=share - 0.1)
    assert loose.failed == 0 and len(loose.averaged.resamples) == 500


TRIALS, SPREAD, CONTENT, TOGETHER, MEAN = 1000, 0.06, 0.4, 0.5, -0.05


@pytest.fixture(scope="module")
def trials():
    """Bootstraps of codecs whose true BD-rate is known.

    The logarithms of an image's rates and of its gain are normal with correlation TOGETHER. Qualities are the same for
    both codecs, so that an averaged BD-rate is the ratio of mean rates; its truth weighs each gain by the rate.
    """
    random = np.random.default_rng(2026)
    base = np.geomspace(0.1, 1.0, 4)
    found = []
    for seed in range(TRIALS):
        content = random.normal(0, 1, (24, 1))
        gain = MEAN + SPREAD * (TOGETHER * content + np.sqrt(1 - TOGETHER**2) * random.normal(0, 1, (24, 1)))
        rate, quality = base * np.exp(CONTENT * content), 30 + 3 * np.arange(4) + random.normal(0, 1, (24, 1))
        found.append(paired_bd_bootstrap(rate, quality, rate * np.exp(gain), quality, resamples=600, seed=seed))
    return found


TRUTHS = {"averaged": 100 * np.expm1(MEAN + SPREAD**2 / 2 + TOGETHER * SPREAD * CONTENT),
          "per_image": 100 * np.expm1(MEAN + SPREAD**2 / 2)}


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize("convention", TRUTHS)
def test_intervals_cover_the_truth(trials, convention, method):
    intervals = np.array([getattr(one, convention).interval(0.95, method) for one in trials])
    truth = TRUTHS[convention]
    covered = (intervals[:, 0] <= truth) & (truth <= intervals[:, 1])
    assert 0.93 <= covered.mean() <= 0.97
    assert (intervals[:, 0] > truth).mean() < 0.05 and (intervals[:, 1] < truth).mean() < 0.05


@pytest.mark.parametrize("convention", TRUTHS)
def test_p_values_are_uniform_under_the_null(trials, convention):
    """The share of trials with a p-value up to each level is that level, within some three standard errors."""
    for test in ("p_below", "p_above"):
        p_values = np.array([getattr(getattr(one, convention), test)(TRUTHS[convention]) for one in trials])
        for level in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9):
            error = np.sqrt(level * (1 - level) / TRIALS)
            assert abs((p_values <= level).mean() - level) < 3 * error + 0.005, (test, level)


def test_the_benchmark_compares_equal_values(monkeypatch):
    monkeypatch.setattr(benchmark, "PART", 50)
    report = benchmark.run("cpu", quick=True)
    (ratio,) = report.ratios
    assert ratio.goal == 0.01 and ratio.ratios.median > 0
    difference = float(report.text.split("same resample: ")[1].split()[0])
    assert difference < 1e-10 and "first 5 resamples" in report.text
