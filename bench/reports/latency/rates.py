"""BD-rates of the variants whose decode time was measured: from stored rows, else of the same model's publication."""

from __future__ import annotations

from dataclasses import dataclass

from bench.metrics.statistics.timing import summarise_times
from bench.reports.latency.device import MeasuredDevice
from bench.reports.rate.compared import compare_dataset
from bench.reports.rate.curves import HPCM_BASE_PUBLISHED, MEASURED, PUBLISHED
from bench.results.latency_rows import DECODE
from bench.results.stored import StoredResults

DATASET = "kodak"
FEWEST_POINTS = 2  # of the plot
SAME_MODEL = {  # variant: published curve of the very same model
    "hpcm_base": HPCM_BASE_PUBLISHED, "hpcm_large": "hpcm-large-mse", "lalic": "lalic-mse",
    "cheng2020_attn": "cheng2020-attn-mse-compressai",
    "hpcm_base_ms_ssim": "hpcm-base-ms-ssim", "hpcm_large_ms_ssim": "hpcm-large-ms-ssim",
}


@dataclass(frozen=True)
class RatePoint:
    """A variant in the plot; ``saving_percent`` is the BD-rate with its sign turned."""

    label: str
    decode_ms: float
    saving_percent: float
    published: bool
    shape: str


@dataclass(frozen=True)
class RatePlot:
    """What the plot shows, and which timed variants it leaves out for want of a BD-rate."""

    anchor: str
    points: tuple[RatePoint, ...]
    left_out: tuple[str, ...]

    @property
    def enough(self) -> bool:
        """Whether there is something to compare."""
        return len(self.points) >= FEWEST_POINTS


def compare_rates(device: MeasuredDevice, results: StoredResults) -> RatePlot:
    """Return a point for every timed variant that has a BD-rate on Kodak against the default anchor.

    Raises:
        BenchError: an imported curve is damaged.
    """
    group = results.derive(compare_dataset, DATASET).groups[0]
    comparisons = {(one.test.origin, one.test.name): one for one in group.comparisons}
    points, left_out = [], []
    for case in device.headline_cases:
        row = case.measured(DECODE)
        if row is None:
            continue
        label = device.labels[case.name]
        for key in ((MEASURED, case.name), (PUBLISHED, SAME_MODEL.get(case.name, ""))):
            bd_rate = comparisons[key].bd_rate_percent if key in comparisons else None
            if bd_rate is not None:
                points.append(RatePoint(label, 1000 * summarise_times(row.samples_s).median, -bd_rate,
                                        key[0] == PUBLISHED, case.conditions.shape))
                break
        else:
            left_out.append(label)
    return RatePlot(group.anchor.label, tuple(points), tuple(left_out))
