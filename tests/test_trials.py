"""Analysis of trials: ranks within one λ, BD-rates across λ, what can't be compared, the report."""

import csv
import io
import json
import sys

import bjontegaard
import pytest
from msgspec.structs import replace

from bench.cli import main
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, ConfigurationError
from bench.reports.page.canvas import render_figure
from bench.reports.page.figures import WIDE
from bench.reports.page.files import list_contents
from bench.reports.search.plots import find_importances
from bench.reports.search.report import make_search_report
from bench.training.search.record import COMPLETE, FAILED, PRUNED, Trial, read_trial, read_trials, write_trial
from bench.training.search.trials import analyse_trials

OWN = {"gamma": 0.003, "weight_rate": 0.025}
LAMBDAS = (0.0035, 0.0067, 0.013, 0.025)
RATES = (0.2, 0.35, 0.6, 0.95)
QUALITIES_DB = (28.0, 30.1, 32.4, 34.8)


def trial(gamma=0.003, rate=0.025, loss=1.0, lambda_=0.013, state=COMPLETE, **changes):
    measured = {"loss": loss, "bpp": 0.5, "psnr_db": 30.0} if state != FAILED else {}
    return Trial(**{"lambda_": lambda_, "parameters": {"gamma": gamma, "weight_rate": rate}, "state": state,
                    "steps": 100, "variant": "tiny", "own": OWN, "place": f"g{gamma}-w{rate}", **measured, **changes})


def curve(gamma, scale, shift_db=0.0, lambdas=LAMBDAS):
    """A setting's trials over λ: another rate and quality than the base's at each."""
    return [trial(gamma, lambda_=one, bpp=bpp * scale, psnr_db=psnr + shift_db, loss=one * 100)
            for one, bpp, psnr in zip(LAMBDAS, RATES, QUALITIES_DB) if one in lambdas]


def test_settings_are_ranked_within_one_lambda_and_ties_share_a_rank():
    losses = {0.001: 1.0020, 0.003: 1.0, 0.005: 1.0009, 0.01: 1.0025}
    (group,) = analyse_trials([trial(gamma, loss=loss) for gamma, loss in losses.items()]).by_lambda
    assert [(dict(one.setting)["gamma"], one.rank) for one in group.ranked] == [
        (0.003, 1), (0.005, 1), (0.001, 3), (0.01, 3)]  # 1.0025 is within 0.1 % of 1.0020, 1.0020 not of 1
    assert [one.excess for one in group.ranked] == pytest.approx([0, 0.0009, 0.002, 0.0025])
    assert [dict(one.setting)["gamma"] for one in group.recommended] == [0.003, 0.005]
    without = analyse_trials([trial(gamma, loss=loss) for gamma, loss in losses.items()], noise=0).by_lambda[0]
    assert [one.rank for one in without.ranked] == [1, 2, 3, 4]


def test_a_low_lambda_never_outranks_a_high_one():
    """Its losses are lower whatever the parameters; as published, it would have won."""
    trials = [trial(0.001, loss=0.4, lambda_=0.0035), trial(0.003, loss=0.5, lambda_=0.0035),
              trial(0.001, loss=2.0, lambda_=0.025), trial(0.003, loss=1.5, lambda_=0.025)]
    found = {group.lambda_: dict(group.recommended[0].setting)["gamma"] for group in analyse_trials(trials).by_lambda}
    assert found == {0.0035: 0.001, 0.025: 0.003}


def test_runs_of_one_setting_are_averaged_and_others_counted_apart():
    trials = [trial(0.003, loss=1.0, bpp=0.5), trial(0.003, loss=1.4, bpp=0.7), trial(0.001, loss=1.1),
              trial(0.005, loss=0.1, state=PRUNED), trial(0.01, state=FAILED, reason="the loss has grown")]
    (group,) = analyse_trials(trials).by_lambda
    assert len(group.trials) == 5 and len(group.of_state(PRUNED)) == len(group.of_state(FAILED)) == 1
    assert [(one.runs, one.loss, one.bpp) for one in group.ranked] == [
        (1, pytest.approx(1.1), 0.5), (2, pytest.approx(1.2), pytest.approx(0.6))]


