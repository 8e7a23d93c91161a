"""A metric of one file and one registration is everywhere: rows, tables, plots, curves, claims."""

from __future__ import annotations

import json
from pathlib import Path

import faulty_codecs
import pytest
from msgspec.structs import replace
from toy_metric import MEAN_DIFFERENCE

from bench.claims.catalogue import Claim
from bench.claims.judgement import judge_all
from bench.cli import main
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE
from bench.curves.anchors.curve_files import read_curve_file
from bench.metrics.statistics.verdicts import NOT_MEASURED, SUPPORTED
from bench.reports.page.render import to_csv
from bench.reports.rate.report import make_rate_report
from bench.results.store import Store
from bench.results.stored import StoredResults

POINTS = "q10,q35,q55,q75,q90"


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Path:
    """A folder of pictures coded by JPEG and WebP, in every metric that is known."""
    from toy_metric import registered_metric

    folder = tmp_path_factory.mktemp("toy")
    pictures = faulty_codecs.write_images(folder / "pictures", [(64, 48), (48, 64)])
    with registered_metric(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_PLUGINS", "toy_plugin")
        patch.setenv("PYTHONPATH", faulty_codecs.environment()["PYTHONPATH"])
        points = f"{POINTS},q30,q88,q95"
        assert main(["evaluate", "--dataset", str(pictures), "--codecs", "jpeg,webp", "--points", points,
                     "--results", str(folder / "results")]) == EXIT_DONE
    return folder


def test_rows_hold_it(measured, added_metric):
    rows = Store(measured / "results").read("pictures")
    assert {row.name for row in rows} == {"jpeg", "webp"}
    assert all(row.quality["mae"] > 0 and row.quality_versions["mae"] == "1" for row in rows)
    assert all(row.curve_quality("mae") == -row.quality["mae"] for row in rows)


def test_summary_prints_it(measured, added_metric, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_PLUGINS", "toy_plugin")
    monkeypatch.setenv("PYTHONPATH", faulty_codecs.environment()["PYTHONPATH"])
    folder = ["--dataset", str(measured / "pictures"), "--results", str(tmp_path)]
    main(["evaluate", *folder, "--codecs", "jpeg", "--points", POINTS.partition(",")[0]])
    assert "MAE levels" in capsys.readouterr().out


def test_report_has_its_columns_its_bd_rate_and_its_plot(measured, added_metric):
    report = make_rate_report(StoredResults(measured / "results"), "pictures")
    tables = {table.name: to_csv(table) for table in report.tables}
    assert {"mae_levels", "mae_levels_negated"} <= set(tables["summary"].splitlines()[0].split(","))
    assert "mae_levels" in report.files["tables/per_image.csv"].decode().splitlines()[0]
    assert "rd_mae" in {figure.name for figure in report.figures}
    assert "MAE of decoded 8-bit RGB" in next(one.caption for one in report.figures if one.name == "rd_mae")


def test_bd_table_compares_by_it(measured, added_metric):
    from bench.reports.rate.bd_tables import detail_table
    from bench.reports.rate.comparison import compare_with_all, group_by_codec
    from bench.reports.rate.coverage import coverage_of
    from bench.reports.rate.curves import measured_curves

    selection = StoredResults(measured / "results").selection("pictures")
    curves = [curve for metric in ("psnr", "mae") for curve in measured_curves(selection, metric, None)]
    jpeg, webp = sorted(group_by_codec(curves), key=lambda codec: codec.name)
    table = detail_table(compare_with_all(jpeg, [webp]), coverage_of(selection))
    assert table.column("bd_rate_mae_percent")[0] is not None
    assert "bd_rate_ms_ssim_percent" not in [column.key for column in table.columns]


def test_bdrate_and_files_of_curves_take_it(measured, added_metric, tmp_path, capsys):
    jpeg, webp = (str(measured / "results" / "pictures" / f"{name}.jsonl") for name in ("jpeg", "webp"))
    assert main(["bdrate", jpeg, webp, "--metric", "mae"]) == EXIT_DONE
    by_rows = _bd_rate(capsys.readouterr().out)

    files = [str(tmp_path / f"{name}.json") for name in ("jpeg", "webp")]
    for source, file in zip((jpeg, webp), files):
        assert main(["anchors", "export", source, "--out", file]) == EXIT_DONE
    assert "mae" in json.loads(Path(files[0]).read_text())["results"] and read_curve_file(Path(files[0])).has("mae")
    capsys.readouterr()
    assert main(["bdrate", *files, "--metric", "mae"]) == EXIT_DONE
    assert _bd_rate(capsys.readouterr().out) == pytest.approx(by_rows, abs=0.01)


def _bd_rate(text: str) -> float:
    line = next(line for line in text.splitlines() if line.startswith("BD-rate, averaged curves"))
    return float(line.split()[4].replace("−", "-"))


def test_a_claim_by_it_is_judged_and_rows_without_it_decide_nothing(measured, added_metric, tmp_path, capsys):
    claim = Claim(name="toy", variant="webp", versus="jpeg", metric="bd_rate", by="mae", change_percent=(-90, 0),
                  kind="predicted", source="here")
    rows = [replace(row, dataset="kodak") for row in Store(measured / "results").read("pictures")]
    bare = [replace(row, quality={"psnr": row.quality["psnr"]}, quality_versions={"psnr": "1"}) for row in rows]
    for place, stored in (("with", rows), ("without", bare)):
        for row in stored:
            Store(tmp_path / place).append(row)

    judged, = judge_all([claim], StoredResults(tmp_path / "with")).judgements
    assert judged.verdict == SUPPORTED and judged.value < 0
    judged, = judge_all([claim], StoredResults(tmp_path / "without")).judgements
    assert judged.verdict == NOT_MEASURED and "hold no MAE" in judged.reason

    jpeg, webp = (str(tmp_path / "without" / "kodak" / f"{name}.jsonl") for name in ("jpeg", "webp"))
    assert main(["bdrate", jpeg, webp, "--metric", "mae"]) == EXIT_BAD_INPUT
    assert "mae" in capsys.readouterr().err


def test_it_is_known_only_where_it_is_registered(measured, capsys):
    jpeg = str(measured / "results" / "pictures" / "jpeg.jsonl")
    assert main(["bdrate", jpeg, jpeg, "--metric", MEAN_DIFFERENCE.name]) == EXIT_BAD_INPUT
    assert "there is no metric 'mae'" in capsys.readouterr().err
