"""Operators that models share."""

from bench.operators.biwkv import biwkv

__all__ = ["biwkv"]
