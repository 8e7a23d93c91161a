"""Correctly rounded float32 functions and the incomplete gamma function, against mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from bench.models import rounding
from bench.models.compressai_tables import erfc
from bench.models.incomplete_gamma import incomplete_gamma
from bench.models.rounding import CorrectlyRounded

RANDOM = np.random.default_rng(0)
ANY = RANDOM.uniform(-8, 8, 400).astype(np.float32)
CASES = {
    "exp": (rounding.exp, ANY * 10), "expm1": (rounding.expm1, ANY / 100), "tanh": (rounding.tanh, ANY / 2),
    "log": (rounding.log, np.exp(ANY)), "log1p": (rounding.log1p, np.exp(ANY)), "erfc": (erfc, ANY),
}


def nearest(value: mpmath.mpf) -> np.float32:
    """The float32 number nearest to a value of mpmath's, found among three neighbours."""
    near = np.float32(float(value))
    around = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
    return min(around, key=lambda number: abs(mpmath.mpf(float(number)) - value))


def round_exactly(name: str, *arguments: np.ndarray) -> list[float]:
    with mpmath.workdps(40):
        return [float(nearest(getattr(mpmath, name)(*map(mpmath.mpf, map(float, each))))) for each in zip(*arguments)]


@pytest.mark.parametrize("name", CASES)
def test_functions_give_the_nearest_float32_number(name: str) -> None:
    function, x = CASES[name]
    result = function(x)
    assert result.dtype == np.float32
    assert result.tolist() == round_exactly(name, x)


def test_power_gives_the_nearest_float32_number() -> None:
    x, exponent = np.exp(ANY), np.full_like(ANY, 2 / 3)
    assert rounding.power(x, exponent).tolist() == round_exactly("power", x, exponent)


@pytest.mark.parametrize("sign", [-1, 1])
def test_error_of_the_library_does_not_matter_within_its_bound(sign: int) -> None:
    x = np.linspace(-5, 5, 20001, dtype=np.float32)
    rough = CorrectlyRounded("exp", lambda wide: np.exp(wide) * (1 + sign * 9e-10), 1e-9)
    assert np.array_equal(rough(x), rounding.exp(x))
    assert rough.decisions > 100
    assert not np.array_equal((np.exp(x.astype(float)) * (1 + sign * 9e-10)).astype(np.float32), rounding.exp(x))


def test_results_beyond_float32_and_single_numbers() -> None:
    assert rounding.exp(np.array([200.0, -200.0, 0.0])).tolist() == [np.inf, 0, 1]
    assert rounding.exp(np.float32(0)).dtype == np.float32
    assert np.isnan(rounding.log(np.array([-1.0]))).all()


def test_incomplete_gamma_function_is_right_to_float32() -> None:
    edges = [1e-6, 0.39, 0.4, 0.41, 0.93, 0.94, 1.0, np.nextafter(np.float32(1), 2), 1.1, 1.11, 16, 30, 87, 90, 1e4]
    x = np.concatenate((np.array(edges), RANDOM.uniform(0, 12, 300))).astype(np.float32)
    with mpmath.workdps(30):
        exact = [float(mpmath.gammainc(mpmath.mpf(2) / 3, 0, float(value), regularized=True)) for value in x]
    np.testing.assert_allclose(incomplete_gamma(x), exact, rtol=4e-7)


def test_incomplete_gamma_function_rises_from_zero_to_one() -> None:
    x = np.linspace(0, 100, 2001, dtype=np.float32)
    result = incomplete_gamma(x)
    assert result[0] == 0 and result[-1] == 1 and result.dtype == np.float32
    assert (np.diff(result) > -2e-7).all()
