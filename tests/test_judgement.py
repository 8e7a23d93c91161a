"""Verdicts from stored rows: planted gains and losses of known size, broken preconditions, published points."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from bench.claims.catalogue import Claim, load_claims
from bench.claims.judgement import describe_correction, is_marked, judge_all
from bench.claims.result import ClaimsResult, Judgement
from bench.metrics.statistics.verdicts import INVALID, NOT_MEASURED, REFUTED, REPRODUCED, SUPPORTED, UNDECIDED
from bench.results.rows import Row
from bench.results.store import read_rows
from bench.results.stored import StoredResults
from tests import latency_samples, row_samples

VARIANT, BASE = "rwkv_phase1", "hpcm_base"
IMAGES = [f"kodim{number:02d}" for number in range(1, 25)]
PSNR = {"q1": 29.0, "q2": 31.0, "q3": 33.0, "q4": 35.0, "q5": 37.0}


def claim(name: str = "claim", **values) -> Claim:
    return Claim(**{"name": name, "variant": VARIANT, "versus": BASE, "metric": "bd_rate", "kind": "predicted",
                    "source": "README", **values})


def store_rates(results: Path, name: str, percent: float = 0.0, spread: float = 0.0, images=IMAGES, seed: int = 0,
                **values) -> None:
    """Rows that need ``percent`` more bits than others stored so, with ``spread`` points between images."""
    random = np.random.default_rng(seed)
    factors = (1 + percent / 100) * np.exp(random.normal(0, spread / 100, len(images)))
    rows = [row_samples.row(image, point, float(rate * factor), PSNR[point] + index / 100, name=name,
                            dataset_total=len(IMAGES), **values)
            for index, (image, factor) in enumerate(zip(images, factors)) for point, rate in row_samples.RATES.items()]
    (results / "kodak").mkdir(parents=True, exist_ok=True)
    row_samples.write(results / "kodak" / f"{name}.jsonl", rows)


def only(result: ClaimsResult) -> Judgement:
    assert len(result.judgements) == 1
    return result.judgements[0]


@pytest.mark.parametrize(("claimed", "verdict"), [
    ((-8, -5), REFUTED), ((-5, -3), SUPPORTED), ((-3, -2), SUPPORTED), ((-4, -4), UNDECIDED)])
def test_a_saving_of_four_percent_is_judged_by_the_weaker_end(tmp_path, claimed, verdict):
    store_rates(tmp_path, BASE)
    store_rates(tmp_path, VARIANT, -4, spread=1)
    found = only(judge_all([claim(change_percent=claimed)], StoredResults(tmp_path)))
    assert found.verdict == verdict and found.n == 24 and found.what_n == "images"
    assert found.interval[0] < found.value < found.interval[1] and abs(found.value + 4) < 1
    assert 0 <= found.p_value <= 1 and found.detectable > 0
    assert "24 images" in found.reason and "claimed" in found.reason and "--codecs" in found.command


def test_what_is_found_is_the_bd_rate_of_the_averaged_curves(tmp_path):
    store_rates(tmp_path, BASE)
    store_rates(tmp_path, VARIANT, -4)
    result = judge_all([claim(change_percent=(-5, -3))], StoredResults(tmp_path))
    assert only(result).value == pytest.approx(-4) and only(result).verdict == SUPPORTED
    (pair,) = result.pairs
    assert pair.value_percent == pytest.approx(-4) and pair.per_image_percent == pytest.approx([-4] * 24)
    assert pair.share_improved == 1 and pair.images == tuple(IMAGES)


def test_quality_at_equal_rate(tmp_path):
    store_rates(tmp_path, BASE)
    store_rates(tmp_path, VARIANT, -4)
    gain = 2 * np.log2(1 / 0.96)  # a doubling of the rate is worth 2 dB
    low, high = (only(judge_all([claim(metric="bd_quality", change=(end, end + 1))], StoredResults(tmp_path)))
                 for end in (gain - 0.01, gain + 0.01))
    assert (low.verdict, high.verdict) == (SUPPORTED, REFUTED) and low.value == pytest.approx(gain)


@pytest.mark.parametrize(("values", "words"), [
    ({"decode_matches": False}, "differ from the encoder's own"),
    ({"images": IMAGES[:20]}, "20 of the 24 images"),
    ({"image_verified": False}, "not the dataset's own"),
])
def test_broken_preconditions_make_a_claim_invalid(tmp_path, values, words):
    store_rates(tmp_path, BASE)
    store_rates(tmp_path, VARIANT, -4, **values)
    found = only(judge_all([claim(change_percent=(-5, -3))], StoredResults(tmp_path)))
    assert found.verdict == INVALID and words in found.reason and found.value is None


def test_curves_without_enough_overlap_are_invalid(tmp_path):
    store_rates(tmp_path, BASE)
    rows = [row_samples.row(image, point, rate, PSNR[point] + 7, name=VARIANT, dataset_total=24)
            for image in IMAGES for point, rate in row_samples.RATES.items()]
    row_samples.write(tmp_path / "kodak" / f"{VARIANT}.jsonl", rows)
    found = only(judge_all([claim(change_percent=(-5, -3))], StoredResults(tmp_path)))
    assert found.verdict == INVALID and "share" in found.reason


def test_without_rows_nothing_is_measured_and_the_command_says_what_would(tmp_path):
    found = only(judge_all([claim(change_percent=(-5, -3))], StoredResults(tmp_path)))
    assert found.verdict == NOT_MEASURED
    assert f"--codecs {VARIANT},{BASE}" in found.command and f"checkpoints/{VARIANT}" in found.command


def test_miniatures_are_judged_apart_and_never_settle_a_claim(tmp_path):
    for name, percent in ((BASE, 0), (VARIANT, -4)):
        store_rates(tmp_path, f"{name}_mini", percent, miniature=True)
    result = judge_all([claim(change_percent=(-5, -3))], StoredResults(tmp_path))
    assert [(one.verdict, one.miniature) for one in result.judgements] == [(NOT_MEASURED, False), (SUPPORTED, True)]
    assert result.counts == {NOT_MEASURED: 1} and result.pairs[0].miniature


def test_the_published_bd_rates_of_hpcm_are_reproduced_from_published_points(tmp_path):
    claims = [one for one in load_claims().values() if one.published]
    judgements = judge_all(claims, StoredResults(tmp_path)).judgements
    assert len(judgements) == 6 and {one.verdict for one in judgements} == {REPRODUCED}
    stated = {("hpcm_base", "kodak"): -15.31, ("hpcm_base", "clic2020"): -14.23, ("hpcm_base", "tecnick"): -18.16,
              ("hpcm_large", "kodak"): -19.19, ("hpcm_large", "clic2020"): -18.37, ("hpcm_large", "tecnick"): -22.20}
    found = {(one.claim.variant, one.where): one.value for one in judgements}
    assert found.keys() == stated.keys()
    assert all(abs(found[key] - stated[key]) <= 0.3 for key in stated)


def test_a_wrong_published_figure_is_refuted(tmp_path):
    wrong = claim(variant="hpcm_base", versus="vtm", published="hpcm-base-mse", kind="measured",
                  change_percent=(-17, -17), dataset="kodak")
    assert only(judge_all([wrong], StoredResults(tmp_path))).verdict == REFUTED


def test_own_rows_stand_beside_published_points_and_do_not_refute_without_an_interval(tmp_path):
    store_rates(tmp_path, "hpcm_base")
    (claim_,) = [one for one in load_claims().values() if one.name == "hpcm_base_bd_rate_kodak"]
    published, own = judge_all([claim_], StoredResults(tmp_path)).judgements
    assert published.verdict == REPRODUCED and "published points" in published.reason
    assert own.verdict in (UNDECIDED, INVALID)


def test_rounded_figures_hold_for_counts_that_round_to_them(tmp_path):
    rows = [*latency_samples.both(BASE), *latency_samples.both(VARIANT, parameters=int(68_505_299 * 1.0437))]
    latency_samples.store(tmp_path, rows)
    claims = [claim("four", metric="parameters", change_percent=(4, 4)),
              claim("precise", metric="parameters", change_percent=(4.3, 4.3))]
    assert [one.verdict for one in judge_all(claims, StoredResults(tmp_path)).judgements] == [SUPPORTED, REFUTED]


def test_equal_means_within_the_noise_floor(tmp_path):
    latency_samples.store(tmp_path, [*latency_samples.both(BASE), *latency_samples.both(VARIANT, 0.101, 0.202)])
    latency_samples.store(tmp_path, latency_samples.both("rwkv_phase2", 0.11, 0.22))
    equal = {"metric": "total_time", "change_percent": (0, 0)}
    claims = [claim("same", **equal), claim("slower", variant="rwkv_phase2", **equal)]
    assert [one.verdict for one in judge_all(claims, StoredResults(tmp_path)).judgements] == [SUPPORTED, REFUTED]


def test_a_mismatch_makes_times_invalid(tmp_path):
    latency_samples.store(tmp_path, [*latency_samples.both(BASE), *latency_samples.both(VARIANT, decode_matches=False)])
    found = only(judge_all([claim(metric="total_time", change_percent=(0, 5))], StoredResults(tmp_path)))
    assert found.verdict == INVALID and "differ" in found.reason


def test_times_say_that_weights_are_random_and_what_the_floor_is(tmp_path):
    latency_samples.store(tmp_path, [*latency_samples.both(BASE), *latency_samples.both(VARIANT, 0.102, 0.204)])
    found = only(judge_all([claim(metric="total_time", change_percent=(1, 1))], StoredResults(tmp_path)))
    assert "random weights" in found.evidence and "noise floor of 3 % included" in found.reason
    assert found.verdict == UNDECIDED and found.floor == 3 and found.detectable >= 3
    assert found.bounds[0] <= found.interval[0] and found.bounds[1] >= found.interval[1]


def test_rows_of_a_miniature_under_a_full_name_are_no_evidence(tmp_path):
    store_rates(tmp_path, BASE)
    store_rates(tmp_path, VARIANT, -4, miniature=True)
    assert only(judge_all([claim(change_percent=(-5, -3))], StoredResults(tmp_path))).verdict == INVALID


def test_against_an_average_there_is_no_interval_to_decide_by(tmp_path):
    store_rates(tmp_path, VARIANT)
    wide = claim(versus="vtm", change_percent=(-99, 900))
    found = only(judge_all([wide], StoredResults(tmp_path)))
    assert found.verdict in (UNDECIDED, INVALID) and found.interval is None and found.p_value is None


def test_times_by_rounds_and_counts_exactly(tmp_path):
    rows = [*latency_samples.both(BASE, 0.1, 0.2), *latency_samples.both(VARIANT, 0.13, 0.26, parameters=70_560_458)]
    latency_samples.store(tmp_path, rows)
    claims = [claim("slower", metric="total_time", change_percent=(20, 25)),
              claim("slow", metric="decode_time", change_percent=(35, 50)),
              claim("parameters", metric="parameters", change_percent=(3, 5)),
              claim("memory", metric="memory", change_percent=(-20, -10)),
              claim("milliseconds", metric="encode_time", versus=None, value=(81.8, 81.8), kind="measured"),
              claim("trained", metric="training_time", change_percent=(5, 5))]
    found = {one.claim.name: one for one in judge_all(claims, StoredResults(tmp_path)).judgements}
    verdicts = {name: one.verdict for name, one in found.items()}
    assert verdicts == {"slower": REFUTED, "slow": SUPPORTED, "parameters": SUPPORTED, "memory": REFUTED,
                        "milliseconds": NOT_MEASURED, "trained": NOT_MEASURED}
    assert found["slower"].value == pytest.approx(30) and found["slower"].what_n == "rounds"
    assert found["parameters"].value == pytest.approx(3, abs=1e-3) and found["parameters"].interval is None
    assert "not even a gain" not in found["slower"].reason


def test_a_busy_machine_makes_times_invalid_but_not_counts(tmp_path):
    busy = {"state": {"warnings": ["other processes kept 1.5 cores busy"]}}
    latency_samples.store(tmp_path, [*latency_samples.both(BASE), *latency_samples.both(VARIANT, **busy)])
    claims = [claim("time", metric="total_time", change_percent=(0, 5)),
              claim("size", metric="parameters", change_percent=(0, 5))]
    assert [one.verdict for one in judge_all(claims, StoredResults(tmp_path)).judgements] == [INVALID, SUPPORTED]


def test_times_of_other_sessions_do_not_compare(tmp_path):
    latency_samples.store(tmp_path, [*latency_samples.both(BASE), *latency_samples.both(VARIANT, session="s2")])
    found = only(judge_all([claim(metric="total_time", change_percent=(0, 5))], StoredResults(tmp_path)))
    assert found.verdict == NOT_MEASURED and "profile rwkv_phase1 hpcm_base" in found.command


def test_many_claims_are_corrected(tmp_path):
    store_rates(tmp_path, BASE)
    store_rates(tmp_path, VARIANT, -2, spread=4, seed=5)
    weak = only(judge_all([claim(change_percent=(-9, -0.9))], StoredResults(tmp_path)))
    assert 0 < weak.p_value < 1
    single = judge_all([claim(change_percent=(-9, -0.9))], StoredResults(tmp_path))
    many = judge_all([claim(f"c{number}", change_percent=(-9, -0.9)) for number in range(40)], StoredResults(tmp_path))
    assert single.judgements[0].adjusted_p == weak.p_value
    assert all(one.adjusted_p == pytest.approx(min(1, 40 * weak.p_value)) for one in many.judgements)
    assert weak.verdict in (SUPPORTED, UNDECIDED)
    assert any(map(is_marked, many.judgements)) == (weak.verdict == SUPPORTED and 40 * weak.p_value >= 0.05)
    assert "40 claims about full-width models were tested" in many.multiplicity
    assert ("Holm's correction over all 40 that were tested" in many.multiplicity) == (weak.verdict == SUPPORTED)


def test_correction_is_told_of_the_shown_claims(tmp_path):
    """It is over all that were tested; counted are those that readers see."""
    store_rates(tmp_path, BASE)
    store_rates(tmp_path, VARIANT, -4)
    bounds = {"first": (-5, -3), "second": (-9, -6), "third": (-6, -2)}
    all_three = judge_all([claim(name, change_percent=ends) for name, ends in bounds.items()],
                          StoredResults(tmp_path)).judgements
    assert [one.verdict for one in all_three] == [SUPPORTED, REFUTED, SUPPORTED]

    said = describe_correction(all_three, all_three[1:])
    assert said.startswith("2 claims about full-width models were tested")
    assert "of the 2 supported or refuted ones 2 outlast Holm's correction over all 3 that were tested." in said
    assert describe_correction(all_three, all_three[:1]).startswith("1 claim about full-width models was tested")
    untested = [replace(one, p_value=None, adjusted_p=None) for one in all_three]
    assert describe_correction(all_three, untested[:2]) == (
        "No claim was tested on samples: all decided ones are exact.")


def test_power_and_false_alarms(tmp_path):
    """A claim that holds by four standard errors is nearly always supported; one on its own edge is wrong in 5 %."""
    verdicts: dict[float, list[str]] = {-4.0: [], -3.0: [], -2.0: []}
    for seed in range(40):
        for true, found in verdicts.items():
            store_rates(tmp_path, BASE)
            store_rates(tmp_path, VARIANT, true, spread=1.2, seed=seed)  # a standard error of about 0.25 points
            found.append(only(judge_all([claim(change_percent=(-9, -3))], StoredResults(tmp_path))).verdict)
    assert verdicts[-4.0].count(SUPPORTED) >= 34 and verdicts[-4.0].count(REFUTED) == 0
    assert verdicts[-2.0].count(REFUTED) >= 34 and verdicts[-2.0].count(SUPPORTED) == 0
    assert verdicts[-3.0].count(SUPPORTED) <= 7 and verdicts[-3.0].count(REFUTED) <= 7  # 99.5 % of binomial(40, 0.05)


def by_similarity(**values) -> Claim:
    return claim(by="ms-ssim", **values)


def test_a_claim_goes_by_the_quality_metric_that_it_names(tmp_path):
    """The anchor's MS-SSIM in dB is 10 log10 of its PSNR (row_samples); by PSNR alone nothing changes."""
    store_rates(tmp_path, BASE)
    store_rates(tmp_path, VARIANT)
    path = tmp_path / "kodak" / f"{VARIANT}.jsonl"
    rows = [row_samples.with_quality(row, ms_ssim=1 - 10 ** -0.01 * (1 - row.quality["ms-ssim"]))
            for row in read_rows(path, Row)]
    row_samples.write(path, rows)

    results = StoredResults(tmp_path)
    assert only(judge_all([claim(change_percent=(0, 0))], results)).value == pytest.approx(0, abs=1e-9)
    gain = only(judge_all([by_similarity(metric="bd_quality", change=(0.05, 0.15))], results))
    assert gain.verdict == SUPPORTED and gain.value == pytest.approx(0.1) and "0.1" in gain.reason
    assert only(judge_all([by_similarity(change_percent=(-60, -5))], results)).value < -5
    assert {pair.metric for pair in judge_all([by_similarity(change_percent=(-60, -5))], results).pairs} == {"ms-ssim"}

    at_rate = by_similarity(metric="quality", versus=None, value=(0.9, 0.95), at_bpp=row_samples.RATES["q3"])
    measured = [row.quality["ms-ssim"] for row in rows if row.point == "q3"]
    assert only(judge_all([at_rate], results)).value == pytest.approx(np.mean(measured))


