"""P(2/3, x), the regularised lower incomplete gamma function, in float32 and the same on every machine.

The steps are those of ``torch.special.gammainc`` on the CPU (Cephes' igam and igamc) for this one shape, in their order
and each rounded to float32; functions such as exp are correctly rounded. Published streams were coded with tables of
such values: true ones, of float64, would move entries in one table row of twenty.
"""

from __future__ import annotations

import numpy as np

from bench.models.rounding import Array, exp, expm1, log, power

ONE = np.float32(1)
SHAPE = ONE / np.float32(1.5)
LOG_GAMMA, LOG_GAMMA_NEXT = np.float32(0.30315024), np.float32(-0.102314815)  # of the shape, of the shape + 1
LANCZOS_BASE, LANCZOS_FACTOR = np.float32(6.1913466), np.float32(1.2784114)  # shape + g - 1/2; scaled 1 / Γ(shape)
NEAR = np.float32(0.4) * SHAPE  # of the shape: there Lanczos' form of the leading factor is the more precise
FRACTION_FROM = np.float32(1.1)  # below it, Q is a series
EPSILON, BIG = np.float32(2**-24), np.float32(2**24)  # terms that end a sum; numerators that are scaled down


def incomplete_gamma(x: Array) -> Array:
    """Compute P(2/3, x).

    Args:
        x: float32, not negative, (n,).

    Returns:
        float32 (n,), from 0 to 1.
    """
    low, high = (x > 0) & (x <= ONE), x >= FRACTION_FROM
    middle = (x > ONE) & ~high

    result = np.zeros_like(x)
    result[low] = _sum_lower(x[low])
    result[middle] = ONE - _sum_upper(x[middle])
    result[high] = ONE - _expand_fraction(x[high])
    return result


def _leading_factor(x: Array) -> Array:
    """x^a exp(-x) / Γ(a)."""
    near = LANCZOS_FACTOR * (exp(SHAPE - x) * power(x / LANCZOS_BASE, SHAPE))
    return np.where(np.abs(SHAPE - x) < NEAR, near, exp(SHAPE * log(x) - x - LOG_GAMMA))


def _sum_lower(x: Array) -> Array:
    """P by its power series (DLMF 8.11.4)."""
    divisor = SHAPE
    term, total = np.ones_like(x), np.ones_like(x)

    going = np.ones(len(x), bool)
    while going.any():
        divisor = divisor + ONE
        term = term * (x / divisor)
        total = np.where(going, total + term, total)
        going &= term > EPSILON * total
    return total * _leading_factor(x) / SHAPE


def _sum_upper(x: Array) -> Array:
    """1 - P by its series (DLMF 8.7.3)."""
    number = np.float32(0)
    power_term, total = np.ones_like(x), np.zeros_like(x)

    going = np.ones(len(x), bool)
    while going.any():
        number = number + ONE
        power_term = power_term * (-x / number)
        term = power_term / (SHAPE + number)
        total = np.where(going, total + term, total)
        going &= np.abs(term) > EPSILON * np.abs(total)

    log_power = SHAPE * log(x)
    return -expm1(log_power - LOG_GAMMA_NEXT) - exp(log_power - LOG_GAMMA) * total


def _expand_fraction(x: Array) -> Array:
    """1 - P by its continued fraction (DLMF 8.9.2)."""
    number, step = np.float32(0), ONE - SHAPE
    base = x + step + ONE
    older, newer = np.stack((np.ones_like(x), x)), np.stack((x + ONE, base * x))  # numerators and denominators
    result = newer[0] / newer[1]

    going = np.ones(len(x), bool)
    while going.any():
        number, step, base = number + ONE, step + ONE, base + np.float32(2)
        older, newer = newer, newer * base - older * (step * number)

        convergent = newer[0] / newer[1]
        change = np.abs((result - convergent) / convergent)
        result = np.where(going, convergent, result)
        going &= change > EPSILON

        scale = np.where(np.abs(newer[0]) > BIG, ONE / BIG, ONE)
        older, newer = older * scale, newer * scale
    return result * _leading_factor(x)
