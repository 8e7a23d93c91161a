"""Tables of the latency report from rows made by hand: every number computed again, what is missing or failed."""

from __future__ import annotations

import numpy as np
import pytest
from latency_reports import (  # noqa: F401 (fixtures)
    LARGE_SHAPE,
    OOM,
    ROWS,
    line_of,
    lines_of,
    numbers_in,
    report,
    report_of,
    stored,
    table_of,
    variant_rows,
)
from latency_samples import both, row, store
from msgspec.structs import replace as replace_row
from page_samples import build

from bench.reports.page.files import list_contents
from bench.results.latency_selection import compare_rows
from bench.results.rows import FAILED


class TestLatencyTable:
    @pytest.mark.parametrize(("name", "label"), [("hpcm_base", "HPCM-Base"), ("hpcm_large", "HPCM-Large"),
                                                 ("rwkv_phase1", "RWKV-1")])
    def test_numbers_of_every_timing(self, report, name, label):
        for direction in ("encode", "decode"):
            line = line_of(table_of(report, "timings"), variant=label, configuration="default", shape="768x512",
                           direction=direction)
            samples = np.array(stored(name, direction).samples_s) * 1000
            assert line["samples"] == 12 and line["warmup_calls"] == 2
            assert line["median_ms"] == pytest.approx(np.median(samples))
            assert (line["p10_ms"], line["p90_ms"]) == pytest.approx(tuple(np.quantile(samples, (0.1, 0.9))))
            assert (line["median_low_ms"], line["median_high_ms"]) == tuple(np.sort(samples)[[2, 9]])  # ranks 3, 10
            base = np.array(stored("hpcm_base", direction).samples_s) * 1000
            if name == "hpcm_base":
                assert line["vs_base"] is None
            else:
                assert line["vs_base"] == pytest.approx(np.median(samples) / np.median(base))
                assert line["vs_base_low"] < line["vs_base"] < line["vs_base_high"] and line["vs_base_differs"]

    def test_cells_for_readers_say_the_same(self, report):
        line = next(line for line in lines_of(table_of(report, "latency")) if line["variant"] == "HPCM-Large")
        samples = np.array(stored("hpcm_large", "decode").samples_s) * 1000
        shown = numbers_in(line["decode_ms"])
        assert shown == pytest.approx([np.median(samples), *np.quantile(samples, (0.1, 0.9))], rel=2e-3)
        assert line["decode_first_ms"] == 1500 and line["samples"] == "12" and line["bpp"] == 0.75
        assert line["weights"] == "synthetic"
        base = stored("hpcm_base", "decode")
        found = compare_rows(stored("hpcm_large", "decode"), base)
        assert numbers_in(line["decode_vs_base"]) == pytest.approx([found.value, found.low, found.high], abs=0.005)
        base_line = next(line for line in lines_of(table_of(report, "latency")) if line["variant"] == "HPCM-Base")
        assert base_line["encode_vs_base"] == "1"

    def test_frames_stand_apart_the_usual_one_first(self, report):
        table = table_of(report, "latency")
        (first, usual), (second, large) = table.headings
        assert (first, usual, large) == (0, "768x512", "2048x1365")
        assert [line["variant"] for line in lines_of(table)[second:]] == ["HPCM-Base", "HPCM-Large"]

    def test_equal_variants_are_marked_as_such(self):
        rows = variant_rows("hpcm_base", 1, 1.0) + variant_rows("hpcm_large", 1, 1.01)
        table = table_of(report_of(rows), "latency")
        assert line_of(table, variant="HPCM-Large")["encode_vs_base"].startswith("≈ 1.01 (")

    def test_synthetic_weights_and_the_protocol_are_said(self, report):
        for table in report.tables:
            assert any(note.startswith("Protocol: ") for note in table.notes)
        for name in ("latency", "memory", "stages", "complexity"):
            notes = " ".join(table_of(report, name).notes)
            assert "Synthetic weights" in notes and "2 threads of 4 CPUs" in notes and "torch 2.11.0" in notes

    def test_weights_of_a_checkpoint_are_named(self):
        rows = both("hpcm_base", weights="checkpoint, λ 0.013")
        table = table_of(report_of(rows), "latency")
        assert table.column("weights") == ["checkpoint, λ 0.013"]
        assert not any("Synthetic" in note for note in table.notes)


