"""claims.yaml: what is in it, and that mistakes are reported with file and line."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from bench.claims.catalogue import Claim, load_claims
from bench.claims.judgement import judge_all
from bench.claims.result import Judgement
from bench.common.errors import ConfigurationError
from bench.curves.anchors.catalogue import list_curves
from bench.metrics.statistics.verdicts import REFUTED, SUPPORTED, UNDECIDED
from bench.results.stored import StoredResults
from bench.variants import load_variants
from tests.claim_tables import ROWS, TABLES, figures_of, rows_of

ROOT = Path(__file__).parents[1]
START = "claims:\n  a:\n    variant: hpcm_large\n    versus: hpcm_base\n    metric: decode_time\n"
REST = "    kind: predicted\n    source: README\n"
GOOD = START + "    change_percent: [-20, -10]\n" + REST


def written(tmp_path, text):
    path = tmp_path / "claims.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_entry_is_read(tmp_path):
    claim = load_claims(written(tmp_path, GOOD))["a"]
    assert (claim.variant, claim.versus, claim.change_percent, claim.value) == (
        "hpcm_large", "hpcm_base", (-20.0, -10.0), None)
    assert claim.unit == "%" and claim.where.endswith("claims.yaml:2")


RATE = GOOD.replace("decode_time", "bd_rate")
PSNR = "claims:\n  a:\n    variant: hpcm_large\n    metric: quality\n    value: [31, 32]\n" + REST
SEVERAL = "must have one of 'change_percent', 'change' and 'value'"


@pytest.mark.parametrize(("text", "line", "said"), [
    (GOOD.replace("decode_time", "decoding"), 5, "'metric' must be one of bd_rate"),
    (GOOD.replace("decode_time", "[decode_time]"), 5, "'metric' must be one of"),
    (GOOD.replace("[-20, -10]", "[-10, -20]"), 6, "'change_percent' must be [low, high]"),
    (GOOD.replace("[-20, -10]", "-20"), 6, "'change_percent' must be [low, high]"),
    (GOOD.replace("[-20, -10]", "[-20, .inf]"), 6, "'.inf' is not a finite number"),
    (GOOD.replace("[-20, -10]", "[-20, .nan]"), 6, "'.nan' is not a finite number"),
    (GOOD.replace("predicted", "guessed"), 7, "'kind' must be one of predicted, measured"),
    (GOOD + "    sorce: x\n", 9, "unknown key 'sorce'"),
    (GOOD + "    contradicts: b\n", 9, "'contradicts' must be a list"),
    (GOOD + "    contradicts: [b]\n", 9, "contradicts 'b', which is no other claim that contradicts it"),
    (GOOD + "    contradicts: [a]\n", 9, "contradicts 'a', which is no other claim"),
    (GOOD + "    value: [1, 2]\n", 2, SEVERAL),
    (START + REST, 2, SEVERAL),
    (GOOD.replace("change_percent", "change"), 6, "decode_time is given as 'change_percent' or 'value', not"),
    (GOOD.replace("change_percent", "value"), 6, "an absolute figure has no 'versus'"),
    (RATE.replace("change_percent", "value"), 6, "bd_rate is given as 'change_percent', not 'value'"),
    (GOOD.replace("    versus: hpcm_base\n", ""), 5, "is a change, so it needs 'versus'"),
    (GOOD.replace("    source: README\n", ""), 2, "lacks 'source'"),
    (GOOD.replace("hpcm_large", "hpcm_huge"), 3, "'hpcm_huge' is no variant"),
    (RATE.replace("hpcm_base", "vvc"), 4, "'vvc' is no variant and no codec"),
    (GOOD.replace("hpcm_base", "vtm"), 4, "'vtm' is a codec, whose decode_time is not compared"),
    (GOOD + "    dataset: kodak\n", 9, "decode_time has no 'dataset'"),
    (RATE + "    dataset: kodac\n", 9, "'kodac' is none of datasets.yaml"),
    (RATE + "    dataset: [kodak, kodak]\n", 9, "'dataset' names one twice"),
    (RATE + "    published: hpcm-large-mse\n", 9, "a published curve is of a 'dataset'"),
    (RATE + "    dataset: kodak\n    published: hpcm-large\n", 10, "no curve that is published on kodak"),
    (RATE + "    at_bpp: 0.5\n", 9, "bd_rate has no 'at_bpp'"),
    (RATE + "    what: bits\n", 9, "bd_rate has no 'what'"),
    (PSNR, 2, "quality needs 'at_bpp'"),
    (PSNR + "    at_bpp: 0\n", 8, "'at_bpp' must be a positive number"),
    (PSNR.replace("quality", "other"), 2, "other needs 'what'"),
    (GOOD + "  b: 3\n", 9, "claim 'b': must be a mapping"),
])
def test_mistakes_name_file_and_line(tmp_path, text, line, said):
    with pytest.raises(ConfigurationError) as caught:
        load_claims(written(tmp_path, text), load_variants())
    assert f"claims.yaml:{line}: " in str(caught.value) and said in str(caught.value)


@pytest.mark.parametrize("text", ["", "claims: [a]\n", "a: 1\n"])
def test_a_file_without_claims_is_refused(tmp_path, text):
    with pytest.raises(ConfigurationError, match="mapping 'claims'"):
        load_claims(written(tmp_path, text))


def test_contradictions_are_linked_both_ways(tmp_path):
    both = GOOD + "    contradicts: [b]\n" + GOOD.replace("claims:\n  a:", "  b:") + "    contradicts: [a]\n"
    assert load_claims(written(tmp_path, both))["b"].contradicts == ("a",)


@pytest.mark.parametrize(("metric", "figures", "unit", "lower_is_better", "weaker_end"), [
    ("bd_rate", "change_percent: [-3, -2]", "%", True, -2), ("bd_quality", "change: [0.1, 0.2]", "dB", False, 0.1),
    ("memory", "change_percent: [5, 8]", "%", True, 8), ("other", "change: [1, 2]\n    what: gain", "", True, 2),
])
def test_changes_have_a_unit_and_an_end_that_is_easier_to_satisfy(tmp_path, metric, figures, unit, lower_is_better,
                                                                  weaker_end):
    text = GOOD.replace("decode_time", metric).replace("change_percent: [-20, -10]", figures)
    claim = load_claims(written(tmp_path, text), load_variants())["a"]
    assert (claim.unit, claim.lower_is_better, claim.weaker_end) == (unit, lower_is_better, weaker_end)
    assert claim.weaker_end in claim.bounds and claim.bounds[0] < claim.bounds[1]


def test_absolute_figures_and_datasets(tmp_path):
    claim = load_claims(written(tmp_path, PSNR + "    at_bpp: 0.5\n    dataset: [kodak, tecnick]\n"))["a"]
    assert (claim.bounds, claim.unit, claim.weaker_end, claim.at_bpp) == ((31, 32), "dB", 31, 0.5)
    assert claim.datasets == ("kodak", "tecnick") and load_claims(written(tmp_path, RATE))["a"].datasets == ()
    for metric, unit in (("encode_time", "ms"), ("parameters", "M"), ("other", "")):
        text = PSNR.replace("quality", metric) + ("    what: epochs\n" if metric == "other" else "")
        assert load_claims(written(tmp_path, text))["a"].unit == unit


def test_codecs_can_be_compared(tmp_path):
    text = RATE.replace("hpcm_base", "bpg").replace("hpcm_large", "vtm")
    claim = load_claims(written(tmp_path, text), load_variants())["a"]
    assert (claim.variant, claim.versus) == ("vtm", "bpg")


@pytest.fixture(scope="module")
def suite() -> dict[str, Claim]:
    return load_claims(variants=load_variants())


@pytest.mark.parametrize("line", TABLES)
def test_every_figure_of_the_authors_tables_is_a_claim(suite, line):
    assert sorted({number for number, _ in rows_of(line)}) == list(range(1, ROWS[line] + 1))
    found = Counter(figure(claim) for claim in suite.values() if claim.name.startswith(line))
    expected = Counter(figures_of(line))
    assert found - expected == Counter() and expected - found == Counter()


def test_every_claim_belongs_to_a_table(suite):
    assert not [name for name in suite if not name.startswith(tuple(TABLES))]


def figure(claim: Claim) -> tuple:
    """A claim as :data:`tests.claim_tables.Figure`."""
    subjects = [None if one is None else re.sub(r"^\w+_phase|^hpcm_", "", one) for one in (claim.variant, claim.versus)]
    unit = "" if claim.value is not None else claim.unit
    datasets = "all" if len(claim.datasets) == 3 else "".join(claim.datasets)
    in_figure = claim.metric != "quality"  # which has its rate there
    metric = {"quality": claim.quality_metric.name, "bd_quality": f"bd_{claim.quality_metric.name}"}.get(
        claim.metric, claim.metric)
    return (*subjects, metric, *claim.bounds, unit, datasets if in_figure else f"{claim.at_bpp:g}")


def test_contradictions_of_the_suite(suite):
    pairs = {frozenset((claim.name, other)) for claim in suite.values() for other in claim.contradicts}
    assert {frozenset(pair) for pair in (
        ("multiref_1_rate", "multiref_1_rate_2"), ("multiref_3_time", "multiref_3_time_equal"),
        ("multiref_3_memory", "multiref_3_memory_2"), ("rwkv_1_parameters", "rwkv_1_parameters_m"),
        ("rwkv_1_rate", "rwkv_1_rate_equal"), ("weconv_4_bd_rate_vtm", "weconv_4_bd_rate_vtm_5"),
        ("weconv_5_bd_rate_1", "weconv_5_bd_rate_vtm"), ("balanced_1_overview", "balanced_1_bd_rate"),
        ("balanced_3_schedule_bd_rate", "balanced_4_bd_rate"), ("balanced_goal", "balanced_5_bd_rate_vtm_kodak"),
        ("balanced_5_bd_rate_vtm_kodak", "balanced_5_vtm_bd_rate_kodak"))} <= pairs
    assert all(suite[name].variant == suite[other].variant or "balanced" in name for name, other in map(tuple, pairs))


def test_published_curves_exist_on_the_claims_datasets(suite):
    published = [claim for claim in suite.values() if claim.published]
    assert {(claim.variant, *claim.datasets) for claim in published} == {
        (model, dataset) for model in ("hpcm_base", "hpcm_large") for dataset in ("kodak", "clic2020", "tecnick")}
    assert all(claim.published in list_curves(*claim.datasets) and claim.kind == "measured" for claim in published)


def test_only_what_the_authors_measured_is_called_measured(suite):
    measured = {name for name, claim in suite.items() if claim.kind == "measured"}
    assert {name for name in suite if name.startswith(("hpcm", "weconvene"))} | {"balanced_paper"} == measured


def test_figures_that_cannot_be_true_say_so(suite):
    false = {name for name, claim in suite.items() if claim.note.startswith("false")}
    assert {"balanced_4_parameters", "balanced_5_example", "balanced_5_coverage", "balanced_5_checks"} <= false


@pytest.fixture(scope="module")
def judged_costs(suite) -> dict[str, Judgement]:
    """Claims of cost as the committed rows decide them, of full-width models."""
    claims = [claim for claim in suite.values() if claim.metric in ("parameters", "memory")]
    judged = judge_all(claims, StoredResults(ROOT / "results"))
    return {one.claim.name: one for one in judged.judgements if not one.miniature}


@pytest.mark.parametrize(("name", "millions"), [
    ("rwkv_base_parameters_total", 68.505299), ("rwkv_1_parameters_total", 73.469147),
    ("rwkv_2_parameters_total", 80.939243), ("rwkv_base_prior_s1_s2_parameters", 11.711680),
    ("rwkv_4_prior_s1_s2_parameters_total", 36.926104), ("rwkv_base_prior_s3_parameters", 19.109440),
    ("rwkv_4_prior_s3_parameters_total", 61.133480)])
def test_absolute_counts_are_refuted_by_the_specifications_own(judged_costs, name, millions):
    """A claimed ratio may hold although both of its figures are wrong."""
    judged, merged_kernels = judged_costs[name], 0.25 if "rwkv_4" in name else 0  # which are stored, and not trained
    assert judged.value == pytest.approx(millions, abs=1e-6 + merged_kernels)
    assert judged.verdict == REFUTED and judged.claim.note.startswith("false")


@pytest.mark.parametrize(("name", "percent", "verdict"), [
    ("weconv_5_memory", -4.8, UNDECIDED),  # the claimed +5 % with the sign turned
    ("weconv_5_memory_3", -12.6, SUPPORTED)])
def test_memory_is_that_of_a_pass_where_the_source_does_not_say_training(judged_costs, name, percent, verdict):
    assert round(judged_costs[name].value, 1) == percent and judged_costs[name].verdict == verdict