def test_only_failures_recommend_nothing():
    (group,) = analyse_trials([trial(state=FAILED)]).by_lambda
    assert group.recommended == [] and len(group.trials) == 1


def test_bd_rates_across_lambda_are_those_of_the_bjontegaard_package():
    others = {0.001: (1.05, 0.1), 0.005: (0.93, 0.0), 0.01: (1.2, 0.3)}
    trials = curve(0.003, 1.0) + [one for gamma, how in others.items() for one in curve(gamma, *how)]
    analysis = analyse_trials(trials)
    expected = {gamma: bjontegaard.bd_rate(RATES, QUALITIES_DB, [rate * scale for rate in RATES],
                                           [psnr + shift for psnr in QUALITIES_DB], method="pchip")
                for gamma, (scale, shift) in others.items()}
    assert expected[0.005] == pytest.approx(-7, abs=0.01)
    assert analysis.reference == (("gamma", 0.003), ("weight_rate", 0.025))
    assert {dict(one.setting)["gamma"]: one.result.value for one in analysis.compared} == pytest.approx(expected)
    order = sorted(expected, key=expected.get)
    assert [(dict(one.setting)["gamma"], one.rank) for one in analysis.compared] == list(zip(order, (1, 2, 3)))


def test_bd_rates_take_the_lambda_both_have_and_need_four():
    trials = curve(0.003, 1.0) + curve(0.001, 0.9) + curve(0.005, 0.8, lambdas=LAMBDAS[:3])
    trials += [trial(0.001, lambda_=0.0483, bpp=9.0, psnr_db=20.0)]  # a point that no curve could hold
    (only,) = analyse_trials(trials).compared
    assert dict(only.setting)["gamma"] == 0.001 and only.lambdas == LAMBDAS
    assert only.result.value == pytest.approx(-10)
    against = analyse_trials(trials, {"gamma": 0.001, "weight_rate": 0.025}).compared
    assert [one.result.value for one in against] == [pytest.approx(100 / 0.9 - 100)]
    assert analyse_trials(trials, {"gamma": 0.005, "weight_rate": 0.025}).compared == ()


def test_a_setting_whose_curve_turns_back_has_no_bd_rate_but_a_reason():
    bent = [replace(one, psnr_db=30.0) for one in curve(0.001, 1.0)]
    analysis = analyse_trials(curve(0.003, 1.0) + bent + curve(0.005, 1.1))
    assert [(one.rank, one.result.value is None) for one in analysis.compared] == [(1, False), (None, True)]
    assert "rise" in analysis.compared[1].result.reason


@pytest.mark.parametrize(("other", "message"), [
    (trial(0.001, variant="another"), "several variants"),
    (trial(0.001, training="another"), "more than the values searched"),
    (trial(parameters={"gamma": 0.001}), "more than the values searched"),
])
def test_trials_that_cannot_be_compared_are_refused(other, message):
    with pytest.raises(ConfigurationError, match=message):
        analyse_trials([trial(), other])


def test_records_are_found_at_any_depth_and_read_as_written(tmp_path):
    written = [trial(0.001), trial(0.003, state=FAILED, reason="weights are no longer finite")]
    for folder, one in zip((tmp_path / "a" / "0.013" / "trial-0", tmp_path / "trial-1"), written):
        folder.mkdir(parents=True)
        write_trial(folder, one)
    read = read_trials(tmp_path)
    assert sorted((replace(one, place="") for one in read), key=str) == sorted(
        (replace(one, place="") for one in written), key=str)
    bare = {"lambda": 0.01, "parameters": {"gamma": 1}, "loss": 1, "bpp": 1, "psnr_db": 30, "steps": 3,
            "state": "complete", "reason": ""}
    (tmp_path / "trial-1" / "trial.json").write_text(json.dumps(bare))
    assert read_trial(tmp_path / "trial-1" / "trial.json").setting == (("gamma", 1.0),)


