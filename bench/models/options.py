"""Checks of options: the ``ValueError`` names the option and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any


def check_flags(**flags: Any) -> None:
    """Refuse what is neither true nor false: a text such as "false" would count as true.

    Args:
        flags: values by the option's name.

    Raises:
        ValueError: one is something else.
    """
    _refuse(flags, lambda value: not isinstance(value, bool), "true or false")


def check_whole(least: int = 1, **numbers: Any) -> None:
    """Refuse what is no whole number of at least ``least``.

    Args:
        least: smallest value allowed.
        numbers: values by the option's name.

    Raises:
        ValueError: one is something else.
    """
    _refuse(numbers, lambda value: type(value) is not int or value < least, f"a whole number of at least {least}")


def check_positive(**numbers: Any) -> None:
    """Refuse what is no positive finite number.

    Args:
        numbers: values by the option's name.

    Raises:
        ValueError: one is something else.
    """
    _refuse(numbers, lambda value: type(value) not in (int, float) or not 0 < value < math.inf, "a positive number")


def _refuse(values: Mapping[str, Any], is_wrong: Callable[[Any], bool], wanted: str) -> None:
    """Raise ValueError for the first wrong value."""
    for name, value in values.items():
        if is_wrong(value):
            raise ValueError(f"{name} must be {wanted}, not {value!r}")


def check_counts(name: str, values: Any, lengths: tuple[int, ...] = (), least: int = 0) -> None:
    """Refuse what is no list of whole numbers.

    Args:
        name: of the option.
        values: what is checked.
        lengths: allowed lengths of the list; any but 0 where none are given.
        least: smallest number allowed.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(values, (list, tuple)) or not values or (lengths and len(values) not in lengths):
        raise ValueError(f"{name} must be a list of {' or '.join(map(str, lengths)) or 'some'} whole numbers,"
                         f" not {values!r}")
    for value in values:
        check_whole(least, **{f"each of {name}": value})


def divisors(number: int) -> str:
    """List all divisors of a number.

    Args:
        number: positive.

    Returns:
        Text such as "1, 2, 4".
    """
    return ", ".join(str(n) for n in range(1, number + 1) if number % n == 0)
