"""What claims came to in short, for CI systems: JUnit and Markdown."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from claim_samples import CHANGES, JUDGEMENTS, NASTY, RESULT

from bench.common.errors import BenchError
from bench.metrics.statistics.verdicts import (
    INVALID,
    NOT_MEASURED,
    REFUTED,
    REPRODUCED,
    SUPPORTED,
    UNDECIDED,
    VERDICTS,
)
from bench.reports.claims.junit import summary_markdown, write_junit
from bench.reports.claims.summary import explain_open, summary_text


@pytest.fixture(scope="module")
def suites(tmp_path_factory) -> dict[str, ElementTree.Element]:
    path = tmp_path_factory.mktemp("ci") / "deep" / "claims.xml"
    broken = replace(JUDGEMENTS[4], reason="bell \x07 & <tag>")
    write_junit(replace(RESULT, judgements=(*JUDGEMENTS[:4], broken, *JUDGEMENTS[5:])), path)
    return {suite.get("name"): suite for suite in ElementTree.parse(path).getroot()}


def case_of(suite: ElementTree.Element, start: str) -> ElementTree.Element:
    return next(case for case in suite if case.get("name").split(" [")[0] == start)


def test_junit_tells_findings_from_failures(suites):
    claims = suites["claims"]
    outcomes = {case.get("name").split(" [")[0]: {child.tag for child in case} & {"failure", "error", "skipped"}
                for case in claims}
    assert outcomes == {
        "hpcm_parameters": set(), "rwkv_time": set(), "rwkv_time_other": set(), "rwkv_memory": {"skipped"},
        "rwkv_decode": {"error"}, "rwkv_training": {"skipped"}, "multiref_rate": {"skipped"},
    }
    assert [claims.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["7", "0", "1", "3"]
    refuted = case_of(claims, "rwkv_time_other")
    values = {one.get("name"): one.get("value") for one in refuted.find("properties")}
    assert values["verdict"] == REFUTED and values["contradicts"] == "rwkv_time"
    assert NASTY in refuted.findtext("system-out") and "bench profile \"x|y\"" in refuted.findtext("system-out")
    assert case_of(claims, "rwkv_decode").find("error").get("message") == "bell \ufffd & <tag>"


def test_junit_fails_for_what_got_worse_and_for_nothing_else(suites):
    better, worse = suites["regression"]
    assert better.find("failure") is None and worse.find("failure").get("type") == "rate"
    assert all(text in worse.find("failure").get("message") for text in ("0.500 bpp", "0.505 bpp", CHANGES[1].reason))
    assert suites["regression"].get("failures") == "1"
    assert [case.get("classname") for case in suites["miniatures"]] == ["miniatures.rwkv_phase1"]


def test_junit_names_are_unique_within_a_suite(suites):
    for suite in suites.values():
        names = [(case.get("classname"), case.get("name")) for case in suite]
        assert len(set(names)) == len(names)


def test_junit_that_cannot_be_written_is_an_error_for_the_user(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="can't write"):
        write_junit(RESULT, tmp_path / "file" / "claims.xml")


def test_markdown_summary_counts_names_and_escapes():
    text = summary_markdown(RESULT)
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row] for row in rows]
    head = next(row for row in cells if row[0] == INVALID)
    counted = dict(zip(head, map(int, cells[cells.index(head) + 2])))
    assert counted == {verdict: RESULT.counts[verdict] for verdict in VERDICTS}
    decided = [row[0] for row in cells if row[-1] in (REPRODUCED, SUPPORTED, REFUTED) and row[0] != INVALID]
    assert decided == ["hpcm_parameters", "rwkv_time", "rwkv_time_other", "rwkv_time"]
    assert text.index("rwkv_time_other") < text.index("Miniatures, not the authors' models")
    assert "**rate of RWKV-1 \\| kodak**" in text and "\\<most: kodim03\\>" in text and "76.2 ms" not in text


def test_summaries_of_a_state_without_changes_for_the_worse():
    calm = replace(RESULT, changes=CHANGES[:1])
    assert "## Worse" not in summary_markdown(calm)
    undecided = replace(calm, judgements=(*JUDGEMENTS[:-1], replace(JUDGEMENTS[3], miniature=True)))
    assert "Miniatures" in summary_text(calm) and "Miniatures" not in summary_text(undecided)
    assert "better: decode time of RWKV-1 decode" in summary_text(calm) and "WORSE" not in summary_text(calm)
    assert "WORSE: rate of RWKV-1 | kodak: 0.500 bpp before, 0.505 bpp now" in summary_text(RESULT)


def test_what_is_not_decided_says_why_and_a_doubtful_sign_is_asked_about():
    doubtful = replace(JUDGEMENTS[0], verdict=UNDECIDED, sign_in_doubt=True, reason="is the sign meant?")
    text = summary_text(replace(RESULT, judgements=(doubtful, *JUDGEMENTS[1:])))
    assert f"{doubtful.claim.name}: UNDECIDED: is the sign meant?" in text.replace(f", {doubtful.where}", "")
    assert "is the sign meant?" not in summary_text(RESULT)

    missing = replace(JUDGEMENTS[0], verdict=NOT_MEASURED, where="kodak", reason="no rows", command="make kodak")
    assert explain_open([missing]) == f"{missing.claim.name}, kodak: NOT MEASURED: no rows; make kodak"
    assert not explain_open([one for one in JUDGEMENTS if one.verdict in (REPRODUCED, SUPPORTED, REFUTED)])
