"""`python -m bench claims` on rows made here: verdicts, the accepted state, planted regressions, exit codes."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from row_samples import with_quality

import bench.claims.curves
import bench.results.stored
from bench.claims.changes import compare_with_accepted
from bench.cli import main
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_INCOMPLETE
from bench.results.stored import StoredResults
from tests import latency_samples, row_samples
from tests.test_judgement import BASE, IMAGES, PSNR, VARIANT, store_rates

CLAIMS = f"""
claims:
  saves: {{variant: {VARIANT}, versus: {BASE}, metric: bd_rate, change_percent: [-5, -3], kind: predicted,
    source: README}}
  slower: {{variant: {VARIANT}, versus: {BASE}, metric: total_time, change_percent: [20, 40], kind: predicted,
    source: README}}
"""


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rows under which both claims hold."""
    (tmp_path / "claims.yaml").write_text(CLAIMS)
    monkeypatch.setenv("BENCH_CLAIMS", str(tmp_path / "claims.yaml"))
    store_rates(tmp_path / "results", BASE)
    store_rates(tmp_path / "results", VARIANT, -4)
    return latency_samples.store(tmp_path / "results", [*latency_samples.both(BASE), *slow()])


def slow(factor: float = 1.3, stage: str = "context s3", **values) -> list:
    """Rows of the variant with times ``factor`` of the base's, all that is beyond 1.3 in one stage."""
    extra = max(0.0, factor - 1.3)
    rows = []
    for direction, base_s in (("encode", 0.1), ("decode", 0.2)):
        stages = {"context s3": [0.65 * base_s] * 3, "entropy coding": [0.13 * base_s] * 3, "rest": [0.52 * base_s] * 3}
        stages[stage] = [value + extra * base_s for value in stages[stage]]
        rows.append(latency_samples.row(VARIANT, direction, factor * base_s, stages_s=stages, **values))
    return rows


def claims(results: Path, *arguments: str) -> int:
    return main(["claims", *arguments, "--results", str(results), "--no-report"])


def test_verdicts_are_printed_and_nothing_is_compared_without_an_accepted_state(results, capsys):
    assert claims(results) == EXIT_DONE
    shown = capsys.readouterr().out
    assert "SUPPORTED" in shown and "--accept" in shown


def test_nothing_changes_after_accepting(results, capsys):
    assert claims(results, "--accept") == EXIT_DONE
    assert {path.name for path in (results / "baseline").iterdir()} == {"curves.jsonl", "costs.jsonl", "verdicts.jsonl"}
    capsys.readouterr()
    assert claims(results) == EXIT_DONE
    shown = capsys.readouterr().out
    assert "Accepted state (results/baseline): unchanged" in shown and "WORSE" not in shown
    assert "compared: 2 curves, 4 timings, " in shown


def worse_after(results: Path, capsys, *arguments: str) -> str:
    """Exit with 1 and return what was printed."""
    capsys.readouterr()
    assert claims(results, *arguments) == EXIT_INCOMPLETE
    return capsys.readouterr().out


def test_one_percent_more_rate_is_found_and_named(results, capsys):
    claims(results, "--accept")
    store_rates(results, VARIANT, 100 * (0.96 * 1.01 - 1))
    shown = worse_after(results, capsys)
    assert "rate moved by +1.00 %" in shown and "24 of 24 images" in shown
    assert "Accepted state (results/baseline): 2 numbers got worse, 0 better; compared: 2 curves" in shown


def test_a_twentieth_of_a_decibel_is_found_and_named(results, capsys):
    claims(results, "--accept")
    path = results / "kodak" / f"{VARIANT}.jsonl"
    rows = [row_samples.row(image, point, rate * 0.96, PSNR[point] + index / 100 - 0.05, name=VARIANT,
                            dataset_total=len(IMAGES))
            for index, image in enumerate(IMAGES) for point, rate in row_samples.RATES.items()]
    row_samples.write(path, rows)
    assert "quality moved by −0.050 dB" in worse_after(results, capsys)


@pytest.mark.parametrize("stage", ["context s3", "entropy coding"])
def test_a_tenth_more_time_is_found_with_its_stage(results, capsys, stage):
    claims(results, "--accept")
    later = slow(1.43, stage, session="s2", measured_at="2026-02-01T00:00:00+00:00")
    again = latency_samples.both(BASE, session="s2", measured_at="2026-02-01T00:00:00+00:00")
    latency_samples.store(results, [*again, *later])
    shown = worse_after(results, capsys)
    assert "median moved by +10.0 %" in shown and f"by stage: {stage}" in shown


