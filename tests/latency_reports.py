"""Rows of a device made by hand, and what the tests ask of reports of them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from latency_samples import both, row

from bench.reports.latency.device import MeasuredDevice
from bench.reports.latency.rates import RatePlot
from bench.reports.latency.report import assemble_latency
from bench.results.latency_selection import select_latency
from bench.results.rows import FAILED

LARGE_SHAPE = (2048, 1365)
OOM = {"status": "out of memory", "reason": "OutOfMemoryError: 3 | 4 GB"}


def noisy(seed: int, median_s: float, n: int = 12) -> list[float]:
    return (median_s * (1 + np.random.default_rng(seed).gamma(1, 0.05, n))).tolist()


def variant_rows(name: str, seed: int, factor: float, **values) -> list:
    """Both directions with their own noise."""
    return [row(name, direction, samples_s=noisy(seed + index, factor * base_s), first_s=factor, **values)
            for index, (direction, base_s) in enumerate((("encode", 0.1), ("decode", 0.2)))]


ROWS = [
    *variant_rows("hpcm_base", 1, 1.0),
    *variant_rows("hpcm_large", 11, 1.5, bpp=0.75, parameters=89_718_803, macs=600 * 1000 * 768 * 512,
                  peak_alloc_bytes=1_000_000_000, unused_parameters=5),
    *variant_rows("rwkv_phase1", 21, 1.2, stages_s={"analysis": [0.03, 0.05, 0.04], "context s3": [0.06, 0.06, 0.08]},
                  stage_totals_s=[0.1, 0.12, 0.11]),
    *variant_rows("hpcm_base", 31, 4.0, shape=LARGE_SHAPE),
    *variant_rows("hpcm_large", 41, 6.0, shape=LARGE_SHAPE, peak_alloc_bytes=3_000_000_000),
    *variant_rows("hpcm_base", 51, 0.7, configuration="channels-last"),
    *variant_rows("hpcm_large", 61, 0.9, configuration="half precision", changes_stream=True, decode_matches=False),
    *both("weconv_phase1", label="WeConv-1", **OOM),
    row("lalic", "encode", status=FAILED, reason="ValueError: <b>"),
]


def device_of(rows) -> MeasuredDevice:
    return MeasuredDevice.from_selection(select_latency(rows))


def report_of(rows, judgements=()):
    return assemble_latency("cpu-test", device_of(rows), judgements, RatePlot("VTM", (), ()))


def table_of(report, name: str):
    return next(table for table in report.tables if table.name == name)


def lines_of(table) -> list[dict]:
    keys = [column.key for column in table.columns]
    return [dict(zip(keys, cells)) for cells in table.rows]


def line_of(table, **wanted) -> dict:
    found = [line for line in lines_of(table) if all(line[key] == value for key, value in wanted.items())]
    assert len(found) == 1
    return found[0]


def numbers_in(text: str) -> list[float]:
    return [float(number.replace("−", "-")) for number in re.findall(r"[−-]?\d+(?:\.\d+)?", text)]


def stored(name: str, direction: str, shape=(768, 512), configuration="default"):
    return next(one for one in ROWS if (one.name, one.direction, (one.width, one.height), one.configuration)
                == (name, direction, shape, configuration))


@pytest.fixture(scope="module")
def report():
    return report_of(ROWS)
