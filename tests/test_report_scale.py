"""Reports of many rows: the work grows with the rows and no faster, the page hardly at all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.benchmarks import reports as benchmark
from bench.benchmarks.reports import DATASET, store_rows
from bench.reports.page.files import list_contents
from bench.reports.page.pages import Report
from bench.reports.rate.report import make_rate_report
from bench.results.stored import StoredResults

SMALL = (4, 5, 50)  # codecs, points, images: 1,000 rows
LARGE = {"of codecs": (16, 5, 50), "of images": (4, 5, 200)}


def count_calls(function: Callable[[], Any]) -> tuple[Any, int]:
    """What ``function`` returns, and how many calls of functions, builtin ones included, that took."""
    count = 0

    def count_call(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count_call)
    try:
        return function(), count
    finally:
        sys.setprofile(before)


def make_report(results: Path) -> dict[str, bytes]:
    """Everything that is written but figures."""
    report: Report = make_rate_report(StoredResults(results), DATASET)
    return list_contents(report)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], int]:
    results = tmp_path_factory.mktemp("small")
    assert store_rows(results, *SMALL) == 1000
    make_report(results)  # what is loaded and remembered at first is not counted
    return count_calls(lambda: make_report(results))


@pytest.mark.parametrize("what", LARGE)
def test_work_grows_no_faster_than_rows(tmp_path: Path, small: tuple[dict[str, bytes], int], what: str) -> None:
    assert store_rows(tmp_path, *LARGE[what]) == 4000
    contents, calls = count_calls(lambda: make_report(tmp_path))
    assert calls < 4.4 * small[1]  # 16 times as many where it grew with their square
    assert contents["tables/per_image.csv"].count(b"\n") == 4001
    growth = len(contents["index.html"]) / len(small[0]["index.html"])
    assert growth < (1.1 if what == "of images" else 4)


def test_a_page_of_many_codecs_shows_the_ends_of_every_point(tmp_path: Path) -> None:
    store_rows(tmp_path, 60, 5, 8)
    contents = make_report(tmp_path)
    assert contents["tables/extreme_images.csv"].count(b"\n") == 1 + 2 * 300  # of 2,400 rows
    assert len(contents["index.html"]) < 2e6


def test_the_benchmark_measures_reports_of_its_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "SHAPES", ((3, 4, 320),))
    told: list[str] = []
    report = benchmark.run("cpu", quick=True, tell=told.append)
    assert told == ["3 codecs, 4 points, 2 images", "3 codecs, 4 points, 8 images"]
    lines = report.text.splitlines()
    assert [line.split()[3] for line in lines if line.split()[:2] == ["3", "4"]] == ["24", "96"]
    assert len(report.ratios) == 4 and all(0 < one.ratios.median < 1 for one in report.ratios)
