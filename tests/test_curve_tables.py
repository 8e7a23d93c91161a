"""Odd files of rate points that people met: each is read with the right number, or refused with what was seen.

The inputs in ``curve_files`` have values that others derived independently.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from row_samples import rows_of, write

from bench.cli import main
from bench.common.errors import BenchError
from bench.curves.anchors.catalogue import read_imported
from bench.curves.anchors.curve_files import MOST_BYTES, read_curve_file
from bench.curves.sources import read_source, split_name
from bench.metrics import bd_rate
from bench.reports.rate.curves import reference_curves

CASES = Path(__file__).parent / "curve_files"
COOLCHIC, ODD, PATHS = CASES / "04-coolchic-tsv", CASES / "17-import-odd", CASES / "22-hash-path"
ODD_NAMES = ("tabs.csv", "semicolon.csv", "units.csv", "utf16.csv", "nan.json", "null.json", "enctime.json")
ODD_PATHS = [*(ODD / name for name in ODD_NAMES), PATHS / "UPPER.JSON", PATHS / "run#2 (final)" / "c.json"]
FOUR = "0.1,30\n0.2,32\n0.4,34\n0.8,36\n"


def save(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def compare(anchor: str, path: Path, metric: str = "psnr") -> float:
    first, second = (read_source(text, (metric,)).curve(metric) for text in (anchor, str(path)))
    return bd_rate(first, second).value


class TestRightNumbers:
    @pytest.mark.parametrize("path", ODD_PATHS, ids=lambda path: path.name)
    def test_what_nobody_asked_for_spoils_nothing(self, path):
        assert round(compare("kodak/anchor", path), 2) == 50.64

    @pytest.mark.parametrize("name", ["image-kodak.tsv", "image-kodak.csv", "renamed.csv"])
    def test_lines_of_images_are_averaged(self, name, capsys):
        curve = read_source(str(COOLCHIC / name))
        assert (len(curve.bpp), curve.images) == (5, 3)
        assert round(compare("kodak/anchor", COOLCHIC / name), 2) == -10.76
        assert main(["bdrate", "kodak/anchor", str(COOLCHIC / name)]) == 0
        assert "averages over different images" in capsys.readouterr().out

    def test_a_table_without_names(self, tmp_path):
        headerless = CASES / "02-headerless-csv" / "embedded_PSNR.csv"
        with pytest.raises(BenchError, match="line 1 holds numbers, not names"):
            read_source(str(headerless))
        named = save(tmp_path, "named.csv", "bpp,psnr\n" + headerless.read_text())
        assert round(compare("kodak/vtm-18.0-lossyvae", named), 2) == 33.22

    def test_ms_ssim_in_db_under_compressais_name(self):
        first, second = (CASES / "01-compressai-db-key" / f"paper-{letter}_ms-ssim.json" for letter in "ab")
        assert round(compare(str(first), second, "ms-ssim"), 2) == -4.86

    def test_doubled_columns_are_named(self, tmp_path):
        with pytest.raises(BenchError, match="'bpp' and 'bpp' are names of one column"):
            read_source(str(ODD / "twice.csv"))
        lines = [line.split(",") for line in (ODD / "twice.csv").read_text().splitlines()]
        for place, value in ((0, 50.64), (2, 35.57)):
            half = "\n".join(",".join(cells[place:place + 2]) for cells in lines)
            assert round(compare("kodak/anchor", save(tmp_path, "half.csv", half)), 2) == value


SPELLINGS = {
    "blanks.txt": "  bpp   psnr\n0.1  30\n0.2   32\n 0.4 34 \n0.8 36\n",
    "savetxt.txt": "# bpp psnr\n1e-1 3.0e+01\n0.2 32\n0.4 34\n0.8 36",
    "comments.csv": "# by us\n\nbpp,psnr\n0.1,30\n% gap\n0.2,32\n0.4,34\n0.8,36",
    "returns.csv": "bpp,psnr\n".replace("\n", "\r") + FOUR.replace("\n", "\r"),
    "excel.csv": "sep=;\nbpp;psnr\n0,1;30\n0,2;32\n0,4;34\n0,8;36",
    "excel_tabs.txt": "SEP=\t\nbpp\tpsnr\n" + FOUR.replace(",", "\t"),
    "bars.TXT": "bpp | psnr\n" + FOUR.replace(",", " | "),
    "markdown.txt": "| bpp | psnr |\n|:---|---:|\n| " + FOUR.strip().replace(",", " | ").replace("\n", " |\n| ") + " |",
    "remarked.csv": "bpp,psnr,remark\n0.1,30,ok\n0.2,32,ok\n0.4,34,slow\n0.8,36,slow\n",
    "numbered.csv": "#,bpp,psnr\n0,0.1,30\n1,0.2,32\n2,0.4,34\n3,0.8,36\n",
    "quoted.CSV": '"bpp","name, of a point",psnr\n"0.1",1,"30"\n0.2,1,32\n0.4,1,34\n0.8,1,36\n',
    "arrows.tsv": "Bpp ↓\tPSNR (RGB) [dB] ↑\n" + FOUR.replace(",", "\t"),
    "summed.csv": "name,bpp,psnr\na,0.1,30\nb,0.2,32\nc,0.4,34\nd,0.8,36\nMean:,0.375,33\nstd,1,2\n",
    "milliseconds.csv": "bpp,psnr,encoding_time [ms]\n0.1,30,5\n0.2,32,5\n0.4,34,5\n0.8,36,5\n",
    "short.csv": "bpp,psnr,ms-ssim\n" + FOUR,
    "doubled.csv": "bpp,psnr,ms_ssim,MS-SSIM\n0.1,30,0.9,1\n0.2,32,0.9,1\n0.4,34,0.9,1\n0.8,36,0.9,1\n",
    "averages.csv": "image,bpp,psnr\nmean,0.1,30\nmean,0.2,32\nmean,0.4,34\nmean,0.8,36\n",
    "orders.csv": "image,qp,bpp,psnr\na,37,0.05,29\na,32,0.1,31\na,27,0.2,33\na,22,0.4,35\n"
                  "b,22,1.2,37\nb,27,0.6,35\nb,32,0.3,33\nb,37,0.15,31\naverage,22,0.8,36\n",
    "unset.csv": "image,qp,bpp,psnr\na,,0.1,30\na,,0.2,32\na,,0.4,34\na,,0.8,36\n",
    "files.csv": "name,bpp,psnr\na.png,0.05,29\na.png,0.1,31\na.png,0.2,33\na.png,0.4,35\n"
                 "b.png,1.2,37\nb.png,0.6,35\nb.png,0.3,33\nb.png,0.15,31\noverall,0.4,33\n",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("name", SPELLINGS)
def test_siblings_give_the_same_points(tmp_path, name, encoding):
    curve = read_curve_file(save(tmp_path, name, SPELLINGS[name].encode(encoding)), metrics=("psnr",))
    assert curve.bpp == pytest.approx((0.1, 0.2, 0.4, 0.8))
    assert curve.points.on_curve("psnr") == pytest.approx((30, 32, 34, 36))
    assert not curve.has("ms-ssim") and curve.points.encode_s is None


@pytest.mark.parametrize(("name", "text", "said"), [
    ("long.csv", "bpp,psnr\n0.1,30\n0.2,32,0.9\n", "line 3 has 3 cells, but there are 2 names"),
    ("commas.csv", "bpp,psnr\n0,1,30,1\n", "line 2 has 4 cells"),
    ("mixed.csv", "bpp;psnr\n0,1;30.5\n", "line 2, 'bpp': '0,1' is no number"),
    ("spread.csv", 'bpp,psnr,remark\n0.1,30,"a\nb"\n', "a quoted cell goes over several lines"),
    ("open.csv", 'bpp,psnr,remark\n0.1,30,"a\n', "EOF inside string"),
    ("codecs.csv", "codec,bpp,psnr\na,0.1,30\na,0.2,32\nb,0.1,30\n", "several curves: column 'codec' has 'a', 'b'"),
    ("methods.csv", "method,bpp,psnr\na,0.1,30\na,0.4,34\nb,0.2,31\nb,0.8,36\n",
     "several curves: .* 'method' goes from 'a' to 'b'"),
    ("names.csv", "Name,bpp,psnr\nx,0.4,34\nx,0.1,30\ny,0.8,36\ny,0.2,31\nz,0.9,37\nz,0.3,32\n", "several curves"),
    ("rates.csv", "bpp,rate_bpp,psnr\n0.1,0.2,30\n", "'bpp' and 'rate_bpp' are names of one"),
    ("uneven.csv", "image,bpp,psnr\na,0.1,30\na,0.2,32\nb,0.4,34\n", "'b' has not the rate points of 'a': 1 and 2"),
    ("again.csv", "image,q,bpp,psnr\na,1,0.1,30\na,1,0.2,32\n", "twice at one rate point: lines 2 and 3"),
    ("nameless.csv", "image,bpp,psnr\na,0.1,30\n,0.2,32\n", "line 3: column 'image' is empty"),
    ("title.csv", "Results\nbpp,psnr\n0.1,30\n", "no bpp values.*\n.*found: Results"),
    ("digits.csv", "bpp,psnr\n٠.١,30\n", "line 2, 'bpp': '٠.١' is no number"),
    ("grouped.csv", "bpp,psnr\n0.1,3_0\n", "line 2, 'psnr': '3_0' is no number"),
    ("huge.csv", "bpp,psnr\n0.1,1e308\n", "more than any rate, quality or time"),
    ("luma.csv", "bpp,PSNR [%]\n0.1,30\n", "'PSNR .%.': the unit 'percent' is not one"),
    ("wide.csv", "x," * 5000, "more than 1000 columns"),
    ("fat.csv", f"bpp,psnr,{'x' * 200_000}\n0.1,30,1\n", "no bpp values"),
    ("escape.csv", "\x1b[31mred,psnr\n1,2\n", r"found: \\x1b\[31mred"),
    ("twice.json", '{"results": {"bpp": [0.1], "bpp": [0.2], "psnr": [30]}}', "'bpp' stands twice"),
    ("digits.json", '{"results": {"bpp": [1%s], "psnr": [30]}}' % ("0" * 400), "no finite number"),
    ("more.json", '{"results": {"bpp": [1%s], "psnr": [30]}}' % ("0" * 5000), "is no JSON"),
    ("images.json", '{"results": {"bpp": [1, 2], "psnr": [3, 4]}, "per_image": [{"image": "a", "bpp": 1, "psnr": 3}]}',
     "'per_image' has not 2 rate points"),
    ("deep.json", '{"results": {"bpp": %s' % ("[" * 100_000), "is no JSON"),
])
def test_what_is_refused_says_what_was_seen(tmp_path, name, text, said):
    with pytest.raises(BenchError, match=said) as caught:
        read_curve_file(save(tmp_path, name, text))
    assert name in str(caught.value) and len(str(caught.value)) < 1000 and "\x1b" not in str(caught.value)


def test_files_are_bounded(tmp_path):
    with pytest.raises(BenchError, match="more than 8 MiB"):
        read_curve_file(save(tmp_path, "big.csv", b"1" * (MOST_BYTES + 1)))

    start = time.process_time()
    for name, text in (("lines.csv", "bpp,psnr\n" + "1,1\n" * 200_000), ("blank.csv", "bpp," + "\n" * 1_000_000),
                       ("cells.csv", "bpp,psnr\n" + "," * 1_000_000), ("maps.json", f"[{'{},' * 300_000}0]"),
                       ("values.json", '{"results": {"bpp": [%s1], "psnr": [1]}}' % ("1," * 400_000))):
        with pytest.raises(BenchError, match=name):
            read_curve_file(save(tmp_path, name, text))
    assert time.process_time() - start < 10


@pytest.mark.parametrize(("name", "place"), [
    ("nan.json", "value 3, 'ms-ssim-rgb': nan"), ("null.json", "'ms-ssim-rgb'"),
    ("enctime.json", "bpp 6, 'encoding_time' 1"),
])
def test_what_is_left_out_is_said_with_its_place(name, place, capsys):
    assert main(["bdrate", "kodak/anchor", str(ODD / name)]) == 0
    printed = capsys.readouterr().out
    assert "left out" in printed and place in printed


@pytest.mark.parametrize("name", ["nan.json", "null.json"])
def test_a_wrong_column_that_is_asked_for_is_an_error(name):
    with pytest.raises(BenchError, match="'ms-ssim-rgb'"):
        read_source(str(ODD / name), ("ms-ssim",))


@pytest.mark.parametrize("path", [*ODD_PATHS, ODD / "twice.csv", COOLCHIC / "image-kodak.tsv",
                                  CASES / "02-headerless-csv" / "embedded_PSNR.csv"], ids=lambda path: path.name)
def test_import_and_bdrate_and_reports_agree(path, tmp_path, capsys):
    status = main(["bdrate", "kodak/anchor", str(path)])
    refusal = capsys.readouterr().err
    command = ["anchors", "import", str(path), "--dataset", "kodak", "--name", "mine", "--source", "a table"]
    assert main([*command, "--results", str(tmp_path)]) == status
    assert capsys.readouterr().err == refusal
    if status == 0:
        imported, = read_imported(tmp_path, "kodak")
        read = read_source(str(path))
        assert imported.points.quality["psnr"] == read.points.quality["psnr"] and imported.images == read.images
        shown = next(curve for curve in reference_curves("kodak", tmp_path, 24) if curve.name == "mine")
        assert shown.images == read.images and shown.whole_set == (read.images is None)


def test_import_says_what_no_bd_rate_can_be_given_of(tmp_path, capsys):
    path = save(tmp_path, "mine.csv", "name,bpp,psnr\na,0.1,30\nb,0.2,29\nc,0.4,34\nd,0.8,36\n")
    command = ["anchors", "import", str(path), "--dataset", "kodak", "--name", "mine", "--source", "a table"]
    assert main(["bdrate", "kodak/anchor", str(path)]) == 1
    reason = "must both rise from point to point, but there is (0.1, 30) then (0.2, 29)"
    assert reason in capsys.readouterr().out
    assert main([*command, "--results", str(tmp_path)]) == 0
    assert reason in capsys.readouterr().out


@pytest.mark.parametrize("more", [{"meta": {"x": [float("nan")]}}, {"meta": {"x": {"\ud800": 1}}}, {"name": "\udfff"},
                                  {"source": "\ud800", "description": ["\ud800"]}])
def test_what_can_not_be_stored_costs_no_rate_point(more, tmp_path, capsys):
    values = json.loads((PATHS / "UPPER.JSON").read_text())
    path = save(tmp_path, "odd\udcff.json", json.dumps({**values, **more}))  # the name is no text either
    command = ["anchors", "import", str(path), "--dataset", "kodak", "--name", "mine", "--source", "a table"]
    assert main([*command, "--results", str(tmp_path)]) == 0
    assert ("left out: field 'meta." in capsys.readouterr().out) == ("meta" in more)
    imported, = read_imported(tmp_path, "kodak")
    assert sorted(imported.bpp) == sorted(values["results"]["bpp"])


def test_tables_beside_imported_curves_join_the_report(tmp_path):
    folder = tmp_path / "kodak" / "published"
    folder.mkdir(parents=True)
    shutil.copy(ODD / "tabs.csv", folder / "theirs.CSV")
    save(folder, "._theirs.csv", b"\0\5\x16\7")
    save(folder, "notes.md", "# notes")
    assert [curve.name for curve in read_imported(tmp_path, "kodak")] == ["theirs"]


class TestNames:
    def test_an_existing_path_wins(self, tmp_path):
        folder = tmp_path / "run#2 (final)"
        folder.mkdir()
        rows = write(folder / "both.JSONL", [*rows_of(), *rows_of(name="webp")])
        curve = save(folder, "c#1.json", json.dumps({"results": {"bpp": [0.5], "psnr": [35]}}))
        assert split_name(f"{rows}#webp") == (rows, "webp") and split_name(str(curve)) == (curve, "")
        assert read_source(f"{rows}#webp").label == "WEBP" and read_source(str(curve)).bpp == (0.5,)
        with pytest.raises(BenchError, match="holds several codecs"):
            read_source(str(rows))
        with pytest.raises(BenchError, match="holds one curve"):
            read_source(f"{curve}#mine")
        with pytest.raises(BenchError, match="No such file"):
            read_source(f"{folder}/none.jsonl#webp")

    def test_export_finds_it_too(self, tmp_path):
        folder = tmp_path / "run#2"
        folder.mkdir()
        rows = write(folder / "jpeg.jsonl", rows_of())
        assert main(["anchors", "export", str(rows), "--out", str(tmp_path / "out.json")]) == 0
        results = json.loads((tmp_path / "out.json").read_text())["results"]
        assert set(results) == {"bpp", "psnr-rgb", "ms-ssim-rgb", "ms-ssim-db-rgb"}
