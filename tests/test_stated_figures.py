"""Figures that documents state about committed rows, computed anew.

A figure is marked where it stands: ``1.0028<!-- rows: actual_over_estimated mean hpcm_base_mini -->``; the words name a
function here and its arguments. Readers of the Markdown see the figure alone.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.curves.anchors.catalogue import load_curve
from bench.curves.averaging import average_alike
from bench.curves.sources import read_source
from bench.metrics import bd_rate, per_image_bd
from bench.metrics.rate.curves import Curve
from bench.metrics.statistics.noise import run_noise
from bench.results.latency_figures import forward_kmac_per_pixel
from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import Case
from bench.results.stored import StoredResults
from bench.results.training_logs import read_trainings

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MARK = re.compile(r"<!-- rows: (?P<what>[^>]*?) -->")
FIGURE = re.compile(r"(?P<sign>[−+-]?)(?P<number>\d[\d,]*(?:\.\d+)?)\**\s?%?\Z")
BASE = "hpcm_base_mini"
SEEDS = (BASE, "hpcm_base_seed1_mini", "hpcm_base_seed2_mini")
AGGREGATES: dict[str, Callable[[Sequence[float]], float]] = {
    "mean": statistics.fmean, "least": min, "most": max, "count": len}


class Stated(NamedTuple):
    """A marked figure: the text before its mark, and what it is computed from."""

    where: str
    before: str
    what: str


def list_stated() -> list[Stated]:
    found = []
    for path in DOCUMENTS:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            place = f"{path.relative_to(ROOT)}:{number}"
            found += [Stated(place, line[:mark.start()], mark["what"]) for mark in MARK.finditer(line)]
    return found


@cache
def results() -> StoredResults:
    return StoredResults(ROOT / "results")


def compute_actual_over_estimated(aggregate: str, name: str) -> float:
    choices = [choice for choice in results().selection("kodak").choices if choice.name == name]
    return AGGREGATES[aggregate]([row.actual_over_estimated for choice in choices for row in choice.rows])


@cache
def compute_bd_rate(test: str, anchor: str) -> float:
    anchors, tests = (read_source(name if "/" in name else str(ROOT / f"results/kodak/{name}.jsonl"))
                      for name in (anchor, test))
    return bd_rate(anchors.curve("psnr"), tests.curve("psnr")).value


def compute_bd_rate_of_images(test: str, anchor: str) -> float:
    anchors, tests = read_source(anchor), read_source(str(ROOT / f"results/kodak/{test}.jsonl"))
    return per_image_bd(anchors.image_curves("psnr"), tests.image_curves("psnr")).mean


def compute_seed_half_width() -> float:
    return run_noise([0.0, *(compute_bd_rate(name, BASE) for name in SEEDS[1:])]).half_width


def compute_held_out(aggregate: str, lambda_: str) -> float:
    trainings = [one for one in read_trainings(ROOT / "results")
                 if one.variant in SEEDS and one.lambda_ == float(lambda_)]
    return AGGREGATES[aggregate]([min(line.loss for line in one.parts[-1].validations) for one in trainings])


def compute_ms_ssim_by_averaging() -> float:
    """BD-rate of VTM 22.2 against itself, dB of its mean MS-SSIM against the mean of its dB."""
    curve = load_curve("kodak", "vtm-22.2-measured-8bit")
    linear = load_curve("kodak", "mbt2018-mse-compressai")  # all that is known of it is a mean
    other, _, _ = average_alike(curve, linear, "ms-ssim")
    return bd_rate(curve.curve("ms-ssim"), Curve(other.bpp, other.points.on_curve("ms-ssim"))).value


def compute_forward_kmac(name: str) -> float:
    return next(found for case in list_cases() if case.name == name and (found := forward_kmac_per_pixel(case)))


@cache
def list_cases() -> list[Case]:
    selections = [results().latencies(device) for device in results().devices]
    return [case for one in selections for conditions in one.conditions for name in name_all(one.stored)
            if (case := one.case(conditions, name)) is not None]


def name_all(rows: Sequence[LatencyRow]) -> list[str]:
    return list(dict.fromkeys(row.name for row in rows))


COMPUTED: dict[str, Callable[..., float]] = {
    "actual_over_estimated": compute_actual_over_estimated, "bd_rate": compute_bd_rate,
    "bd_rate_of_images": compute_bd_rate_of_images,
    "seed_half_width": compute_seed_half_width, "held_out": compute_held_out,
    "ms_ssim_by_averaging": compute_ms_ssim_by_averaging, "forward_kmac": compute_forward_kmac,
}


def find_error(stated: Stated) -> str:
    """Say how a stated figure differs from the rows; empty where it is theirs, rounded as it is written."""
    figure = FIGURE.search(stated.before)
    function, *arguments = stated.what.split()
    if figure is None or function not in COMPUTED:
        return f"{stated.where}: no figure stands before '{stated.what}'" if figure is None else f"no '{function}'"
    decimals = len(figure["number"].partition(".")[2])
    value = COMPUTED[function](*arguments)
    sign = "+" if figure["sign"] == "+" else ""
    expected = f"{value:{sign},.{decimals}f}".replace("-", "−")
    written = (figure["sign"] + figure["number"]).replace("-", "−")
    same = written.replace(",", "") == expected.replace(",", "")
    return "" if same else f"{stated.where}: {written} is stated, the rows give {expected} ({stated.what})"


@pytest.mark.parametrize("stated", list_stated(), ids=lambda one: f"{one.where} {one.what}")
def test_documents_state_what_the_rows_give(stated):
    assert find_error(stated) == ""


@pytest.mark.parametrize(("document", "least"), [
    ("docs/variants.md", 4), ("docs/training.md", 15), ("docs/curves.md", 3), ("docs/latency.md", 2)])
def test_marks_are_where_figures_are(document, least):
    """A mark that is deleted with its figure, or misspelt, would else check nothing."""
    text = (ROOT / document).read_text(encoding="utf-8")
    assert len(MARK.findall(text)) == text.count("rows:") >= least


@pytest.mark.parametrize(("before", "error"), [
    ("the ratio is 1.0028", False), ("the ratio is 1.003", False), ("the ratio is 1.006", True),
    ("the ratio is −1.0028", True), ("the ratio is", True)])
def test_a_figure_that_the_rows_contradict_is_found(before, error):
    stated = Stated("here", before, f"actual_over_estimated mean {BASE}")
    assert bool(find_error(stated)) is error