@pytest.mark.parametrize("change", [{"state": "running"}, {"loss": None}, {"parameters": {"gamma": "x"}}])
def test_damaged_records_are_refused(tmp_path, change):
    write_trial(tmp_path, trial())
    path = tmp_path / "trial.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ConfigurationError, match="no record of a trial"):
        read_trials(tmp_path)
    path.unlink()
    with pytest.raises(ConfigurationError, match="no trial below"):
        read_trials(tmp_path)


def test_the_verb_reports_all_trials_and_says_who_failed(tmp_path, capsys):
    trials = curve(0.003, 1.0) + curve(0.001, 0.9) + [
        trial(0.001, 0.05, loss=2.0), trial(0.01, state=FAILED, reason="a | b"), trial(0.005, loss=1.0, state=PRUNED)]
    for number, one in enumerate(trials):
        (tmp_path / f"trial-{number}").mkdir()
        write_trial(tmp_path / f"trial-{number}", one)
    assert main(["search", "--analyse", str(tmp_path), "--top", "1"]) == EXIT_DONE
    assert "11 trials at 4 λ" in capsys.readouterr().out
    page = (tmp_path / "report" / "README.md").read_text()
    assert "11 runs at 4 λ: 9 complete, 1 ended early, 1 failed" in page
    assert "−10.00" in page and "a \\| b" in page and "Recommended: gamma 0.001, weight_rate 0.025," in page
    rows = list(csv.DictReader(io.StringIO((tmp_path / "report" / "trials.csv").read_text())))
    assert len(rows) == 11 and {row["state"] for row in rows} == {"complete", "pruned", "failed"}
    figures = {path.name for path in (tmp_path / "report" / "figures").glob("*.png")}
    points = [f"{one:g}".replace(".", "_") for one in LAMBDAS]
    assert figures == {"contour_0_013.png", *(f"slice_{point}.png" for point in points)}
    assert all(f"(figures/{name})" in page for name in figures)


def test_stored_searches_are_reported_with_the_rest(tmp_path):
    for number, one in enumerate(curve(0.003, 1.0)):
        folder = tmp_path / "results" / "search" / "tiny" / f"{one.lambda_:g}" / f"trial-{number}"
        folder.mkdir(parents=True)
        write_trial(folder, one)
    assert main(["report", "--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]) == EXIT_DONE
    page = (tmp_path / "reports" / "search" / "tiny" / "index.html").read_text()
    assert "4 runs at 4 λ" in page and page.count("<img") == 0  # one setting alone is no figure


def test_the_parameter_that_matters_is_the_important_one():
    trials = [trial(gamma, rate, loss=1 + abs(gamma - 0.003) + 1e-6 * rate)
              for gamma in (0.001, 0.003, 0.005, 0.01) for rate in (0.01, 0.025, 0.05)]
    (group,) = analyse_trials(trials).by_lambda
    importances = find_importances(group)
    assert importances["gamma"] > 0.8 and sum(importances.values()) == pytest.approx(1)
    few = analyse_trials(trials[:3]).by_lambda[0]
    assert find_importances(few) == {}


def test_the_same_trials_give_the_same_bytes():
    trials = [trial(gamma, rate, loss=1 + gamma + rate) for gamma in (0.001, 0.003) for rate in (0.01, 0.05)]
    first, second = (make_search_report(analyse_trials(trials)) for _ in range(2))
    assert list_contents(first) == list_contents(second)
    assert [figure.name for figure in first.figures] == ["slice_0_013", "contour_0_013"]
    for one, other in zip(first.figures, second.figures):
        assert one.digest == other.digest and render_figure(one, WIDE) == render_figure(other, WIDE)


@pytest.mark.parametrize("arguments", [["--analyse", "somewhere"], ["--variant", "tiny", "--data", "a"]])
def test_the_verb_says_that_it_needs_optuna(arguments, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["search", *arguments]) == EXIT_BAD_INPUT
    assert "bench[search]" in capsys.readouterr().err
