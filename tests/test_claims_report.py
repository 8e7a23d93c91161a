"""The report of claims from results made by hand: what was written is read back and compared with what went in."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from claim_samples import CHANGES, JUDGEMENTS, NAMES, RESULT, claim, judged, pair, table_of

from bench.claims.result import ClaimsResult
from bench.claims.wording import explain_verdict
from bench.metrics.statistics.verdicts import REFUTED, REPRODUCED, SUPPORTED, UNDECIDED, VERDICTS
from bench.reports.claims.report import assemble_claims
from bench.reports.claims.text import MARK, claimed_text, p_text, what_text
from bench.reports.page.canvas import render_figure
from bench.reports.page.figures import WIDE
from bench.reports.page.files import list_contents, write_report


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reports") / "claims"
    write_report(assemble_claims(RESULT, NAMES), folder)
    return folder


def test_every_verdict_is_counted_by_line_and_miniatures_apart():
    table = table_of(RESULT, "verdicts")
    lines = {line[0]: dict(zip([column.title for column in table.columns], line)) for line in table.rows}
    assert set(lines) == set(VERDICTS)
    for verdict, line in lines.items():
        full = [one for one in JUDGEMENTS if one.verdict == verdict and not one.miniature]
        assert line["All lines"] == len(full) == sum(line[name] for name in ("HPCM", "Multi-reference", "RWKV"))
        assert line["RWKV"] == sum(one.claim.variant == "rwkv_phase1" for one in full)
    assert sum(line["Miniatures, apart"] for line in lines.values()) == 1
    assert RESULT.multiplicity in table.notes and RESULT.remarks[0] in table.notes


def test_csv_holds_every_judgement_with_its_numbers(written):
    lines = list(csv.DictReader(io.StringIO((written / "claims.csv").read_text(encoding="utf-8"))))
    assert len(lines) == len(JUDGEMENTS)
    for line, one in zip(lines, JUDGEMENTS):
        assert (line["claim"], line["verdict"], line["reason"]) == (one.claim.name, one.verdict, one.reason)
        assert line["miniature"] == str(one.miniature) and line["command"] == one.command
        assert (float(line["claimed_low"]), float(line["claimed_high"])) == one.claim.bounds
        for key, wanted in (("value", one.value), ("interval_low", one.interval and one.interval[0]),
                            ("adjusted_p", one.adjusted_p), ("detectable", one.detectable), ("n", one.n or None)):
            assert line[key] == "" if wanted is None else float(line[key]) == pytest.approx(wanted, abs=1e-6)
    assert lines[2]["contradicts"] == "rwkv_time" and lines[2]["line"] == "RWKV"


def test_markdown_tables_stay_whole_whatever_a_reason_holds(written):
    text = (written / "README.md").read_text(encoding="utf-8")
    table = next(part for part in text.split("\n\n") if "rwkv_time_other" in part and part.startswith("|"))
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
    assert len(widths) == 1
    assert "a\\|b \\<i\\>c" in table and "<i>" not in text


def test_html_page_escapes_and_shows_all_verdicts(written):
    page = (written / "index.html").read_text(encoding="utf-8")
    assert "&lt;i&gt;c&lt;/i&gt; &amp; 50 %" in page and "<i>" not in page
    for verdict in VERDICTS:
        assert verdict in page
    assert "1 number got worse" in page and "rate of RWKV-1 | kodak" in page


def test_latex_escapes_its_special_characters(written):
    text = (written / "claims.tex").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if r"rwkv\_time\_other" in line and "because" not in line)
    assert r"50 \% of ''d\_e''" in line and r"\$g\$ \#1 \{h\}" in line
    ends = [one for one in text.splitlines() if one.startswith(r"rwkv\_") and one.endswith(r" \\")]
    assert len(ends) == sum(one.claim.variant == "rwkv_phase1" for one in JUDGEMENTS)
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 4  # three lines, and a miniature


def test_miniatures_have_tables_of_their_own_that_say_so():
    report = assemble_claims(RESULT, NAMES)
    tables = {table.name: table for table in report.tables}
    mini, full = tables["miniatures_rwkv"], tables["claims_rwkv"]
    assert mini.title.startswith("Miniatures, not the authors' models") and mini.warnings
    assert mini.column("verdict") == [REFUTED] and mini.column("claim") == ["rwkv_time"]
    assert full.column("claim").count("rwkv_time") == 1 and not full.warnings
    assert [row[0] for row in tables["pairs"].rows] == ["Codec test against Codec anchor"]
    assert [row[0] for row in tables["pairs_miniatures"].rows] == ["Mini test against mini anchor"]
    titles = [section.title for section in report.sections]
    assert titles.index("RWKV") < titles.index("Curves compared") < titles.index("Miniatures, not the authors' models")


def test_without_miniatures_nothing_speaks_of_them():
    full = replace(RESULT, judgements=JUDGEMENTS[:-1], pairs=())
    titles = [section.title for section in assemble_claims(full, NAMES).sections]
    assert not any("Miniature" in title or "compared" in title for title in titles)
    assert "miniatures" not in [column.key for column in table_of(full, "verdicts").columns]


def test_a_line_of_claims_says_what_decided_them():
    table = table_of(RESULT, "claims_rwkv")
    lines = {name: {column.key: cell for column, cell in zip(table.columns, row)}
             for name, row in zip(table.column("claim"), table.rows)}
    supported, refuted, open_ = (lines[name] for name in ("rwkv_time", "rwkv_time_other", "rwkv_memory"))
    assert supported["versus"] == "HPCM-Base" and supported["claimed"] == "−20 to −10 %"
    assert float(re.match(r"−([\d.]+) %", supported["measured"])[1]) == pytest.approx(15.25, abs=0.06)
    assert supported["over"] == "12 rounds" and supported["adjusted_p"] == "0.004"
    assert refuted["contradicts"] == "rwkv_time" and refuted["kind"] == "predicted"
    assert float(open_["detectable"].split()[0]) == pytest.approx(4.25, abs=0.06)
    assert supported["detectable"] is None
    assert table_of(RESULT, "claims_hpcm").column("kind") == ["measured by the authors"]


def test_a_verdict_that_does_not_outlast_the_correction_is_marked():
    weak = replace(JUDGEMENTS[1], p_value=0.03, adjusted_p=0.21)
    table = table_of(ClaimsResult((weak, JUDGEMENTS[2])), "claims_rwkv")
    assert table.column("verdict") == [f"{SUPPORTED} {MARK}", REFUTED]
    assert any(note.startswith(MARK) for note in table.notes)
    assert not any(note.startswith(MARK) for note in table_of(RESULT, "claims_rwkv").notes)


def test_changes_come_with_what_got_worse_first():
    table = table_of(RESULT, "changes")
    assert table.column("effect") == ["worse", "better"]
    assert table.column("reason") == [CHANGES[1].reason, CHANGES[0].reason]
    report = assemble_claims(replace(RESULT, changes=CHANGES[:1]), NAMES)
    assert not report.warnings


def test_claims_about_classical_codecs_have_a_line_of_their_own():
    found = NAMES.by_line([judged("a", UNDECIDED, variant="vtm", versus="bpg", metric="bd_rate"),
                           judged("b", UNDECIDED, variant="unheard_of"), JUDGEMENTS[1]])
    assert {line: [one.claim.name for one in judgements] for line, judgements in found.items()} == {
        "RWKV": ["rwkv_time"], "Classical codecs": ["a"], "Other": ["b"]}
    assert next(iter(found)) == "RWKV" and NAMES.label("vtm") == "VTM"


def test_texts_of_claims():
    assert claimed_text(claim("a", change_percent=(-0.4, 0.0))) == "−0.4 to 0 %"
    assert claimed_text(claim("a", metric="decode_time", change_percent=None, value=(81.3, 81.3), versus=None)) == (
        "81.3 ms")
    assert what_text(claim("a", part="context s3", setting="2 groups")) == (
        "encode and decode time of context s3, with 2 groups")
    assert [p_text(value) for value in (None, 0.0321, 3e-7)] == [None, "0.032", "< 0.0001"]


@pytest.mark.parametrize(("one", "said"), [
    (judged("a", REPRODUCED, 68.505, metric="parameters", claimed=(68.5, 68.5), versus=None, interval=None,
            evidence="counted"), "measured 68.50 M, claimed 68.5 M: the same within 0.05 M (counted)"),
    (judged("a", REFUTED, 3.5, change_percent=(-20.0, -12.5), bounds=(-0.25, 7.0), floor=3.0, n=9, what_n="rounds"),
     "measured +3.5 % (95 % interval +2.5 to +4.5, 9 rounds), claimed −20 to −12.5 %: it is above −12.5 % "
     "(one-sided 95 % bounds −0.2 % and +7.0 %, a noise floor of 3 % included)"),
    (judged("a", SUPPORTED, -2.345, metric="bd_rate", change_percent=(0.0, 0.0), interval=None),
     "measured −2.35 %, claimed 0 %: it is at most 0 %, beyond all of the claimed range"),
    (judged("a", UNDECIDED, 20.0, metric="memory", change_percent=(20.0, 20.0), interval=None),
     "measured +20.0 %, claimed +20 %: whether it is at most +20 % stays open, within what two measurements differ by"),
])
def test_reasons_print_a_claims_figures_with_its_own_digits(one, said):
    assert explain_verdict(one, 0.05) == said


def test_same_result_gives_the_same_bytes():
    small = ClaimsResult(JUDGEMENTS[:3], (pair(3),))
    for first, second in zip(*(assemble_claims(small, NAMES).figures for _ in "ab"), strict=True):
        assert first.digest == second.digest and render_figure(first, WIDE) == render_figure(second, WIDE)
    assert list_contents(assemble_claims(small, NAMES)) == list_contents(assemble_claims(small, NAMES))


def test_folder_is_complete_and_loses_files_of_earlier_reports(written, tmp_path):
    names = {str(path.relative_to(written)) for path in written.rglob("*") if path.is_file()}
    assert {"README.md", "index.html", "claims.csv", "claims.tex", "figures/forest_rwkv.png",
            "figures/forest_miniatures_rwkv.png", "figures/pairs.png",
            "tables/verdicts.csv"} <= names
    linked = re.findall(r"\]\(((?:figures|tables)/[^)]+)\)", (written / "README.md").read_text(encoding="utf-8"))
    assert linked and set(linked) <= names
    write_report(assemble_claims(ClaimsResult(JUDGEMENTS[:3]), NAMES), tmp_path)
    first = write_report(assemble_claims(ClaimsResult(JUDGEMENTS[5:6]), NAMES), tmp_path)
    assert first.paths[0].name == "README.md" and not (tmp_path / "figures").exists()