class TestStages:
    def test_medians_and_shares(self, report):
        line = line_of(table_of(report, "stage_values"), variant="RWKV-1", direction="encode", stage="analysis")
        assert (line["ms"], line["share_percent"], line["passes"]) == pytest.approx((40, 100 * 40 / 110, 3))
        line = line_of(table_of(report, "stages"), variant="RWKV-1", direction="encode")
        assert line["total_ms"] == pytest.approx(110) and line["sum_percent"] == pytest.approx(100 * (40 + 60) / 110)
        assert numbers_in(line["analysis_ms"]) == pytest.approx([40.0, 36])
        median = np.median(stored("rwkv_phase1", "encode").samples_s)
        assert line["marked_percent"] == pytest.approx(100 * 0.11 / median)

    def test_calls_of_the_coder(self, report):
        assert set(table_of(report, "stages").column("coder_calls")) == {"12"}

    def test_stages_in_the_order_of_a_pass_unknown_ones_last(self):
        rows = both("hpcm_base", stages_s={"other": [1.0], "rest": [1.0], "synthesis": [1.0], "analysis": [1.0]},
                    stage_totals_s=[4.0])
        keys = [column.key for column in table_of(report_of(rows), "stages").columns]
        assert [key for key in keys if key.endswith("_ms")] == ["analysis_ms", "synthesis_ms", "rest_ms", "other_ms",
                                                                "total_ms"]

    def test_rows_without_stages_have_no_line(self):
        rows = both("hpcm_base", stages_s={}, stage_totals_s=[]) + both("hpcm_large")
        assert table_of(report_of(rows), "stages").column("variant") == ["HPCM-Large"] * 2


class TestCosts:
    def test_memory(self, report):
        line = lines_of(table_of(report, "memory"))[1]
        assert line["variant"] == "HPCM-Large" and line["encode_peak_mb"] == line["decode_peak_mb"] == 1000
        assert line["weights_mb"] == 274 and line["encode_peak_stage"] == "rest"
        base_peak = 300e6 + 1000 * 768 * 512
        assert line["peak_vs_base_percent"] == pytest.approx(100 * (1e9 / base_peak - 1))
        assert (line["peak_rss_mb"], line["rss_mb"]) == (2500, 2000)
        assert "encode_reserved_mb" not in line  # nothing is reserved on a CPU

    def test_reserved_memory_of_a_gpu(self):
        rows = [row("hpcm_base", "encode", peak_reserved_bytes=7_000_000), row("hpcm_base", "decode")]
        line = lines_of(table_of(report_of(rows), "memory"))[0]
        assert line["encode_reserved_mb"] == 7 and line.get("decode_reserved_mb") is None

    def test_slope_per_megapixel(self, report):
        table = table_of(report, "memory_slope")
        assert line_of(table, variant="HPCM-Base")["encode_mb_per_megapixel"] == pytest.approx(1000)
        megapixels = (2048 * 1365 - 768 * 512) / 1e6
        assert line_of(table, variant="HPCM-Large")["decode_mb_per_megapixel"] == pytest.approx(2000 / megapixels)

    @pytest.mark.parametrize("shapes", [[(768, 512)], [(768, 512), (512, 768)]])
    def test_one_size_gives_no_slope_and_says_so(self, shapes):
        rows = [one for shape in shapes for one in both("hpcm_base", shape=shape)]
        table = table_of(report_of(rows), "memory_slope")
        assert table.column("shapes") == [", ".join(f"{width}x{height}" for width, height in shapes)]
        assert [column.key for column in table.columns] == ["variant", "shapes"]
        assert any("one size only" in note for note in table.notes)
        mixed = rows + both("hpcm_large") + both("hpcm_large", shape=LARGE_SHAPE)
        table = table_of(report_of(mixed), "memory_slope")
        assert line_of(table, variant="HPCM-Base")["encode_mb_per_megapixel"] is None
        assert line_of(table, variant="HPCM-Large")["encode_mb_per_megapixel"] == pytest.approx(1000)

    def test_complexity(self, report):
        line = line_of(table_of(report, "complexity"), variant="HPCM-Large")
        assert (line["parameters"], line["unused_parameters"], line["shape"]) == (89_718_803, 5, "768x512")
        assert line["parameters_vs_base_percent"] == pytest.approx(100 * (89_718_803 / 68_505_299 - 1))
        assert (line["encode_kmac_per_pixel"], line["encode_kmac_vs_base_percent"]) == pytest.approx((600, 20))
        assert line["uncounted"] == "aten.softmax"

    def test_an_operator_that_may_do_more_marks_the_figure(self):
        unknown = ("aten.native_layer_norm", "theirs.scan")
        rows = both("hpcm_base") + both("hpcm_large", uncounted=unknown)
        table = table_of(report_of(rows), "complexity")
        base, large = line_of(table, variant="HPCM-Base"), line_of(table, variant="HPCM-Large")
        assert base["encode_kmac_per_pixel"] == base["decode_kmac_per_pixel"] == 500
        assert large["encode_kmac_per_pixel"] == large["decode_kmac_per_pixel"] == "≥ 500.00"
        assert large.get("decode_kmac_vs_base_percent") is None and large["uncounted"] == ", ".join(unknown)

    def test_operations_of_a_batch_are_of_a_pixel(self):
        rows = both("hpcm_base", batch=4)
        assert table_of(report_of(rows), "complexity").column("decode_kmac_per_pixel") == [500]
        assert table_of(report_of(rows), "latency").headings == ((0, "768x512, 4 images a pass"),)


