"""The latency report from rows made by hand: every table's numbers computed again, what is missing or failed."""

from __future__ import annotations

import csv
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from latency_samples import both, row, store
from msgspec.structs import replace as replace_row
from page_samples import build
from test_report import make_rows
from test_report import store as store_rd

from bench.claims.catalogue import COST_UNITS, Claim, load_claims
from bench.claims.judgement import judge_all
from bench.cli import main
from bench.common.errors import BenchError
from bench.metrics.statistics.verdicts import NOT_MEASURED, REFUTED
from bench.reports.claims.report import assemble_claims
from bench.reports.claims.tables import value_table
from bench.reports.claims.text import claimed_text, find_names
from bench.reports.kinds import build_reports
from bench.reports.latency.device import MeasuredDevice
from bench.reports.latency.rates import RatePlot, compare_rates
from bench.reports.latency.report import assemble_latency, make_latency_report
from bench.reports.page.files import list_contents
from bench.results.latency_selection import compare_rows, select_latency
from bench.results.rows import FAILED
from bench.results.stored import StoredResults
from bench.variants import load_variants

ROOT = Path(__file__).parents[1]
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


class TestSelection:
    def test_the_last_row_of_a_key_counts(self):
        rows = both("hpcm_base", 0.1, 0.2) + both("hpcm_base", 0.3, 0.4)
        selection = select_latency(rows)
        assert [row.samples_s for row in selection.rows] == [row.samples_s for row in rows[2:]]
        assert not selection.older  # one session that was told twice

    def test_a_session_that_was_interrupted_does_not_mix_with_a_whole_one(self):
        whole = both("hpcm_base", 0.1, 0.2)
        cut_off = row("hpcm_base", "encode", 0.3, session="s2", measured_at="2026-02-01T00:00:00+00:00")
        (case,) = select_latency([*whole, cut_off]).cases
        assert {one.session for one in case.rows} == {"s1"} and len(case.rows) == 2
        (alone,) = select_latency([cut_off]).cases
        assert alone.rows == (cut_off,)

    def test_a_newer_session_replaces_and_the_older_stays_listed(self):
        old = both("hpcm_base", session="old") + both("hpcm_large", session="old")
        new = both("hpcm_base", 0.5, session="new", measured_at="2026-02-01T00:00:00+00:00")
        report = report_of(new + old)  # in any order of files
        assert numbers_in(line_of(table_of(report, "latency"), variant="HPCM-Base")["encode_ms"])[0] == pytest.approx(
            502, abs=1)
        assert table_of(report, "earlier").column("variant") == ["HPCM-Base"] * 2
        assert table_of(report, "sessions").column("session") == ["old", "new"]

    def test_ratios_are_to_the_base_of_the_own_session(self):
        """The base got faster; what was measured beside the slow one must not look slower for it."""
        old = both("hpcm_base", 0.2, session="old") + both("hpcm_large", 0.3, session="old")
        new = both("hpcm_base", 0.1, session="new", measured_at="2026-02-01T00:00:00+00:00")
        line = line_of(table_of(report_of(old + new), "timings"), variant="HPCM-Large", direction="encode")
        assert line["vs_base"] == pytest.approx(1.5)

    def test_pairs_with_the_base_in_sessions_of_their_own(self):
        rows = []
        for number, (name, factor) in enumerate((("hpcm_large", 1.5), ("rwkv_phase1", 0.8))):
            speed, at = 1 + number, f"2026-01-0{number + 1}T00:00:00+00:00"
            rows += both("hpcm_base", 0.1 * speed, session=f"s{number}", measured_at=at)
            rows += both(name, 0.1 * speed * factor, session=f"s{number}", measured_at=at)
        table = table_of(report_of(rows), "timings")
        assert line_of(table, variant="HPCM-Large", direction="encode")["vs_base"] == pytest.approx(1.5)
        assert line_of(table, variant="RWKV-1", direction="encode")["vs_base"] == pytest.approx(0.8)

    def test_not_in_turns_gives_no_ratio(self):
        rows = both("hpcm_base") + both("hpcm_large", session="alone")
        line = line_of(table_of(report_of(rows), "latency"), variant="HPCM-Large")
        assert line["encode_vs_base"] == "not in turns"

    def test_a_new_failure_counts_and_the_old_success_is_listed(self):
        later = "2026-02-01T00:00:00+00:00"
        report = report_of(both("hpcm_base") + both("hpcm_base", session="s2", measured_at=later, **OOM))
        assert len(table_of(report, "failures").rows) == 2 and len(table_of(report, "earlier").rows) == 2

    def test_threads_and_batches_do_not_mix(self):
        alone = [replace_row(one, identity={**one.identity, "threads": 1}, key=one.key + "1")
                 for one in both("hpcm_large", 0.3)]
        table = table_of(report_of(both("hpcm_base") + both("hpcm_large") + alone), "latency")
        assert [text for _, text in table.headings] == ["768x512, 1 thread", "768x512, 2 threads"]
        assert lines_of(table)[0]["encode_vs_base"] == "not in turns"

    def test_rounds_that_both_have_are_compared(self):
        first = row("hpcm_large", "encode", samples_s=[0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 9.0])
        found = compare_rows(first, row("hpcm_base", "encode", samples_s=[0.1] * 6))
        assert (found.value, found.rounds) == (pytest.approx(2), 6)


