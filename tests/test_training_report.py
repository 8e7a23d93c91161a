"""The report of trainings: logs read back, tables recomputed here, pages of few logs, and the noise beside BD-rates."""

from __future__ import annotations

import json
import math
import re
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from figures import UNDRAWN
from page_samples import build
from row_samples import row
from scipy import stats

from bench.cli import main
from bench.common.errors import BenchError
from bench.metrics import Curve, bd_rate
from bench.metrics.statistics.noise import run_noise
from bench.reports.rate.report import assemble_report
from bench.reports.training.plots import find_multipliers
from bench.reports.training.report import MINIATURES, make_training_report
from bench.reports.training.tables import differences_table, find_seed_noise, noise_table, trainings_table
from bench.results.row_selection import select_rows
from bench.results.rows import Row
from bench.results.stored import StoredResults
from bench.results.training_logs import LoggedStep, read_log, read_trainings

ROOT = Path(__file__).parents[1]
ENDS = {"hpcm_base_mini": 1.50, "hpcm_base_seed1_mini": 1.56, "hpcm_base_seed2_mini": 1.47,
        "rwkv_phase1_mini": 1.52, "weconv_phase1_mini": 1.40, "balanced_phase1_mini": 1.60}
TASKS = {"distortion": 0.9, "rate": 0.5}


def recipe_line(lambda_: float = 0.013, seed: int = 0, start: str = "λ 0.025", images: int = 400, **recipe) -> dict:
    return {"kind": "recipe", "images": images, "origin": {"start": start},
            "job": {"model": "hpcm_base", "lambda_": lambda_, "seed": seed, "metric": "mse", "options": {},
                    "recipe": {"steps": 100, "epochs": 0, "batch": 2, "learning_rate": 0.002, **recipe}}}


def step_line(step: int, **values) -> dict:
    return {"kind": "step", "step": step, "learning_rate": 0.001, "loss": 2.0, "bpp": 0.5, "mse": 0.001,
            "psnr_db": 30.0, "gradient_norm": 1.0, "elapsed_s": 0.6 * step, "skipped": step // 100, **values}


def validation_line(step: int, loss: float | None, bpp: float = 0.5, psnr_db: float = 28.0) -> dict:
    return {"kind": "validation", "step": step, "loss": loss, "bpp": bpp, "psnr_db": psnr_db}


def ordinary(end: float, lambda_: float = 0.013, **recipe) -> list[dict]:
    """A training of 100 steps whose best validation is the one in the middle if ``end`` is above 1.45."""
    return [recipe_line(lambda_, **recipe), step_line(50), validation_line(50, 1.45, 0.6, 28.5),
            step_line(100), validation_line(100, end, 0.55, 28.25)]


def balanced(end: float, weight: float = 0.25) -> list[dict]:
    lines = ordinary(end, name="balanced_phase1")
    for line in lines:
        if line["kind"] == "step":
            line |= {"weights": {"distortion": weight, "rate": 1 - weight}, "tasks": TASKS,
                     "gammas": dict.fromkeys(TASKS, 0.003)}
    return lines


def store(results: Path, variant: str, lines: list[dict], name: str = "0.013", tail: str = "") -> Path:
    path = results / "training" / variant / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)
    return results


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for variant, end in ENDS.items():
        store(folder, variant, balanced(end) if variant.startswith("balanced") else ordinary(end))
    return folder


def cell(table, variant: str, key: str):
    return table.column(key)[table.column("variant").index(variant)]


def noise_tables(results: Path):
    trainings = read_trainings(results)
    noise = find_seed_noise(trainings)
    return noise_table(noise), differences_table(trainings, noise)


