"""Claims that files decode elsewhere: a synthetic file of claims, judged by rows made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from crosscheck_samples import IMAGES, SETTINGS, make_rows, store

from bench.claims.catalogue import Claim, load_claims
from bench.claims.changes import find_changes
from bench.claims.judgement import judge_all
from bench.claims.result import Judgement
from bench.claims.state import collect_current_state
from bench.common.errors import ConfigurationError
from bench.metrics.statistics.verdicts import INVALID, NOT_MEASURED, REFUTED, SUPPORTED, UNDECIDED
from bench.reports.claims.report import assemble_claims
from bench.reports.claims.text import claimed_text, find_names, measured_text, what_text
from bench.results.crosschecks import FAILED, IDENTICAL, LATENTS, OFF_BY_ONE, WRONG
from bench.results.stored import StoredResults
from bench.variants import load_variants

ENTRY = "variant: hpcm_base, kind: predicted, source: here"
CLAIMS = f"""\
claims:
  elsewhere: {{{ENTRY}, metric: decodes_elsewhere, value: [100, 100]}}
  exact: {{{ENTRY}, metric: decodes_elsewhere, value: [100, 100], setting: exact}}
  never_wrong: {{{ENTRY}, metric: wrong_elsewhere, value: [0, 0], dataset: [kodak, sample]}}
  odd: {{{ENTRY}, metric: decodes_elsewhere, value: [100, 100], setting: 4 groups}}