class TestConfigurations:
    def test_ratio_to_default_stream_and_exactness(self, report):
        table = table_of(report, "configurations")
        base, large = line_of(table, variant="HPCM-Base"), line_of(table, variant="HPCM-Large")
        usual, other = (stored("hpcm_base", "encode", configuration=one) for one in ("default", "channels-last"))
        found = compare_rows(other, usual)
        assert numbers_in(base["encode_vs_default"]) == pytest.approx([found.value, found.low, found.high], abs=0.005)
        assert (base["stream"], base["decode_matches"], base["remark"]) == ("same bytes", True, None)
        assert (large["stream"], large["decode_matches"]) == ("other bytes", False)
        assert "differs from the encoder's" in large["remark"]

    def test_other_configurations_stay_out_of_the_other_tables(self, report):
        for name in ("latency", "memory", "complexity"):
            assert table_of(report, name).column("variant").count("HPCM-Base") <= 2

    def test_without_any_there_is_no_such_table(self):
        assert "configurations" not in [table.name for table in report_of(both("hpcm_base")).tables]

    def test_failed_configuration_shows_its_reason(self):
        rows = both("hpcm_base") + both("hpcm_base", configuration="half precision", status=FAILED, reason="inexact")
        line = lines_of(table_of(report_of(rows), "configurations"))[0]
        assert line["remark"] == "failed: inexact"


class TestFailures:
    def test_failed_rows_stand_in_their_tables_with_their_reasons(self, report):
        reasons = table_of(report, "failures").column("reason")
        assert reasons == ["failed: ValueError: <b>"] + ["out of memory: OutOfMemoryError: 3 | 4 GB"] * 2
        for name in ("latency", "memory"):
            assert line_of(table_of(report, name), variant="WeConv-1")["remark"] == reasons[1]

    def test_markup_in_reasons_is_escaped(self, report):
        contents = list_contents(report)
        assert "&lt;b&gt;" in contents["index.html"].decode() and b"<b>" not in contents["index.html"]
        assert "3 \\| 4 GB" in contents["tables/failures.md"].decode()
        assert "Co\\_1" in contents["tables/failures.tex"].decode()

    def test_a_device_where_everything_failed(self, tmp_path):
        results = store(tmp_path / "results", both("hpcm_base", **OOM))
        paths = build("latency", results, tmp_path / "reports")
        text = paths[0].read_text(encoding="utf-8")
        assert "3 \\| 4 GB" in text and "was not measured here" in text

    def test_load_is_a_warning_at_every_table(self):
        state = {"warnings": ["other processes kept 1.5 cores busy"]}
        rows = both("hpcm_base") + both("hpcm_large", state=state)
        report = report_of(rows)
        assert "1.5 cores" in report.warnings[0] and "1.5 cores" in table_of(report, "latency").warnings[0]
        assert not report_of(both("hpcm_base")).warnings

    def test_many_warnings_are_counted(self):
        rows = [replace_row(one, state={"warnings": [f"w{index}"]}) for index, one in enumerate(ROWS[:6])]
        warning, = report_of(rows).warnings
        assert "w0; w1; w2; and 3 more" in warning and "w3" not in warning
        assert "w5" in table_of(report_of(rows), "sessions").column("warnings")[0]


def test_without_the_base_there_are_no_ratios_and_the_report_says_so():
    report = report_of(both("hpcm_large") + both("rwkv_phase1"))
    assert any("hpcm_base was not measured" in line for line in report.intro)
    assert not [column.key for column in table_of(report, "latency").columns if column.key.endswith("vs_base")]
    assert not any("peak_vs_base" in column.key for column in table_of(report, "memory").columns)


def test_miniatures_are_marked():
    report = report_of(both("hpcm_base") + both("hpcm_base_mini", miniature=True))
    assert "Mini (miniature)" in table_of(report, "latency").column("variant")
    assert any("not the authors' models" in line for line in report.intro)
