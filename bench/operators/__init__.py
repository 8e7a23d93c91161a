"""Operators that models share."""

from bench.operators.biwkv import biwkv
from bench.operators.kernels import Implementation, identity, status

__all__ = ["Implementation", "biwkv", "identity", "status"]
