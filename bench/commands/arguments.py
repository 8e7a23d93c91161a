"""What several verbs accept on the command line."""

from __future__ import annotations

import argparse


def names(text: str) -> list[str]:
    """"a, b" as ["a", "b"]."""
    return [name.strip() for name in text.split(",") if name.strip()]


def positive(text: str) -> int:
    """A whole number above 0."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number
