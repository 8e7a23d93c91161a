"""Set-ups of engines: engines.yaml and what is given beside it, within bounds, mistakes told with their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cli import main
from bench.common.errors import ConfigurationError
from bench.runners.engines.run_folder import RunFolder
from bench.runners.engines.setup import choose_setup, load_setups

FILE = """
engines:
  a100:
    engine: slurm
    partition: gpu
    gpus: 1
    mem_gb: 32
    batch_s: 900
    setup: [module load cuda]
    options: {constraint: a100, qos: normal, overcommit: true}
  lab:
    engine: ray
    address: 10.0.0.1:6379
"""


@pytest.fixture
def setups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "engines.yaml"
    path.write_text(FILE)
    monkeypatch.setenv("BENCH_ENGINES", str(path))
    return path


def test_what_is_given_goes_before_the_file(setups: Path) -> None:
    assert set(load_setups()) == {"a100", "lab"}
    setup = choose_setup("a100", {"gpus": 2, "partition": None, "options": {"qos": "short"}})
    assert (setup.engine, setup.partition, setup.gpus, setup.mem_gb) == ("slurm", "gpu", 2, 32)
    assert setup.options == {"constraint": "a100", "qos": "short", "overcommit": True}
    assert setup.job_min == 3 * 900 / 60 + 15
    assert choose_setup("ray", {}).long_batch_s == 30


def test_a_set_up_is_kept_with_its_run(setups: Path, tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "results", "kodak", choose_setup("a100", {"slots": 3}))
    [folder] = RunFolder.list_all(tmp_path / "results")
    assert folder.run.setup == choose_setup("a100", {"slots": 3}) and folder.run.dataset == "kodak"


@pytest.mark.parametrize("line, place, problem", [
    ("gpus: -1", 4, "'gpus' must be a whole number from 0 to 64"),
    ("gpus: yes please", 4, "'gpus' must be"),
    ("batch_s: 0", 4, "'batch_s' must be seconds"),
    ("retries: 1000000", 4, "'retries' must be"),
    ("partitoin: gpu", 4, "unknown key 'partitoin'"),
    ("address: here", 4, "'address' is of Ray"),
    ('partition: "gpu\\n#SBATCH --account=other"', 4, "'partition' must be text of one line"),
    ("options: {--qos: x}", 4, "'options"),
    ("engine: pbs", 4, "stands twice"),
])
def test_mistakes_are_told_with_their_line(setups: Path, line: str, place: int, problem: str) -> None:
    setups.write_text(f"engines:\n  try:\n    engine: slurm\n    {line}\n")
    with pytest.raises(ConfigurationError) as told:
        choose_setup("try", {})
    assert f"{setups}:{place}" in str(told.value) and problem in str(told.value)


@pytest.mark.parametrize("arguments, problem", [
    (["--engine", "a10"], "there is no engine or set-up 'a10'"),
    (["--engine", "ray", "--partition", "gpu"], "'partition' is of Slurm"),
    (["--engine", "slurm", "--jobs", "3"], "--jobs is for this machine"),
    (["--detach"], "--detach is for a cluster"),
    (["--engine", "slurm", "--slots", "100000"], "slots"),
])
def test_options_that_do_not_go_together_are_refused(setups: Path, tmp_path: Path, arguments: list[str], problem: str,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--dataset", "sample", "--codecs", "jpeg", "--results", str(tmp_path), *arguments]) == 2
    assert problem in capsys.readouterr().err
