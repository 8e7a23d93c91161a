"""BD-rate and image fidelity: numpy in, frozen dataclasses out, no files and no torch."""

from bench.metrics.bdrate import METHODS, BDResult, MethodSpread, bd_quality, bd_rate, method_spread
from bench.metrics.curves import Curve
from bench.metrics.per_image import PerImageBD, per_image_bd

__all__ = [
    "METHODS", "BDResult", "Curve", "MethodSpread", "PerImageBD", "bd_quality", "bd_rate", "method_spread",
    "per_image_bd",
]
