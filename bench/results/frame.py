"""Stored rows as a pandas frame, for whoever wants to group and filter them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pandas as pd

from bench.metrics.quality import known_metrics
from bench.results.rows import Row

NESTED = ("identity", "provenance", "quality", "quality_missing", "quality_versions", "padding", "warnings")


def make_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Return one line a row: its plain fields, ``device``, and the columns of every quality metric that a row holds.

    Args:
        rows: stored rows.

    Returns:
        A frame in the order of ``rows``; missing values are NaN or None.
    """
    rows = list(rows)
    measured = {name for row in rows for name in row.quality}
    metrics = [metric for metric in known_metrics() if metric.name in measured]

    records = []
    for row in rows:
        fields = msgspec.structs.asdict(row)
        record = {name: value for name, value in fields.items() if name not in NESTED}
        record["device"] = row.provenance.device
        for metric in metrics:
            record[metric.scale.column] = row.quality.get(metric.name)
            record[metric.on_curves.column] = row.curve_quality(metric.name)
        records.append(record)
    return pd.DataFrame.from_records(records)