def test_a_metric_that_rows_do_not_hold_is_not_measured(tmp_path, added_metric):
    for name in (BASE, VARIANT):
        store_rates(tmp_path, name, -19 if name == VARIANT else 0)
    found = only(judge_all([claim(by="mae", change_percent=(-20, -10))], StoredResults(tmp_path)))
    assert found.verdict == NOT_MEASURED and "hold no MAE" in found.reason and "--metrics mae" in found.reason


def test_a_metric_that_falls_with_quality_is_judged_by_its_negation(tmp_path, added_metric):
    """The error is inverse to the rate: with 0.8 of the error, each error takes 0.8 of the anchor's rate."""
    errors = {"q1": 16.0, "q2": 8.0, "q3": 4.0, "q4": 2.0, "q5": 1.0}
    for name, factor in ((BASE, 1.0), (VARIANT, 0.8)):
        store_rates(tmp_path, name)
        path = tmp_path / "kodak" / f"{name}.jsonl"
        row_samples.write(path, [row_samples.with_quality(row, mae=factor * errors[row.point])
                                 for row in read_rows(path, Row)])

    results = StoredResults(tmp_path)
    saving = only(judge_all([claim(by="mae", change_percent=(-30, -10))], results))
    assert saving.verdict == SUPPORTED and saving.value == pytest.approx(-20, rel=0.05)
    worse = only(judge_all([claim(by="mae", variant=BASE, versus=VARIANT, change_percent=(-60, -40))], results))
    assert worse.verdict == REFUTED and worse.value == pytest.approx(25, rel=0.05)
    absolute = claim(metric="quality", by="mae", versus=None, value=(2, 3), at_bpp=0.8)
    assert absolute.lower_is_better and absolute.unit == "levels"
    assert only(judge_all([absolute], results)).value == pytest.approx(3.2)