def test_without_the_base_there_are_no_ratios_and_the_report_says_so():
    report = report_of(both("hpcm_large") + both("rwkv_phase1"))
    assert any("hpcm_base was not measured" in line for line in report.intro)
    assert not [column.key for column in table_of(report, "latency").columns if column.key.endswith("vs_base")]
    assert not any("peak_vs_base" in column.key for column in table_of(report, "memory").columns)


def test_miniatures_are_marked():
    report = report_of(both("hpcm_base") + both("hpcm_base_mini", miniature=True))
    assert "Mini (miniature)" in table_of(report, "latency").column("variant")
    assert any("not the authors' models" in line for line in report.intro)


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """Judges the suite's claims of cost by rows, as all claims are judged."""
    claims = [claim for claim in load_claims().values() if claim.metric in COST_UNITS]

    def judge_costs(rows):
        return judge_all(claims, StoredResults(store(tmp_path_factory.mktemp("judged"), rows)))
    return judge_costs


@pytest.fixture(scope="module")
def result(judge):
    return judge(ROWS)


class TestClaims:
    def table(self, result, rows=ROWS):
        return table_of(report_of(rows, result.judgements), "claims")

    def line(self, result, name: str, rows=ROWS) -> dict:
        return line_of(self.table(result, rows), claim=name)

    def test_it_says_what_the_report_of_claims_says(self, result):
        """Whatever both show of a claim: one judge, one set of columns."""
        table = self.table(result)
        names = find_names(load_variants().values())
        claims_report = assemble_claims(result, names)
        lines = {line["claim"]: line for other in claims_report.tables if other.name.startswith("claims_")
                 for line in lines_of(other)}
        values = {line["claim"]: line for line in lines_of(value_table(result.judgements, names))}
        for line in lines_of(table):
            told = lines[line["claim"]]
            assert line == {key: told.get(key) for key in line}
            assert line["verdict"].rstrip(" †") == values[line["claim"]]["verdict"]
        measured = ("hpcm_base", "hpcm_large", "rwkv_phase1")
        assert table.column("claim") == [one.claim.name for one in result.judgements if one.claim.variant in measured]

    @pytest.mark.usefixtures("undrawn")
    def test_reports_of_the_committed_rows_agree(self, tmp_path):
        def read(*parts: str) -> dict:
            with tmp_path.joinpath(*parts).open(newline="", encoding="utf-8") as file:
                return {(line["claim"], line["where"]): line for line in csv.DictReader(file)
                        if line.get("miniature") != "True"}
        results = StoredResults(ROOT / "results")
        for kind in ("claims", "latency"):
            list(build_reports(kind, results, tmp_path))
        judged = read("claims", "claims.csv")
        for device in (tmp_path / "latency").iterdir():
            shown = read("latency", device.name, "tables", "claims.csv")
            assert shown and set(shown) <= set(judged)
            for key, line in shown.items():
                assert (line["verdict"].rstrip(" †"), line["reason"]) == (judged[key]["verdict"], judged[key]["reason"])

    def test_time_of_both_directions(self, result):
        line = self.line(result, "rwkv_1_time")
        sums = {name: np.add(stored(name, "encode").samples_s, stored(name, "decode").samples_s)
                for name in ("rwkv_phase1", "hpcm_base")}
        change = 100 * (np.median(sums["rwkv_phase1"]) / np.median(sums["hpcm_base"]) - 1)
        (value,), (low, high) = numbers_in(line["measured"]), numbers_in(line["interval"])
        assert value == pytest.approx(change, abs=0.06) and low < value < high
        assert (line["claimed"], line["kind"], line["versus"], line["verdict"]) == (
            "−25 to −15 %", "predicted", "HPCM-Base", REFUTED)
        assert line["where"].endswith(", 768x512")

    def test_absolute_figures(self, result):
        decode = np.median(stored("hpcm_large", "decode").samples_s) * 1000
        line = self.line(result, "hpcm_large_decode")
        assert line["measured"] is None and numbers_in(line["reason"])[0] == pytest.approx(decode, rel=5e-3)
        assert self.line(result, "hpcm_large_parameters")["measured"] == "89.72 M"

    def test_parameters_and_memory(self, result, judge):
        assert numbers_in(self.line(result, "rwkv_1_parameters")["measured"]) == [0.0]
        rows = [*both("hpcm_base", peak_alloc_bytes=1000), *both("rwkv_phase1", peak_alloc_bytes=840)]
        assert self.line(judge(rows), "rwkv_1_memory", rows)["measured"] == "−16.0 %"

    def test_a_stage(self, result):
        line = self.line(result, "rwkv_1_s3_time")
        assert numbers_in(line["measured"]) == pytest.approx([100 * (2 * 0.06 / (0.05 + 0.05) - 1)], abs=0.06)

    @pytest.mark.parametrize(("name", "reason"), [
        ("rwkv_1_attention_memory", "not measured apart"), ("rwkv_1_s3_macs", "not measured apart")])
    def test_what_is_not_measured_says_why(self, result, name, reason):
        line = self.line(result, name)
        assert line["measured"] is None and line["verdict"] == NOT_MEASURED and reason in line["reason"]

    def test_contradictions_are_named(self, result):
        assert self.line(result, "rwkv_1_parameters")["contradicts"] == "rwkv_1_parameters_m"

    def test_another_device_has_its_own_verdicts(self, result):
        elsewhere = [replace_row(one, device="cuda: X") for one in ROWS]
        told = self.table(result, elsewhere)
        assert {line["what"].split(" of ")[0] for line in lines_of(told)} == {"parameters", "operations"}

    def test_text_of_a_range(self):
        about = {"name": "a", "variant": "b", "metric": "memory", "kind": "predicted", "source": "x"}
        assert claimed_text(Claim(**about, versus="c", change_percent=(0.0, 5.5))) == "0 to +5.5 %"
        assert claimed_text(Claim(**about, value=(2.5, 2.5))) == "2.5 GB"


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("latency")
    results = store(root / "results", ROWS)
    paths = build("latency", results, root / "reports")
    assert paths[0] == root / "reports" / "latency" / "cpu-test" / "README.md"
    return paths[0].parent


