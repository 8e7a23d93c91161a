"""BD-rate, image fidelity and statistics: numpy in, frozen dataclasses out, no files and no torch."""

from bench.metrics.bdrate import METHODS, BDResult, MethodSpread, bd_quality, bd_rate, method_spread
from bench.metrics.bootstrap import BDBootstrap, paired_bd_bootstrap
from bench.metrics.curves import Curve
from bench.metrics.estimates import Estimate, Exact, Resampled, Student, ratio_estimate
from bench.metrics.multiplicity import holm
from bench.metrics.per_image import PerImageBD, per_image_bd

__all__ = [
    "METHODS", "BDBootstrap", "BDResult", "Curve", "Estimate", "Exact", "MethodSpread", "PerImageBD", "Resampled",
    "Student", "bd_quality", "bd_rate", "holm", "method_spread", "paired_bd_bootstrap", "per_image_bd",
    "ratio_estimate",
]