def test_noise_is_no_change(results, capsys):
    claims(results, "--accept")
    random = np.random.default_rng(7)
    store_rates(results, VARIANT, -4)
    rounds = tuple((np.array(latency_samples.FACTORS) * np.exp(random.normal(0, 0.01, 10))).tolist())
    later = [*latency_samples.both(BASE, session="s2", measured_at="2026-02-01T00:00:00+00:00", rounds=rounds),
             *slow(session="s2", measured_at="2026-02-01T00:00:00+00:00", rounds=rounds)]
    latency_samples.store(results, later)
    assert claims(results) == EXIT_DONE


def test_a_vanished_row_a_fallen_verdict_and_more_memory(results, capsys):
    claims(results, "--accept")
    (results / "kodak" / f"{VARIANT}.jsonl").unlink()
    peak = {"peak_alloc_bytes": 2_000_000_000, "session": "s2", "measured_at": "2026-02-01T00:00:00+00:00"}
    again = latency_samples.both(BASE, session="s2", measured_at="2026-02-01T00:00:00+00:00")
    latency_samples.store(results, [*again, *slow(**peak)])
    shown = worse_after(results, capsys)
    assert "no longer" in shown and "NOT MEASURED" in shown and "memory moved by" in shown


def test_every_change_says_which_codec_it_is_of(results, capsys):
    claims(results, "--accept")
    store_rates(results, VARIANT, 4)
    (results / "kodak" / f"{BASE}.jsonl").unlink()
    changes = compare_with_accepted(StoredResults(results)).changes
    by_kind = {(change.kind, change.codec) for change in changes}
    assert by_kind >= {("rate", VARIANT), ("verdict", VARIANT), ("row vanished", BASE)}
    assert all(change.codec == BASE for change in changes if change.what.startswith("kodak"))


def test_a_new_measurement_is_no_regression(results, capsys):
    rows = results / "latency"
    rows.rename(results.parent / "later")
    claims(results, "--accept")
    (results.parent / "later").rename(rows)
    assert claims(results) == EXIT_DONE


def later_session(results: Path, factor: float, **values) -> None:
    """Everything timed again, all of it by ``factor`` slower."""
    again = {"session": "s2", "measured_at": "2026-02-01T00:00:00+00:00", **values}
    shapes = [(768, 512), (256, 256)]
    rows = [one for shape in shapes for one in latency_samples.both(BASE, 0.1 * factor, 0.2 * factor, shape=shape,
                                                                    **again)]
    rows += [latency_samples.row(VARIANT, direction, 1.3 * factor * base_s, shape=shape, **again)
             for shape in shapes for direction, base_s in (("encode", 0.1), ("decode", 0.2))]
    latency_samples.store(results, rows)


def test_what_all_timings_share_is_one_change(results, capsys):
    later_session(results, 1.0, session="s1")
    claims(results, "--accept")
    later_session(results, 1.2)
    shown = worse_after(results, capsys)
    assert "+20.0 % in common" in shown and "median moved" not in shown


def test_a_slightly_slower_day_is_no_change(results):
    later_session(results, 1.0, session="s1")
    claims(results, "--accept")
    later_session(results, 1.04)
    assert claims(results) == EXIT_DONE


def test_a_busy_session_is_not_compared(results, capsys):
    later_session(results, 1.0, session="s1")
    claims(results, "--accept")
    later_session(results, 1.5, state={"warnings": ["other processes kept 1.5 cores busy"]})
    capsys.readouterr()
    claims(results)
    assert "in common" not in capsys.readouterr().out


def test_lower_ms_ssim_alone_is_found(results, capsys):
    claims(results, "--accept")
    path = results / "kodak" / f"{VARIANT}.jsonl"
    rows = [row_samples.row(image, point, rate * 0.96, PSNR[point] + index / 100, name=VARIANT,
                            dataset_total=len(IMAGES))
            for index, image in enumerate(IMAGES) for point, rate in row_samples.RATES.items()]
    row_samples.write(path, [with_quality(one, ms_ssim=1 - 10 ** 0.01 * (1 - one.quality["ms-ssim"])) for one in rows])
    shown = worse_after(results, capsys)
    assert "MS-SSIM" in shown and "quality moved by −0.100 dB" in shown


def test_junit_and_summary_for_ci(results, tmp_path, capsys):
    claims(results, "--accept")
    store_rates(results, VARIANT, 10)
    worse_after(results, capsys, "--junit", str(tmp_path / "claims.xml"), "--summary", str(tmp_path / "claims.md"))
    root = ElementTree.parse(tmp_path / "claims.xml").getroot()
    assert root.findall(".//failure") and len(root.findall(".//testcase")) >= 2
    assert "REFUTED" in (tmp_path / "claims.md").read_text()


