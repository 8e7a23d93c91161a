"""``bench anchors`` and ``bench bdrate`` as a user calls them: what they print and their exit status."""

from __future__ import annotations

import json

import pytest
from row_samples import rows_of, write

from bench.cli import main
from bench.metrics.rate.curves import MINIMUM_POINTS


def test_bdrate_of_the_paper(capsys):
    assert main(["bdrate", "kodak/anchor", "kodak/hpcm-base-mse"]) == 0
    printed = capsys.readouterr().out
    assert "−15.43 %" in printed and "29.40 to 37.75 dB" in printed and "70.0%" in printed
    assert "A (anchor): VTM 22.2" in printed and "B (test):   HPCM-Base" in printed
    assert "warning: the curves share only 70.0%" in printed and "per image on 8-bit RGB" in printed


def test_bdrate_image_by_image(capsys):
    assert main(["bdrate", "kodak/anchor", "kodak/strict-anchor", "--method", "all"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("mean over 24 images") == 6  # rate and quality, three methods
    assert all(method in printed for method in ("pchip", "akima", "cubic")) and "−1.80 %" in printed


def test_bdrate_of_rows_against_json(tmp_path, capsys):
    rows = write(tmp_path / "jpeg.jsonl", rows_of())
    assert main(["anchors", "export", str(rows), "--out", str(tmp_path / "jpeg.json")]) == 0
    data = json.loads((tmp_path / "jpeg.json").read_text())
    data["results"]["bpp"] = [1.1 * rate for rate in data["results"]["bpp"]]
    (tmp_path / "jpeg.json").write_text(json.dumps(data))
    capsys.readouterr()
    assert main(["bdrate", str(rows), str(tmp_path / "jpeg.json")]) == 0
    assert "+10.00 %" in capsys.readouterr().out


def test_an_imported_curve_is_compared_by_its_name(tmp_path, capsys):
    (tmp_path / "mine.csv").write_text("bpp,psnr\n0.1,28\n0.3,31\n0.6,34\n1.0,37\n")
    results = ["--results", str(tmp_path / "results")]
    assert main(["anchors", "import", str(tmp_path / "mine.csv"), "--dataset", "kodak", "--name", "mine", "--source",
                 "me", *results]) == 0
    capsys.readouterr()
    assert main(["bdrate", "kodak/mine", "kodak/anchor", *results]) == 0
    by_name = capsys.readouterr().out
    assert main(["bdrate", str(tmp_path / "mine.csv"), "kodak/anchor"]) == 0
    assert by_name.splitlines()[5] == capsys.readouterr().out.splitlines()[5] and "BD-rate" in by_name.splitlines()[5]
    assert main(["bdrate", "kodak/min", "kodak/anchor", *results]) == main(["bdrate", "kodak/ancor", "kodak/mine"]) == 2
    error = capsys.readouterr().err
    assert "did you mean mine?" in error and "did you mean anchor?" in error


def test_a_curve_is_imported_into_its_own_dataset(tmp_path, capsys):
    rows = write(tmp_path / "jpeg.jsonl", rows_of())
    assert main(["anchors", "export", str(rows), "--out", str(tmp_path / "jpeg.json")]) == 0
    arguments = ["anchors", "import", str(tmp_path / "jpeg.json"), "--name", "mine", "--source", "me", "--results",
                 str(tmp_path / "results")]
    assert main([*arguments, "--dataset", "tecnick"]) == 2
    assert "its points are of dataset 'kodak'" in capsys.readouterr().err
    assert main([*arguments, "--dataset", "kodak"]) == 0


def test_no_number_is_status_1(tmp_path, capsys):
    (tmp_path / "high.csv").write_text("bpp,psnr\n5,50\n6,52\n7,54\n8,56\n")
    assert main(["bdrate", "kodak/anchor", str(tmp_path / "high.csv")]) == 1
    assert "BD-rate, averaged curves: the curves have no range of quality" in capsys.readouterr().out
    (tmp_path / "few.csv").write_text("bpp,psnr\n0.2,30\n0.4,32\n0.8,36\n")
    assert main(["bdrate", "kodak/anchor", str(tmp_path / "few.csv")]) == 1
    assert f"few: 3 points, {MINIMUM_POINTS} are needed: (0.2, 30)" in capsys.readouterr().out


def test_overlap_limit_can_be_lowered(capsys):
    pair = ["tecnick/vtm-18.0-lossyvae", "tecnick/hpcm-base-mse"]
    assert main(["bdrate", *pair]) == 1
    assert "N/A" in capsys.readouterr().out
    assert main(["bdrate", *pair, "--min-overlap", "0.25"]) == 0
    printed = capsys.readouterr().out
    assert "−18.24 %" in printed and "share only 38.1%" in printed


@pytest.mark.parametrize("arguments, said", [
    (["bdrate", "nothing", "kodak/anchor"], "'nothing' is no curve"),
    (["bdrate", "kodak/anchor", "none.json"], "can't read none.json"),
    (["bdrate", "kodak/anchor", "kodak/hpcm-base-mse", "--metric", "ms-ssim"], "has no MS-SSIM values"),
    (["bdrate", "kodak/anchor", "kodak/anchor", "--min-overlap", "50"], "not between 0 and 1"),
    (["bdrate", "kodak/anchor", "kodak/anchor", "--metric", "psnr-rgb"], "did you mean psnr?"),
    (["bdrate", "kodak/anchor", "kodak/anchor", "--metric", "MS-SSIM-dB"], "did you mean ms-ssim?"),
    (["anchors", "list", "nothing"], "no published curves of dataset 'nothing'"),
    (["anchors", "show", "kodak", "hpcm"], "no published curve 'hpcm'"),
    (["anchors", "export", "rows.csv", "--out", "x.json"], "is no file of rows"),
    (["anchors", "import", "x.doc", "--dataset", "d", "--name", "x", "--source", "me"], "can't tell what"),
    (["anchors", "import", "x.csv", "--dataset", "Kodak", "--name", "x", "--source", "me"], "did you mean kodak?"),
    (["bdrate", "kodka/anchor", "kodak/anchor"], "did you mean kodak?"),
    (["anchors", "list", "Kodka"], "did you mean kodak?"),
    (["anchors", "import", "x.csv", "--dataset", "..", "--name", "x", "--source", "me"], "can't be a file"),
])
def test_bad_input_is_status_2(arguments, said, capsys):
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_check_agrees_with_the_paper(capsys):
    assert main(["anchors", "check"]) == 0
    printed = capsys.readouterr().out
    for stated in ("-15.31", "-19.19", "-14.23", "-18.37", "-18.16", "-22.20", "-14.26", "-18.30"):
        assert stated in printed
    assert printed.count(" yes") == 6


def test_list_and_show(tmp_path, capsys):
    results = ["--results", str(tmp_path)]
    assert main(["anchors", "list", *results]) == 0
    printed = capsys.readouterr().out
    assert printed.count("default anchor") == 3 and printed.count("strict anchor") == 1
    assert "clic2022-test" in printed and "clic2020-pro-valid" not in printed  # once, under the suite's name
    assert main(["anchors", "show", "kodak", "vtm-12.1-hazard-hifivric-issue3", *results]) == 0
    assert "Do NOT use as an anchor" in capsys.readouterr().out
    assert main(["anchors"]) == 2


def test_imported_curves_join(tmp_path, capsys):
    (tmp_path / "mine.csv").write_text("bpp,psnr\n0.1,29\n0.2,31\n0.4,34\n0.8,37.5\n")
    command = ["anchors", "import", str(tmp_path / "mine.csv"), "--dataset", "kodak", "--source", "my table",
               "--label", "Mine", "--results", str(tmp_path / "results")]
    assert main([*command, "--name", "mine"]) == 0
    stored = tmp_path / "results" / "kodak" / "published" / "mine.json"
    assert json.loads(stored.read_text())["source"] == "my table" and str(tmp_path) not in stored.read_text()
    capsys.readouterr()
    assert main(["anchors", "list", "kodak", "--results", str(tmp_path / "results")]) == 0
    assert "imported" in capsys.readouterr().out
    assert main(["anchors", "show", "kodak", "mine", "--results", str(tmp_path / "results")]) == 0
    assert "my table" in capsys.readouterr().out
    assert main(["bdrate", "kodak/anchor", str(stored)]) == 0
    assert main([*command, "--name", "mine"]) == 2
    assert "already imported" in capsys.readouterr().err
    assert main([*command, "--name", "hpcm-base-mse", "--force"]) == 2
    assert "comes with the suite" in capsys.readouterr().err
    assert main([*command, "--name", "mine", "--force"]) == 0


def test_export_chooses_a_codec_and_warns(tmp_path, capsys):
    path = write(tmp_path / "both.jsonl", [*rows_of(dataset_total=24), *rows_of(name="webp")])
    out = tmp_path / "jpeg.json"
    assert main(["anchors", "export", str(path), "--out", str(out)]) == 2
    assert main(["anchors", "export", str(path), "--name", "jpeg", "--out", str(out)]) == 0
    assert "5 points over 3 images\nwarning: 3 of 24 images of kodak" in capsys.readouterr().out
    assert json.loads(out.read_text())["results"]["psnr-rgb"] == pytest.approx([31, 34, 37, 40, 43])
