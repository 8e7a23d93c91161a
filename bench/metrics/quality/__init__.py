"""How good a decoded picture is, as a metric of two 8-bit RGB images: one entry a metric in one registry."""

from bench.metrics.quality.compute import Quality, measure_quality
from bench.metrics.quality.metric import (
    METRICS,
    NoValue,
    QualityMetric,
    QualityScale,
    add_metric,
    available_metrics,
    choose_metrics,
    headline_metrics,
    known_metrics,
)
from bench.metrics.quality.ms_ssim import MS_SSIM
from bench.metrics.quality.psnr import PSNR, PSNR_COMPONENTS

for _metric in (PSNR, *PSNR_COMPONENTS, MS_SSIM):  # tables have them in this order
    add_metric(_metric)

__all__ = [
    "METRICS", "MS_SSIM", "NoValue", "PSNR", "Quality", "QualityMetric", "QualityScale", "add_metric",
    "available_metrics", "choose_metrics",
    "headline_metrics", "known_metrics", "measure_quality",
]
