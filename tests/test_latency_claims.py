"""Claims on costs, as the reports of latency and of claims give them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from latency_reports import ROWS, line_of, lines_of, numbers_in, report_of, stored, table_of
from latency_samples import both, store
from msgspec.structs import replace as replace_row

from bench.claims.catalogue import COST_UNITS, Claim, load_claims
from bench.claims.judgement import judge_all
from bench.metrics.statistics.verdicts import INVALID, NOT_MEASURED, REFUTED, SUPPORTED
from bench.reports.claims.report import assemble_claims
from bench.reports.claims.tables import value_table
from bench.reports.claims.text import claimed_text, find_names
from bench.reports.kinds import build_reports
from bench.results.stored import StoredResults
from bench.variants import load_variants

ROOT = Path(__file__).parents[1]


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

    @pytest.mark.parametrize(("uncounted", "verdict"), [
        ("aten.native_group_norm", SUPPORTED), ("theirs.scan", INVALID)])
    def test_operations_that_were_not_all_counted_decide_nothing(self, tmp_path, uncounted, verdict):
        rows = [*both("hpcm_base"), *both("rwkv_phase1", uncounted=(uncounted,))]
        claim = Claim(name="a", variant="rwkv_phase1", versus="hpcm_base", metric="macs", kind="predicted", source="x",
                      change_percent=(0.0, 0.0))
        judged, = judge_all([claim], StoredResults(store(tmp_path, rows))).judgements
        assert judged.verdict == verdict and (uncounted in judged.reason) == (verdict == INVALID)

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