class TestLogs:
    def test_recipe_has_the_usual_values_where_the_log_has_none(self, tmp_path):
        store(tmp_path, "a", [recipe_line(gammas=[0.1, 0.2], of_a_later_version=1)])
        job = read_trainings(tmp_path)[0].job
        assert (job.recipe.name, job.recipe.crop, job.recipe.batch) == ("standard", 256, 2)
        assert (job.lambda_, job.seed, job.start, job.images) == (0.013, 0, "λ 0.025", 400)

    def test_torn_last_line_and_unknown_kinds_are_passed_over(self, tmp_path):
        lines = [*ordinary(1.5), {"kind": "weather", "sky": "grey"}]
        store(tmp_path, "a", lines, tail='{"kind": "validation", "step": 15')
        log = read_trainings(tmp_path)[0].parts[0]
        assert [one.step for one in log.validations] == [50, 100] and len(log.steps) == 2

    @pytest.mark.parametrize("broken", [
        ["{", json.dumps(step_line(1))], [json.dumps(step_line(1))], [json.dumps({"kind": "recipe"})],
        [json.dumps(recipe_line()), json.dumps({"kind": "step", "step": 1})],
    ])
    def test_damaged_logs_are_named(self, tmp_path, broken):
        path = tmp_path / "0.1.jsonl"
        path.write_text("\n".join(broken) + "\n")
        with pytest.raises(BenchError, match=re.escape(str(path))):
            read_log(path)

    def test_a_log_without_a_whole_line_is_no_training_yet(self, tmp_path):
        store(tmp_path, "a", [], tail='{"kind": "rec')
        assert read_trainings(tmp_path) == []

    def test_loss_that_is_no_number(self, tmp_path):
        store(tmp_path, "a", [*ordinary(1.5), validation_line(120, None)])
        table = trainings_table(read_trainings(tmp_path))
        assert cell(table, "a", "held_out_loss") is None and cell(table, "a", "best_held_out_loss") == 1.45

    def test_fine_tuning_counts_on_from_the_training_before(self, tmp_path):
        store(tmp_path, "a", ordinary(1.5, name="balanced_phase3"), "0.013.before")
        store(tmp_path, "a", ordinary(1.4, name="balanced_phase4", learning_rate=0.0005))
        (training,) = read_trainings(tmp_path)
        assert [one.step for one in training.validations] == [50, 100, 150, 200]
        assert [one.step for one in training.steps] == [50, 100, 150, 200]
        table = trainings_table([training])
        assert cell(table, "a", "recipe") == "balanced_phase3, then balanced_phase4"
        assert cell(table, "a", "learning_rate") == "0.002, then 0.0005"
        assert cell(table, "a", "minutes") == pytest.approx((60 + 60) / 60)
        assert (cell(table, "a", "steps"), cell(table, "a", "skipped_steps")) == (200, 2)


class TestTables:
    def test_end_and_best(self, results):
        table = trainings_table(read_trainings(results))
        assert table.column("variant") == sorted(ENDS)
        keys = ("loss", "bpp", "psnr_db")
        assert [cell(table, "hpcm_base_mini", f"held_out_{key}") for key in keys] == [1.5, 0.55, 28.25]
        assert [cell(table, "hpcm_base_mini", f"best_held_out_{key}") for key in keys] == [1.45, 0.6, 28.5]
        assert cell(table, "weconv_phase1_mini", "best_held_out_loss") == 1.4

    def test_noise_and_differences(self, results):
        noise, differences = noise_tables(results)
        losses = [ENDS[name] for name in ENDS if name.startswith("hpcm_base")]
        mean, deviation = statistics.mean(losses), statistics.stdev(losses)
        found = [noise.column(key)[0] for key in ("runs", "mean_loss", "standard_deviation", "lowest", "highest")]
        assert found == pytest.approx([3, mean, deviation, 1.47, 1.56])
        others = [name for name in sorted(ENDS) if not name.startswith("hpcm_base")]
        assert differences.column("variant") == others
        assert differences.column("loss_difference_at_0.013") == pytest.approx([ENDS[name] - mean for name in others])
        within = dict(zip(others, differences.column("within_seeds")))
        assert within == {"balanced_phase1_mini": None, "rwkv_phase1_mini": "0.013", "weconv_phase1_mini": None}

    def test_half_width_is_that_of_a_difference_of_two_runs(self):
        """By simulation: two more runs of the same distribution differ by less than it in 95 % of cases."""
        rng, held = np.random.default_rng(1), 0
        for runs in rng.normal(size=(2000, 5)):
            held += abs(runs[3] - runs[4]) < run_noise(runs[:3]).half_width
        assert abs(held / 2000 - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000)
        for bad in ([1.0], [1.0, math.nan]):
            with pytest.raises(ValueError, match="two runs"):
                run_noise(bad)

    def test_trainings_of_another_length_are_not_compared(self, tmp_path):
        for variant in ("hpcm_base_mini", "hpcm_base_seed1_mini", "other"):
            store(tmp_path, variant, ordinary(1.5))
            store(tmp_path, variant, ordinary(0.9, 0.0067), "0.0067")
        store(tmp_path, "hpcm_base_seed2_mini", [*ordinary(9.0), validation_line(200, 9.0)])
        store(tmp_path, "other", [*ordinary(1.4, 0.0067), validation_line(200, 1.0)], "0.0067")
        noise, table = noise_tables(tmp_path)
        assert noise.column("runs") == [2, 2]
        assert cell(table, "other", "loss_difference_at_0.013") == 0
        assert cell(table, "other", "trained_otherwise") == "0.0067"
        assert "loss_difference_at_0.0067" not in [column.key for column in table.columns]


