"""BD-rate, image quality and statistics: numpy in, frozen dataclasses out, no files; torch in MS-SSIM alone."""

from bench.metrics.rate.bdrate import METHODS, BDResult, MethodSpread, bd_quality, bd_rate, method_spread
from bench.metrics.rate.curves import Curve
from bench.metrics.rate.per_image import PerImageBD, per_image_bd
from bench.metrics.statistics.bootstrap import BDBootstrap, paired_bd_bootstrap
from bench.metrics.statistics.estimates import Estimate, Exact, Student
from bench.metrics.statistics.ratios import ratio_estimate
from bench.metrics.statistics.resampled import Resampled
from bench.metrics.statistics.verdicts import adjust_by_holm

__all__ = [
    "METHODS", "BDBootstrap", "BDResult", "Curve", "Estimate", "Exact", "MethodSpread", "PerImageBD", "Resampled",
    "Student", "adjust_by_holm", "bd_quality", "bd_rate", "method_spread", "paired_bd_bootstrap", "per_image_bd",
    "ratio_estimate",
]