"""
FULL = {"name": "hpcm_base"}


@pytest.fixture
def claims(tmp_path) -> dict[str, Claim]:
    return read(tmp_path, CLAIMS)


def read(tmp_path: Path, text: str) -> dict[str, Claim]:
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    return load_claims(path, load_variants())


def judge(claim: Claim, results: Path) -> list[Judgement]:
    return list(judge_all([claim], StoredResults(results)).judgements)


@pytest.mark.parametrize(("old", "new", "said"), [
    ("value: [100, 100]}", "value: [99, 100]}", "decodes_elsewhere is claimed of all files: [100, 100]"),
    ("value: [0, 0]", "value: [1, 1]", "wrong_elsewhere is claimed of no files: [0, 0]"),
    ("value: [0, 0]", "change_percent: [0, 0]", "wrong_elsewhere is given as 'value', not 'change_percent'"),
    ("value: [0, 0]", "value: [0, 0], versus: hpcm_large", "an absolute figure has no 'versus'"),
    ("value: [0, 0]", "value: [0, 0], by: psnr", "wrong_elsewhere has no 'by'"),
])
def test_what_is_no_such_claim_is_refused(tmp_path, old, new, said):
    assert old in CLAIMS
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, CLAIMS.replace(old, new, 1))
    assert said in str(caught.value)


def test_as_text(claims):
    assert [(claimed_text(one), what_text(one)) for one in list(claims.values())[:3]] == [
        ("100 %", "files that decode elsewhere"), ("100 %", "files that decode elsewhere, with exact"),
        ("0 %", "files that come out wrong elsewhere")]
    assert not claims["elsewhere"].lower_is_better and claims["never_wrong"].lower_is_better


@pytest.mark.parametrize(("outcomes", "elsewhere", "never_wrong"), [
    ([], (SUPPORTED, 100), (SUPPORTED, 0)), ([OFF_BY_ONE, LATENTS] * 36, (SUPPORTED, 100), (SUPPORTED, 0)),
    ([FAILED] * 6, (REFUTED, 75), (SUPPORTED, 0)), ([IDENTICAL, WRONG, FAILED], (REFUTED, 100 * 22 / 24),
                                                    (REFUTED, 100 / 24)),
])
def test_one_file_refutes_and_enough_files_support(claims, tmp_path, outcomes, elsewhere, never_wrong):
    store(tmp_path, make_rows(outcomes, **FULL))
    (found,) = judge(claims["elsewhere"], tmp_path)
    assert (found.verdict, found.value) == (elsewhere[0], pytest.approx(elsewhere[1]))
    assert (found.n, found.what_n, found.miniature) == (24, "files", False) and "3 other settings" in found.where
    found, sample = judge(claims["never_wrong"], tmp_path)
    assert (found.verdict, found.value) == (never_wrong[0], pytest.approx(never_wrong[1]))
    assert (sample.verdict, sample.place) == (NOT_MEASURED, "sample")


def test_reasons_name_counterexamples_and_the_command(claims, tmp_path):
    store(tmp_path, make_rows([FAILED, *[IDENTICAL] * 24, WRONG], **FULL))
    (found,) = judge(claims["elsewhere"], tmp_path)
    assert found.reason.startswith("22 of 24 files decode to identical latents under every one of 3 other settings")
    assert "hpcm_base 0.0018 kodim01.png on aten-default (LatentsMismatch)" in found.reason
    assert "hpcm_base 0.0035 kodim01.png on onednn-sse41 (wrong)" in found.reason
    assert found.command == "python -m bench crosscheck --dataset kodak --codecs hpcm_base"


@pytest.mark.parametrize("values", [{"settings": SETTINGS[:2]}, {"images": IMAGES[:5]}])
def test_little_decides_nothing_but_a_counterexample_does(claims, tmp_path, values):
    store(tmp_path / "few", make_rows(**values, **FULL))
    (found,) = judge(claims["elsewhere"], tmp_path / "few")
    assert found.verdict == UNDECIDED and "24 files, each under 3 other settings, would decide it" in found.reason
    store(tmp_path / "wrong", make_rows([WRONG], **values, **FULL))
    assert judge(claims["elsewhere"], tmp_path / "wrong")[0].verdict == REFUTED


def test_nothing_is_measured_without_rows_of_this_configuration(claims, tmp_path):
    store(tmp_path, [*make_rows(**FULL), *make_rows(version=1, exact=True, **FULL),
                     *make_rows(settings=("same",), exact=True, **FULL)])
    (found,) = judge(claims["exact"], tmp_path)
    assert found.verdict == NOT_MEASURED and found.command.endswith("--codecs hpcm_base --exact")
    store(tmp_path, make_rows(exact=True, **FULL))
    assert judge(claims["exact"], tmp_path)[0].verdict == SUPPORTED
    (odd,) = judge(claims["odd"], tmp_path)
    assert odd.verdict == NOT_MEASURED and "4 groups" in odd.reason


def test_miniatures_are_judged_apart(claims, tmp_path):
    store(tmp_path, make_rows())
    found = judge(claims["elsewhere"], tmp_path)
    assert [(one.verdict, one.miniature) for one in found] == [(NOT_MEASURED, False), (SUPPORTED, True)]
    store(tmp_path / "disguised", make_rows(miniature=True, **FULL))
    assert judge(claims["elsewhere"], tmp_path / "disguised")[0].verdict == INVALID


def test_a_fall_of_the_verdict_is_a_change_for_the_worse(claims, tmp_path):
    states = []
    for folder, outcomes in (("before", []), ("now", [FAILED])):
        results = StoredResults(store(tmp_path / folder, make_rows(outcomes, **FULL)))
        states.append(collect_current_state(results, judge_all(claims.values(), results).judgements))
    (change,) = find_changes(*states, {"elsewhere": "hpcm_base"})
    assert change.worse and (change.before, change.after, change.codec) == (SUPPORTED, REFUTED, "hpcm_base")


def test_they_stand_in_the_report(claims, tmp_path):
    store(tmp_path, make_rows([FAILED], **FULL))
    result = judge_all(claims.values(), StoredResults(tmp_path))
    report = assemble_claims(result, find_names(load_variants().values()))
    table = next(table for table in report.tables if table.name == "claims_hpcm")
    assert table.column("measured")[0] == "95.8 %" == measured_text(result.judgements[0])
    assert table.column("verdict")[0] == REFUTED and "aten-default" in str(table.column("reason")[0])
    assert [figure.name for figure in report.figures] == ["forest_hpcm"]
