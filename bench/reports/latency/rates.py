"""BD-rates of the variants whose decode time was measured: from stored rows, else of the same model's publication."""

from __future__ import annotations

from dataclasses import dataclass

from bench.metrics.quality import headline_metrics
from bench.metrics.statistics.timing import summarise_times
from bench.reports.latency.device import MeasuredDevice
from bench.reports.rate.comparison import ComparedCodec, compare_codecs, group_by_codec
from bench.reports.rate.coverage import coverage_of
from bench.reports.rate.curves import ANCHOR, HPCM_BASE_PUBLISHED, PUBLISHED, measured_curves, reference_curves
from bench.results.latency_rows import DECODE
from bench.results.stored import StoredResults

DATASET = "kodak"
FEWEST_POINTS = 2  # of the plot
SAME_MODEL = {  # variant: published curve of the very same model
    "hpcm_base": HPCM_BASE_PUBLISHED, "hpcm_large": "hpcm-large-mse", "lalic": "lalic-mse",
    "cheng2020_attn": "cheng2020-attn-mse-compressai",
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
    measured, references = _find_codecs(results)
    anchor = next(codec for codec in references.values() if codec.origin == ANCHOR)
    points, left_out = [], []
    for case in device.headline_cases:
        row = case.measured(DECODE)
        if row is None:
            continue
        label = device.labels[case.name]
        for codec in (measured.get(case.name), references.get(SAME_MODEL.get(case.name, ""))):
            bd_rate = None if codec is None else compare_codecs(anchor, codec).bd_rate_percent
            if codec is not None and bd_rate is not None:
                points.append(RatePoint(label, 1000 * summarise_times(row.samples_s).median, -bd_rate,
                                        codec.origin == PUBLISHED, case.conditions.shape))
                break
        else:
            left_out.append(label)
    return RatePlot(anchor.label, tuple(points), tuple(left_out))


def _find_codecs(results: StoredResults) -> tuple[dict[str, ComparedCodec], dict[str, ComparedCodec]]:
    """Measured codecs and references by name."""
    selection = results.selection(DATASET)
    total = coverage_of(selection).total
    curves = [curve for metric in headline_metrics() for curve in measured_curves(selection, metric.name, total)]
    references = group_by_codec(reference_curves(DATASET, results.root, total))
    return {one.name: one for one in group_by_codec(curves)}, {one.name: one for one in references}