class TestFiles:
    def test_every_table_in_three_formats_and_every_figure_in_one(self, folder):
        names = {path.stem for path in (folder / "tables").glob("*.csv")}
        assert names >= {"latency", "timings", "stages", "stage_values", "memory", "memory_slope", "complexity",
                         "configurations", "claims", "failures", "sessions", "earlier"}
        assert all((folder / "tables" / f"{name}{kind}").stat().st_size for name in names for kind in (".md", ".tex"))
        figures = {path.name for path in (folder / "figures").iterdir()}
        assert figures == {"stages.png", "rate_against_time.png"}

    def test_same_rows_same_bytes(self, folder, tmp_path):
        build("latency", folder.parents[2] / "results", tmp_path)
        again = tmp_path / "latency" / folder.name

        def digests(root: Path) -> dict:
            return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
                    for path in root.rglob("*") if path.is_file()}
        assert digests(folder) == digests(again)

    def test_csv_holds_the_numbers(self, folder):
        with (folder / "tables" / "timings.csv").open(newline="", encoding="utf-8") as file:
            lines = [line for line in csv.DictReader(file) if line["variant"] == "HPCM-Base"
                     and line["direction"] == "decode" and line["configuration"] == "default"]
        median = 1000 * np.median(stored("hpcm_base", "decode").samples_s)
        assert float(lines[0]["median_ms"]) == pytest.approx(median, abs=1e-6)
        assert lines[0]["device"].startswith("cpu: Test")

    def test_the_page_shows_the_figures_beside_it_and_needs_nothing_else(self, folder):
        page = (folder / "index.html").read_text(encoding="utf-8")
        shown = re.findall(r'src="([^"]+)"', page)
        assert shown == ["figures/stages.png", "figures/rate_against_time.png"]
        assert all((folder / name).is_file() for name in [*shown, *re.findall(r'href="(?!https?://)([^"]+)"', page)]
                   if not name.endswith("/"))

    def test_no_rows_at_all(self, tmp_path):
        with pytest.raises(BenchError, match="holds nothing for a report of latency"):
            build("latency", tmp_path, tmp_path)

    @pytest.mark.usefixtures("undrawn")
    def test_every_device_gets_a_folder(self, tmp_path):
        results = store(tmp_path / "results", both("hpcm_base"))
        store(results, both("hpcm_base", device="cuda: X"), device="cuda-x")
        build("latency", results, tmp_path / "reports")
        assert sorted(path.name for path in (tmp_path / "reports" / "latency").iterdir()) == ["cpu-test", "cuda-x"]


class TestVerb:
    @pytest.mark.usefixtures("undrawn")
    def test_report_rebuilds_latency_too(self, tmp_path, capsys):
        results = store(tmp_path / "results", both("hpcm_base"))
        assert main(["report", "--results", str(results), "--reports", str(tmp_path / "reports")]) == 0
        assert (tmp_path / "reports" / "latency" / "cpu-test" / "index.html").is_file()
        assert "HPCM-Base" in capsys.readouterr().out

    def test_it_needs_no_torch(self, tmp_path):
        results = store(tmp_path / "results", both("hpcm_base") + both("rwkv_phase1"))
        script = ("import sys; from bench.cli import main; "
                  f"main(['report', '--results', {str(results)!r}, '--reports', {str(tmp_path)!r}]); "
                  "sys.exit('torch' in sys.modules)")
        assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=120).returncode == 0

    @pytest.mark.usefixtures("undrawn")
    def test_the_committed_report_of_kodak_is_what_its_rows_give(self, tmp_path):
        """But for PNG files, whose compression may differ between machines."""
        build("rate", ROOT / "results", tmp_path, "kodak")
        for name in ("README.md", "index.html"):
            assert (tmp_path / "kodak" / name).read_bytes() == (ROOT / "reports" / "kodak" / name).read_bytes(), name
