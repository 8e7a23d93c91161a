"""BD-rate and BD-quality against an independent implementation's figures, and by their properties."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from bench.common.errors import ConfigurationError
from bench.metrics import METHODS, Curve, bd_quality, bd_rate, method_spread

REFERENCE = json.loads((Path(__file__).parent / "reference" / "bd_rate.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}
EDGE_CASES = {case["name"]: case for case in REFERENCE["edge_cases"]}


def pair(case: dict) -> tuple[Curve, Curve]:
    return (Curve(case["rate_anchor"], case["quality_anchor"], "anchor"),
            Curve(case["rate_test"], case["quality_test"], "test"))


def random_pair(seed: int) -> tuple[Curve, Curve]:
    """Two rising curves of 4 to 8 points that overlap well."""
    generator = np.random.default_rng(seed)
    curves = []
    for _ in range(2):
        count = generator.integers(4, 9)
        rate = 0.1 * np.cumprod(generator.uniform(1.3, 1.8, count)) * generator.uniform(0.9, 1.1)
        curves.append(Curve(rate, 40 + 6 * np.log2(rate) + generator.uniform(-0.3, 0.3, count)))
    return curves[0], curves[1]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("method", METHODS)
def test_reference_values(name, method):
    case = CASES[name]
    rate, quality = (measure(*pair(case), method, min_overlap=0.0) for measure in (bd_rate, bd_quality))
    assert rate.value == pytest.approx(case["bd_rate_percent"][method], abs=1e-9)
    assert quality.value == pytest.approx(case["bd_psnr_db"][method], abs=1e-9)
    assert rate.overlap == pytest.approx(case["overlap_quality"], abs=1e-9)
    assert quality.overlap == pytest.approx(case["overlap_log_rate"], abs=1e-9)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("measure, share", [(bd_rate, "overlap_quality"), (bd_quality, "overlap_log_rate")])
def test_overlap_decides_about_number_and_warning(name, measure, share):
    case = CASES[name]
    result = measure(*pair(case))
    assert (result.value is None) == (case[share] < 0.5)
    assert ("below 50%" in (result.reason or "")) == (case[share] < 0.5)
    assert bool(result.warnings) == (0.5 <= case[share] < 0.75)
    assert result.interval is not None


def test_interval_is_the_common_range():
    case = CASES["four_points_near_full_overlap"]
    assert bd_rate(*pair(case)).interval == (32.5, 37.8)
    assert bd_quality(*pair(case)).interval == pytest.approx((math.log10(0.25), math.log10(0.8)))


@pytest.mark.parametrize("name, named", [
    ("no_overlap", "no range"), ("two_points", "(0.2, 30), (0.6, 35)"),
    ("three_points", "3 points, 4 are needed"),
    ("non_monotonic_quality", "anchor: rate and quality must both rise from point to point, "
                              "but there is (0.4, 33) then (0.6, 32.8)"),
    ("repeated_point", "(0.4, 33) then (0.4, 33)"), ("zero_rate", "(0, 30)"),
])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("measure", [bd_rate, bd_quality])
def test_refused_edge_cases_name_the_points(name, named, method, measure):
    result = measure(*pair(EDGE_CASES[name]), method, min_overlap=0.0)
    assert result.value is None and named in result.reason


def test_order_of_points_does_not_matter():
    """The reference sorts only for its polynomial; the other two methods have values by its competitor."""
    case = EDGE_CASES["shuffled_points"]
    assert bd_rate(*pair(case), "cubic").value == pytest.approx(
        case["bd_rate_percent"]["cubic"]["value"], abs=1e-9)
    for method in ("pchip", "akima"):  # integrated there by the trapezoidal rule over 1000 samples
        assert bd_rate(*pair(case), method).value == pytest.approx(
            case["phase5_bd_rate_percent"][method]["value"], abs=1e-5)
        assert bd_quality(*pair(case), method).value == pytest.approx(
            case["phase5_bd_psnr_db"][method]["value"], abs=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1])
def test_impossible_rates_are_named(bad):
    curve = Curve([0.1, 0.2, 0.4, bad], [30, 32, 34, 36], "mine")
    result = bd_rate(curve, Curve([0.1, 0.2, 0.4, 0.8], [30, 32, 34, 36]))
    assert result.value is None and "mine" in result.reason and f"({bad:g}, 36)" in result.reason


def test_infinite_quality_is_named():
    result = bd_rate(Curve([0.1, 0.2, 0.4, 0.8], [30, 32, 34, math.inf]), random_pair(0)[0])
    assert result.value is None and "(0.8, inf)" in result.reason


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="3 rates but 2 qualities"):
        Curve([1, 2, 3], [1, 2])


def test_unknown_method_is_named():
    with pytest.raises(ConfigurationError, match="pchip"):
        bd_rate(*random_pair(0), method="pchpi")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(5))
def test_identity_is_zero(method, seed):
    curve = random_pair(seed)[0]
    assert bd_rate(curve, curve, method).value == 0
    assert bd_quality(curve, curve, method).value == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [0.5, 0.9, 1.25, 3.0])
def test_scaled_rate_gives_its_factor(method, factor):
    curve = random_pair(3)[0]
    scaled = Curve([factor * rate for rate in curve.rate], curve.quality)
    assert bd_rate(curve, scaled, method).value == pytest.approx(100 * (factor - 1), abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_shifted_quality_gives_its_shift(method):
    curve = random_pair(4)[0]
    shifted = Curve(curve.rate, [quality + 0.7 for quality in curve.quality])
    assert bd_quality(curve, shifted, method).value == pytest.approx(0.7, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(5))
def test_swapped_curves_are_reciprocal(method, seed):
    first, second = random_pair(seed)
    there, back = (bd_rate(*curves, method, 0.0).value for curves in ((first, second), (second, first)))
    assert there != 0
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1, abs=1e-12)
    assert bd_quality(first, second, method, 0.0).value == pytest.approx(
        -bd_quality(second, first, method, 0.0).value, abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(5))
def test_unit_of_rate_does_not_matter(method, seed):
    first, second = random_pair(seed)
    scaled = [Curve([393216 * rate for rate in curve.rate], curve.quality) for curve in (first, second)]
    for measure in (bd_rate, bd_quality):
        assert measure(*scaled, method, 0.0).value == pytest.approx(
            measure(first, second, method, 0.0).value, abs=1e-8)


def test_straight_lines_have_a_closed_form():
    """Curves that are straight in log rate, unequal in range: nothing is extrapolated, all methods agree."""
    anchor = Curve([0.1, 0.2, 0.4, 0.8, 1.6], [30, 33, 36, 39, 42])
    test = Curve([0.2, 0.4, 0.8, 1.6, 3.2], [33.6, 36.6, 39.6, 42.6, 45.6])  # 0.6 dB better everywhere
    for method in METHODS:
        assert bd_rate(anchor, test, method).value == pytest.approx(100 * (2**-0.2 - 1), abs=1e-9)
        assert bd_quality(anchor, test, method).value == pytest.approx(0.6, abs=1e-9)


def test_spread_over_methods():
    smooth = method_spread(*pair(CASES["crossing_curves_five_points"]))
    values = CASES["crossing_curves_five_points"]["bd_rate_percent"].values()
    assert smooth.points == pytest.approx(max(values) - min(values), abs=1e-9) and not smooth.warnings
    kinked = Curve([0.1, 0.2, 0.4, 0.7, 1.1, 1.5], [28.0, 30.8, 30.9, 35.4, 35.5, 38.2], "kinked")
    spread = method_spread(Curve([0.1, 0.2, 0.4, 0.7, 1.1], [28.0, 30.8, 33.4, 35.4, 37.1]), kinked)
    assert spread.points > 0.3 and "interpolations differ" in spread.warnings[0]


def test_spread_without_numbers():
    spread = method_spread(*pair(EDGE_CASES["no_overlap"]))
    assert spread.points is None and all(result.value is None for result in spread.results.values())