SIGNS = Path(__file__).parent / "reference" / "claim_signs.yaml"
STORED = Path(__file__).parents[1] / "results" / "kodak"


def test_a_figure_that_is_the_measured_one_with_the_sign_turned_is_questioned(tmp_path):
    """A saving of 11.1 % that is written as +11.1 % would be supported by any saving at all."""
    (tmp_path / "kodak").mkdir()
    for name in ("balanced_phase1_mini", "hpcm_base_mini"):
        shutil.copy(STORED / f"{name}.jsonl", tmp_path / "kodak")
    judged = judge_all(load_claims(SIGNS).values(), StoredResults(tmp_path)).judgements
    found = {one.claim.name: one for one in judged}

    positive, negative = found["saving_written_positive"], found["saving_written_negative"]
    assert positive.value == negative.value == pytest.approx(-11.13, abs=0.02)  # the rows may be measured anew
    assert positive.verdict == UNDECIDED and "is the sign of the claim meant? Savings are negative" in positive.reason
    assert "sign" not in negative.reason

    near, far = (structs.replace(positive.claim, change_percent=(end, end)) for end in (10.0, 14.0))
    assert -near.weaker_end <= positive.interval[1] and -far.weaker_end < positive.interval[0]
    assert [only(judge_all([one], StoredResults(tmp_path))).sign_in_doubt for one in (near, far)] == [True, False]

    published = found["hpcm_positive"]
    assert published.verdict == UNDECIDED and "measured −15.43 %, claimed +15.31 %" in published.reason
    assert "the sign turned" in published.reason


@pytest.mark.parametrize(("claimed", "asked"), [((4, 4), True), ((3, 5), True), ((8, 8), False), ((-4, -4), False)])
def test_only_the_same_figure_makes_the_sign_doubtful(tmp_path, claimed, asked):
    store_rates(tmp_path, BASE)
    store_rates(tmp_path, VARIANT, -4, spread=0.1)
    found = only(judge_all([claim(change_percent=claimed)], StoredResults(tmp_path)))
    assert ("the sign turned" in found.reason) is asked
    assert asked is (found.verdict == UNDECIDED) or claimed == (-4, -4)


def test_a_claimed_gain_that_is_measured_as_a_loss_stays_refuted(tmp_path):
    store_rates(tmp_path, BASE)
    store_rates(tmp_path, VARIANT, 4, spread=0.1)
    found = only(judge_all([claim(change_percent=(-4, -4))], StoredResults(tmp_path)))
    assert found.verdict == REFUTED and "a loss" in found.reason
