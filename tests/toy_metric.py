"""A quality metric from elsewhere that falls with quality: the mean absolute difference of samples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from bench.metrics.quality import METRICS, QualityMetric, QualityScale, add_metric


def mean_difference(original: np.ndarray, decoded: np.ndarray) -> float:
    return float(np.abs(original.astype(int) - decoded).mean())


MEAN_DIFFERENCE = QualityMetric(
    name="mae", label="MAE", compute=mean_difference, higher_is_better=False, headline=True,
    scale=QualityScale("mae_levels", "MAE", "levels", digits=3, low=0, spellings=("mae",)),
    citation="mean absolute difference of 8-bit samples",
)


@contextmanager
def registered_metric() -> Iterator[None]:
    """The metric is registered, as a plug-in's would be."""
    add_metric(MEAN_DIFFERENCE)
    try:
        yield
    finally:
        del METRICS._entries["mae"]
