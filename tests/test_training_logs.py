"""Logs of trainings read through their schema: what is refused, where, and what is passed over."""

import json
import math
import re
from pathlib import Path

import msgspec
import pytest

from bench.common.errors import BenchError
from bench.results.training_logs import LoggedRecipe, read_log, read_log_lines, read_trainings
from bench.training.recipes import RECIPES, Recipe
from bench.training.state import LogWriter

ROOT = Path(__file__).parents[1]
JOB = {"model": "hpcm_base", "lambda_": 0.01, "recipe": {"batch": 2}, "metric": "mse", "seed": 0}
BEGINNING = {"kind": "recipe", "job": JOB, "origin": {"start": "random weights", "frozen": False}, "images": 4}
STEP = {"kind": "step", "step": 1, "elapsed_s": 0.5, "weights": {"distortion": 0.5, "rate": 0.5}}
VALIDATION = {"kind": "validation", "step": 2, "loss": 1.0, "bpp": 0.5, "psnr_db": 30.0}


def write(path, *lines, tail=""):
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts) + tail)
    return path


@pytest.mark.parametrize(("line", "message"), [
    ({**VALIDATION, "loss": "1.0"}, "'loss'"), ({**VALIDATION, "bpp": True}, "'bpp'"),
    ({"kind": "validation", "step": 2, "loss": 1.0, "bpp": 0.5}, "psnr_db"), ({**VALIDATION, "step": -1}, "'step'"),
    ({**VALIDATION, "step": 2.5}, "'step'"), ({**STEP, "elapsed_s": None}, "'elapsed_s'"),
    ({**STEP, "weights": {"rate": "all"}}, "'weights"),
    ('{"kind": "step", "step": 1, "step": 1}', "'step' stands twice"),
    ('{"kind": "validation", "step": 2, "loss": NaN, "bpp": 0.5, "psnr_db": 30}', "NaN"),
    ('{"kind": "validation", "step": 2, "loss": 1e999, "bpp": 0.5, "psnr_db": 30}', "'loss'"),
    ("[1, 2]", "not a JSON object"), ("[" * 100_000, "nested too deeply"),
])
def test_a_damaged_line_is_named_by_file_line_and_field(line, message, tmp_path):
    path = write(tmp_path / "0.01.jsonl", BEGINNING, line, VALIDATION)
    for read in (read_log, read_log_lines, lambda path: LogWriter(tmp_path, 2)):
        (tmp_path / "log.jsonl").write_bytes(path.read_bytes())
        with pytest.raises(BenchError, match=r"\.jsonl, line 2: .*" + re.escape(message)):
            read(path)


def test_a_torn_last_line_and_unknown_kinds_and_fields_are_passed_over(tmp_path):
    path = write(tmp_path / "0.01.jsonl", {**BEGINNING, "later": 1}, {"kind": "weather"}, {"kind": ["step"]},
                 {**STEP, "later": 1}, {**VALIDATION, "loss": None}, tail='{"kind": "validation", "step": 4, "lo')
    log = read_log(path)
    assert (log.job.start, log.job.images, log.job.recipe.batch) == ("random weights", 4, 2)
    assert len(log.steps) == 1 and math.isnan(log.validations[0].loss) and log.last_step == 2


def test_going_on_keeps_the_lines_up_to_the_step_as_they_stand(tmp_path):
    path = write(tmp_path / "log.jsonl", BEGINNING, STEP, VALIDATION, {**STEP, "step": 3}, tail='{"kind": "step"')
    before = path.read_text().splitlines(keepends=True)
    LogWriter(tmp_path, 2).close()
    assert path.read_text() == "".join(before[:3])
    LogWriter(tmp_path, 0).close()
    assert path.read_text() == ""


def test_what_logs_leave_out_is_what_recipes_have():
    """The reader knows recipes by the words in the log, and without them by the usual values."""
    usual = {name: getattr(Recipe(), name) for name in LoggedRecipe.__struct_fields__}
    assert msgspec.structs.asdict(LoggedRecipe()) == usual
    assert set(RECIPES) > {"standard"}


def test_all_shipped_logs_are_read():
    files = sorted((ROOT / "results" / "training").glob("*/*.jsonl"))
    trainings = read_trainings(ROOT / "results")
    assert sum(len(training.parts) for training in trainings) == len(files) > 0
    assert all(training.validations and training.steps for training in trainings)
