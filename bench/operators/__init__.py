"""Operators that models share."""

from bench.operators.biwkv import biwkv
from bench.operators.kernels import KERNELS
from bench.operators.native import Implementation

identity, status = KERNELS.identity, KERNELS.status  # of Bi-WKV

__all__ = ["Implementation", "biwkv", "identity", "status"]
