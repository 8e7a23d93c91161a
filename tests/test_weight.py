"""The check of weight, on small repositories of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import weight


@pytest.fixture
def repository(tmp_path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def track(root: Path, name: str, mib: float) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(round(mib * weight.MIB))  # sparse
    subprocess.run(["git", "-C", str(root), "add", "--intent-to-add", name], check=True)


def test_a_light_tree_passes_in_silence(repository, capsys):
    for folder, budget in (("reports", 8), ("results", 15), ("checkpoints", 36)):
        track(repository, f"{folder}/file.bin", budget)
    assert weight.main(repository) == 0 and capsys.readouterr().out == ""


@pytest.mark.parametrize(("name", "mib"), [("reports/a/figure.png", 8.1), ("results/rows.jsonl", 15.1),
                                           ("checkpoints/a.pth", 40.1)])
def test_what_breaks_a_budget_is_named_with_its_largest_files(repository, capsys, name, mib):
    track(repository, name, mib)
    for number in range(12):
        track(repository, f"{Path(name).parent}/small-{number}", 0.001)
    assert weight.main(repository) == 1
    said = capsys.readouterr().out.splitlines()
    folder = name.partition("/")[0]
    assert said[1].startswith(f"{folder}: {mib:.1f} MiB of at most") and said[2].endswith(name)
    assert said[-1] == "  and 3 more files"


def test_the_whole_tree_has_a_budget_of_its_own(repository, capsys):
    for folder in ("bench", "tests"):
        track(repository, f"{folder}/file.bin", 30.5)
    assert weight.main(repository) == 1 and ".: 61.0 MiB of at most 60" in capsys.readouterr().out


def test_a_page_is_at_most_five(repository, capsys):
    track(repository, "reports/kodak/index.html", 5.1)
    assert weight.main(repository) == 1 and "reports/kodak/index.html: 5.1 MiB" in capsys.readouterr().out


def test_what_is_not_tracked_or_removed_does_not_count(repository):
    track(repository, "reports/removed.png", 9)
    (repository / "reports" / "removed.png").unlink()
    track(repository, "reports/kept.png", 1)
    with (repository / "reports" / "ignored.svg").open("wb") as file:
        file.truncate(9 * weight.MIB)
    assert weight.main(repository) == 0


def test_without_git_nothing_is_weighed(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert weight.main(tmp_path) == 0 and "no checkout" in capsys.readouterr().out


def test_reports_leave_out_of_git_what_is_not_shown():
    """What a report writes, by the patterns of the repository."""
    root = Path(__file__).parents[1]
    ignored = ["reports/tables/answer.csv", "reports/kodak/tables/bd_rate.csv", "reports/kodak/print/rd_psnr_wide.svg",
               "reports/latency/cpu/tables/latency.tex", "reports/claims/claims.csv", "reports/claims/claims.tex",
               "reports/claims/pairs/pair.png"]
    tracked = ["reports/README.md", "reports/index.html", "reports/answer.json", "reports/files.json",
               "reports/kodak/README.md", "reports/kodak/figures/rd_psnr.png", "reports/claims/files.json"]
    command = ["git", "-C", str(root), "check-ignore", "--no-index", "--stdin"]
    done = subprocess.run(command, input="\n".join([*ignored, *tracked]), capture_output=True, text=True)
    if "not a git repository" in done.stderr:
        pytest.skip("no checkout")
    assert done.stdout.split() == ignored