def test_one_variant_or_claim_by_name(results, capsys):
    assert claims(results, "slower") == EXIT_DONE
    shown = capsys.readouterr().out
    assert "slower" in shown and "saves" not in shown
    assert "1 claim about full-width models was tested" in shown and "over all 2 that were tested" in shown
    assert claims(results, "nothing") == EXIT_BAD_INPUT
    assert claims(results, "slower", "--accept") == EXIT_BAD_INPUT


def test_a_damaged_accepted_state_says_what_to_do(results, capsys):
    claims(results, "--accept")
    (results / "baseline" / "costs.jsonl").write_text('{"device": 1}\n')
    assert claims(results) != EXIT_DONE
    assert "--accept" in capsys.readouterr().err


def test_the_accepted_state_is_no_dataset(results):
    claims(results, "--accept")
    assert StoredResults(results).datasets == ["kodak"]


OPENED: list[str] | None = None  # paths, while a test counts them


def _note_opened(event: str, arguments: tuple) -> None:
    if OPENED is not None and event == "open" and isinstance(arguments[0], str):
        OPENED.append(arguments[0])


@pytest.fixture(scope="module")
def hook() -> None:
    """An audit hook, which can't be taken away again and does nothing while no test counts."""
    sys.addaudithook(_note_opened)


@pytest.fixture
def opened(hook: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every path that this process opens from here on."""
    paths: list[str] = []
    monkeypatch.setattr(sys.modules[__name__], "OPENED", paths)
    return paths


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("verb", ["claims", "report"])
def test_results_are_read_and_made_to_curves_once(results, monkeypatch, opened, verb):
    claims(results, "--accept")
    made: Counter = Counter()

    def average_rows(rows, metrics):
        rows = list(rows)
        made[rows[0].dataset, rows[0].name, tuple(metrics)] += 1
        return real_average(rows, metrics)

    def select_latency(rows):
        made["latency"] += 1
        return real_select(rows)

    real_average, real_select = bench.claims.curves.average_rows, bench.results.stored.select_latency
    monkeypatch.setattr(bench.claims.curves, "average_rows", average_rows)
    monkeypatch.setattr(bench.results.stored, "select_latency", select_latency)

    opened.clear()
    assert main([verb, "--results", str(results), "--reports", str(results.parent / "reports")]) == EXIT_DONE
    read = Counter(path for path in opened if path.endswith(".jsonl"))
    stored = {str(path) for path in results.rglob("*.jsonl")}
    assert len(stored) == 7 and set(read) == stored and set(read.values()) == {3}  # twice for digests
    assert made["latency"] == 1 and made["kodak", VARIANT, ("psnr",)] == 1 and set(made.values()) == {1}


@pytest.mark.usefixtures("undrawn")
def test_nothing_is_judged_again_where_nothing_changed(results, capsys, monkeypatch):
    """What the report says comes from its manifest, the exit code too."""
    claims(results, "--accept")
    store_rates(results, VARIANT, 4)
    arguments = ["claims", "--results", str(results), "--reports", str(results.parent / "reports")]
    capsys.readouterr()
    assert main(arguments) == EXIT_INCOMPLETE
    said = capsys.readouterr().out

    monkeypatch.setattr("bench.claims.judgement.judge_all", None)
    assert main(arguments) == EXIT_INCOMPLETE
    assert capsys.readouterr().out == said and "WORSE" in said
    store_rates(results, VARIANT, 3)
    with pytest.raises(TypeError):
        main(arguments)


@pytest.mark.usefixtures("undrawn")
def test_report_written_with_the_accepted_state_is_compared_with_it(results, capsys):
    claims(results, "--accept")
    store_rates(results, VARIANT, 4)
    reports = results.parent / "reports"
    folders = ["--results", str(results), "--reports", str(reports)]
    assert main(["claims", "--accept", *folders]) == EXIT_DONE
    assert "WORSE" in capsys.readouterr().out
    assert main(["claims", *folders]) == EXIT_DONE and "WORSE" not in capsys.readouterr().out


@pytest.mark.usefixtures("undrawn")
def test_figures_of_pairs_are_drawn_on_request(results, tmp_path, capsys):
    folder = tmp_path / "reports" / "claims" / "pairs"
    assert claims(results, VARIANT, "--figures", "--reports", str(tmp_path / "reports")) == EXIT_DONE
    assert [path.name for path in folder.iterdir()] == [f"pair_kodak_{VARIANT}_against_{BASE}.png"]
    assert f"drew 1 pair of curves: {folder}" in capsys.readouterr().out
    assert claims(results, "slower", "--figures", "--reports", str(tmp_path / "other")) == EXIT_DONE
    assert not (tmp_path / "other").exists() and "drew 0 pairs" in capsys.readouterr().out