class TestMultipliers:
    def test_gradient_of_the_balanced_objective(self):
        """Slopes of J = c⁻¹ Σ z ln(L + 1) at the logged losses, by differences; c cancels in their ratio."""
        step = LoggedStep(1, 0.0, weights={"distortion": 0.7, "rate": 0.3}, tasks={"distortion": 2.5, "rate": 0.4})

        def objective(distortion: float, rate: float) -> float:
            return 0.7 * math.log(distortion + 1) + 0.3 * math.log(rate + 1)

        h = 1e-5
        slopes = [(objective(2.5 + h, 0.4) - objective(2.5 - h, 0.4)) / (2 * h),
                  (objective(2.5, 0.4 + h) - objective(2.5, 0.4 - h)) / (2 * h)]
        assert find_multipliers(step)["rate"] == pytest.approx(slopes[0] / slopes[1], rel=1e-6)
        assert find_multipliers(step, (1, 2))["rate"] == pytest.approx(slopes[0] / slopes[1] / 2, rel=1e-6)

    def test_not_balanced_or_not_logged(self):
        assert find_multipliers(LoggedStep(1, 0.0)) == {}
        assert find_multipliers(LoggedStep(1, 0.0, weights={"distortion": 0.5, "rate": 0.5})) == {}


class TestPages:
    @pytest.mark.usefixtures("undrawn")
    def test_first_line_says_what_miniatures_are_not(self, results, tmp_path):
        paths = build("training", results, tmp_path)
        assert paths[0].read_text().splitlines()[2].startswith("Miniatures")
        assert "are not the authors' models" in MINIATURES
        page = (tmp_path / "training" / "index.html").read_text()
        assert page.index("<p>Miniatures") == page.index("<p>") and "λ_eff/λ" in page
        names = {path.stem for path in paths if path.suffix == ".png"}
        assert {"training_curves_balanced_phase1_mini", "training_balance_balanced_phase1_mini"} <= names
        for target in re.findall(r"\]\(([^)]+)\)", paths[0].read_text()):
            assert (tmp_path / "training" / target).exists()

    def test_same_logs_give_the_same_bytes(self, tmp_path):
        results = store(store(tmp_path, "hpcm_base_mini", ordinary(1.5)), "balanced_phase1_mini", balanced(1.6))
        first, second = (build("training", results, tmp_path / name) for name in "ab")
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]

    def test_without_balanced_runs(self, tmp_path):
        store(store(tmp_path, "hpcm_base_mini", ordinary(1.5)), "rwkv_phase1_mini", ordinary(1.4))
        report = make_training_report(StoredResults(tmp_path))
        assert not report.figures and "no curves side by side" in report.intro[-1]

    @pytest.mark.usefixtures("undrawn")
    def test_single_balanced_run_has_no_partner_but_its_weights(self, tmp_path):
        report = make_training_report(StoredResults(store(tmp_path, "balanced_phase1_mini", balanced(1.5))))
        assert [figure.name for figure in report.figures] == ["training_balance_balanced_phase1_mini"]
        assert [table.name for table in report.tables] == ["trainings"]

    @pytest.mark.usefixtures("undrawn")
    def test_training_that_has_just_begun(self, tmp_path):
        store(store(tmp_path, "hpcm_base_mini", [recipe_line()]), "balanced_phase1_mini", [recipe_line()])
        report = make_training_report(StoredResults(tmp_path))
        assert report.main_table.column("held_out_loss") == [None, None] and report.figures

    def test_verb_writes_it_without_torch_and_needs_something(self, tmp_path, capsys):
        assert main(["report", "--results", str(tmp_path), "--reports", str(tmp_path / "pages")]) == 2
        with pytest.raises(BenchError, match="holds nothing for a report of training"):
            build("training", tmp_path, tmp_path / "pages")
        store(tmp_path, "hpcm_base_mini", ordinary(1.5))
        program = (f"{UNDRAWN}import sys; from bench.cli import main; status = main(sys.argv[1:]); "
                   "sys.exit(status or 'torch' in sys.modules)")
        command = [sys.executable, "-c", program, "report", "--results", str(tmp_path), "--reports",
                   str(tmp_path / "pages")]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        assert "Every training" in done.stdout and (tmp_path / "pages" / "training" / "index.html").is_file()


