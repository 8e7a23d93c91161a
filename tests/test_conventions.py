"""The verb bdrate and the report give one number for the same curves, however the curves are known."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from figures import undrawn_figures
from row_samples import quality_of

from bench.commands.bdrate import align_curves, compute_deltas
from bench.common.hashing import digest_json
from bench.curves.anchors.catalogue import load_curve
from bench.curves.anchors.compressai_json import write_json
from bench.curves.anchors.curve_files import read_curve_file
from bench.curves.sources import read_source
from bench.metrics import Curve, bd_rate
from bench.reports.rate.report import make_rate_report
from bench.results.rows import Row
from bench.results.stored import StoredResults

ANCHORS = ("kodak/anchor", "kodak/strict-anchor")
COLUMNS = {"psnr": "bd_rate_percent", "ms-ssim": "bd_rate_ms_ssim_percent"}
IMAGES = tuple(f"kodim{number:02d}.png" for number in range(1, 25))


def rows_of(name: str, seed: int, images=IMAGES) -> list[Row]:
    """Rows whose images differ so much that orders of averaging give different numbers."""
    rng = np.random.default_rng(seed)
    rows = []
    for image in images:
        offset, complexity, ratio = rng.uniform(-4, 4), rng.uniform(0.5, 1.5), rng.uniform(0.3, 0.6)
        for step in range(6):
            series = digest_json({"name": name, "step": step})
            psnr = 29 + 2.7 * step + offset
            db = ratio * psnr
            rows.append(Row(
                key=digest_json({"series": series, "image": image}), series=series, status="ok", dataset="kodak",
                image=image, image_sha256=image, codec=name, name=name, label=name.upper(), point=f"p{step}",
                dataset_total=24, bpp=complexity * 0.09 * 1.7**step, width=768, height=512,
                **quality_of(psnr=psnr, ms_ssim=1 - 10 ** (-db / 10)), measured_at="2026-01-01T00:00:00+00:00",
            ))
    return rows


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    (folder / "kodak").mkdir()
    for name, rows in (("vvenc", rows_of("vvenc", 1)), ("webp", rows_of("webp", 2)),
                       ("jpeg", rows_of("jpeg", 3, IMAGES[:20]))):
        (folder / "kodak" / f"{name}.jsonl").write_text("".join(row.to_json() + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def report(results):
    with undrawn_figures():
        return make_rate_report(StoredResults(results), "kodak")


def by_command(anchor: str, test: str, metric: str) -> tuple[float | None, float | None]:
    """BD-rate of the averaged curves and mean over images, as the verb bdrate gives them."""
    read = partial(read_source, metrics=(metric,))
    first, second, _ = align_curves(read(anchor), read(test), metric)
    found = {one.quantity: one.value for one in compute_deltas(first, second, metric, "pchip", 0.5)}
    return found["BD-rate, averaged curves"], found.get("BD-rate, mean of images")


def by_report(report, anchor: str, label: str, key: str) -> float | None:
    table = next(table for table in report.tables if table.name == f"bd_rate_vs_{anchor}")
    return table.column(key)[table.column("codec").index(label)]


@pytest.mark.parametrize("metric", COLUMNS)
@pytest.mark.parametrize(("name", "label"), [("webp", "WEBP"), ("jpeg", "JPEG")])
@pytest.mark.parametrize("anchor", ["vvenc", *ANCHORS])
def test_rows(results, report, anchor, name, label, metric):
    text = anchor if "/" in anchor else str(results / "kodak" / f"{anchor}.jsonl")
    averaged, single = by_command(text, str(results / "kodak" / f"{name}.jsonl"), metric)
    table = read_source(text).name if "/" in anchor else anchor
    assert averaged is not None
    assert by_report(report, table, label, COLUMNS[metric]) == pytest.approx(averaged, abs=1e-9)
    if metric == "psnr":
        found = by_report(report, table, label, "bd_rate_per_image_mean_percent")
        assert found == pytest.approx(single, abs=1e-9)


@pytest.mark.parametrize("anchor", ANCHORS)
@pytest.mark.parametrize(("name", "label", "metric"), [
    ("hpcm-base-mse", "HPCM-Base (published)", "psnr"),
    ("mbt2018-mse-compressai", "mbt2018 (published)", "ms-ssim"),
])
def test_published_averages(report, anchor, name, label, metric):
    averaged, single = by_command(anchor, f"kodak/{name}", metric)
    assert averaged is not None and single is None
    found = by_report(report, read_source(anchor).name, label, COLUMNS[metric])
    assert found == pytest.approx(averaged, abs=1e-9)


@pytest.mark.parametrize("metric", COLUMNS)
def test_means_are_over_each_images_db(results, metric):
    """Calculated here from the rows; the dB of mean MS-SSIM is another number."""
    curves, linear = [], []
    for name, seed in (("vvenc", 1), ("webp", 2)):
        rows = rows_of(name, seed)
        points = [[row for row in rows if row.point == f"p{step}"] for step in range(6)]
        rate = [np.mean([row.bpp for row in point]) for point in points]
        curves.append(Curve(rate, [np.mean([row.curve_quality(metric) for row in point])
                                   for point in points]))
        linear.append(Curve(rate, [-10 * np.log10(1 - np.mean([row.quality["ms-ssim"] for row in point]))
                                   for point in points]))
    files = [str(results / "kodak" / f"{name}.jsonl") for name in ("vvenc", "webp")]
    averaged, _ = by_command(*files, metric)
    assert averaged == pytest.approx(bd_rate(*curves).value, abs=1e-9)
    assert abs(averaged - bd_rate(*linear).value) > 0.5


def test_exported_rows_keep_the_number(results, tmp_path):
    files = [str(results / "kodak" / f"{name}.jsonl") for name in ("vvenc", "webp")]
    for name, text in zip("ab", files):
        write_json(read_source(text, ("ms-ssim",)), tmp_path / f"{name}.json")
    again, _ = by_command(str(tmp_path / "a.json"), str(tmp_path / "b.json"), "ms-ssim")
    assert again == pytest.approx(by_command(*files, "ms-ssim")[0], abs=1e-9)


def test_only_averages_of_linear_values_become_db_afterwards(tmp_path):
    curve = load_curve("kodak", "vtm-22.2-measured-8bit")
    points = replace(curve.points, curve_quality={})
    write_json(replace(curve, points=points, per_image={}), tmp_path / "averages.json")
    again = read_curve_file(tmp_path / "averages.json").curve("ms-ssim").quality
    assert again == pytest.approx([-10 * np.log10(1 - value) for value in curve.points.quality["ms-ssim"]])
    assert all(first < second for first, second in zip(again, curve.curve("ms-ssim").quality))
