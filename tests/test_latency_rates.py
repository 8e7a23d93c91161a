"""Rate against decode time: which rates, and when there is a plot."""

from __future__ import annotations

import numpy as np
import pytest
from latency_reports import ROWS, device_of, report, stored  # noqa: F401 (fixtures)
from latency_samples import both, store
from msgspec.structs import replace as replace_row
from test_report import make_rows
from test_report import store as store_rd

from bench.reports.latency.rates import compare_rates
from bench.reports.latency.report import make_latency_report
from bench.results.stored import StoredResults


class TestRatePlot:
    def test_published_rates_only_of_the_same_model(self, tmp_path):
        plot = compare_rates(device_of(ROWS), StoredResults(tmp_path))
        assert [(point.label, round(point.saving_percent, 2)) for point in plot.points] == [
            ("HPCM-Base", 15.43), ("HPCM-Large", 19.39)]
        assert all(point.published for point in plot.points) and plot.left_out == ("RWKV-1",)
        decode = np.median(stored("hpcm_base", "decode").samples_s)
        assert plot.points[0].decode_ms == pytest.approx(1000 * decode)

    def test_stored_rows_come_first(self, tmp_path):
        rows = [replace_row(one, name="rwkv_phase1", label="RWKV-1", codec="learned") for one in make_rows("webp")]
        plot = compare_rates(device_of(ROWS), StoredResults(store_rd(tmp_path, rows)))
        point, = (point for point in plot.points if point.label == "RWKV-1")
        assert not point.published and plot.left_out == ()

    @pytest.mark.usefixtures("undrawn")
    def test_too_few_points_are_no_plot(self, tmp_path):
        results = store(tmp_path / "results", both("rwkv_phase1"))
        report = make_latency_report(StoredResults(results), "cpu-test")
        assert not any("rate_against_time" in figure.name for figure in report.figures)
        assert any("no plot of rate saving" in line for line in report.intro)