def curve_rows(name: str, factor: float) -> list[Row]:
    """Rows whose rates are ``factor`` times those of a factor of 1, so that the BD-rate is factor - 1."""
    return [row(f"{image}.png", f"q{step}", factor * 0.2 * 2**step * (1 + image), 28 + 3 * step + image, name,
                miniature=True) for step in range(4) for image in range(2)]


def bd_tables(rows: list[Row]) -> dict:
    report = assemble_report(select_rows("kodak", rows), [])
    return {table.name: table for table in report.tables}


class TestSeedNote:
    def test_seeds_are_stated_beside_bd_rates(self):
        factors = {"hpcm_base_mini": 1.0, "hpcm_base_seed1_mini": 1.03, "hpcm_base_seed2_mini": 0.98, "mine": 1.01}
        rows = [one for name, factor in factors.items() for one in curve_rows(name, factor)]
        tables = bd_tables(rows)
        deviation = statistics.stdev([0, 3, -2])
        half_width = stats.t.ppf(0.975, 2) * math.sqrt(2) * deviation
        for name in ("bd_rate", "bd_rate_vs_hpcm_base_mini"):
            (note,) = [note for note in tables[name].notes if note.startswith("Noise between runs")]
            assert "SEED1_MINI (miniature) +3.00 %" in note and "SEED2_MINI (miniature) −2.00 %" in note
            assert f"is {deviation:.2f} %" in note and f"is {half_width:.2f} %" in note and "MINE" not in note

    def test_seed_without_a_bd_rate_is_not_counted(self):
        rows = curve_rows("hpcm_base_mini", 1) + curve_rows("hpcm_base_seed1_mini", 1.05)
        rows += curve_rows("hpcm_base_seed2_mini", 1)[:4]  # two points make no curve
        notes = bd_tables(rows)["bd_rate_vs_hpcm_base_mini"].notes
        (note,) = [note for note in notes if note.startswith("Noise between runs")]
        anchor, seed = (Curve([factor * 0.3 * 2**step for step in range(4)], [28.5 + 3 * step for step in range(4)])
                        for factor in (1, 1.05))
        deviation = statistics.stdev([0, bd_rate(anchor, seed).value])
        assert "N/A" in note and "1 degree of freedom" in note and f"is {deviation:.2f} %" in note

    def test_tables_without_seeds_say_nothing_of_them(self):
        for names in (("hpcm_base_mini", "mine"), ("vvenc", "hpcm_base_seed1_mini")):
            tables = bd_tables([one for name in names for one in curve_rows(name, 1.0)])
            assert not any("Noise" in note for table in tables.values() for note in table.notes)
