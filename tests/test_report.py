"""The whole report: BD-rates that are known beforehand, determinism, partial sets, marks, one-page HTML."""

from __future__ import annotations

import csv
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from figures import UNDRAWN, undrawn_figures
from msgspec.structs import replace
from page_samples import build
from row_samples import failed, quality_of

from bench.cli import _parser, main
from bench.common.errors import BenchError
from bench.common.hashing import digest_json
from bench.curves.rd_curve import Points, RDCurve
from bench.reports.kinds import REPORTS, ReportKind
from bench.reports.page.canvas import make_canvas
from bench.reports.page.figures import Figure
from bench.reports.page.pages import Report, Section
from bench.reports.page.table import Column, Table
from bench.reports.rate.curves import IMPORTED, PUBLISHED, ReportCurve
from bench.reports.rate.report import assemble_report, make_rate_report
from bench.results.row_selection import select_rows
from bench.results.rows import Provenance, Row
from bench.results.stored import StoredResults

IMAGES = [f"kodim{number:02d}.png" for number in range(1, 25)]
ROOT = Path(__file__).parents[1]
LABELS = {"vvenc": "VVenC", "webp": "WebP", "jpeg": "JPEG", "hpcm_base_mini": "HPCM-Base"}


def make_rows(name: str, rate_factor: float = 1.0, images=tuple(IMAGES), dataset="kodak", total=24, points=6,
              miniature=False, gain_db=0.0) -> list[Row]:
    """Rows of a codec with quality = 30 + c log2(rate / (rate_factor * d)) on every image.

    Two codecs with the same images differ by exactly their rate factors at equal quality.
    """
    rows = []
    for index, image in enumerate(images):
        number = IMAGES.index(image) if image in IMAGES else index
        complexity = 0.15 * (1 + number / 20)
        for step in range(points):
            series = digest_json({"name": name, "step": step})
            bpp = complexity * 2.0**step / 2 * rate_factor
            quality = 27 + 3.5 * step + number / 50 + gain_db
            rows.append(Row(
                key=digest_json({"series": series, "image": image}), series=series, status="ok", dataset=dataset,
                image=image, image_sha256=digest_json({"image": image}), codec="learned" if miniature else name,
                name=name, label=LABELS.get(name, name), point=f"p{step}", dataset_total=total, image_verified=True,
                miniature=miniature, identity={"codec_version": "1.0"}, width=768, height=512,
                bytes_total=round(bpp * 49152), bpp=bpp, encode_s=1.0, decode_s=0.1,
                **quality_of(psnr=quality, ms_ssim=1 - 10 ** (-quality / 25)),
                decode_matches=True, provenance=Provenance(device="cpu: x"), code_version="0.1.0",
                measured_at="2025-01-01T00:00:00+00:00",
            ))
    return rows


def store(folder: Path, rows: list[Row]) -> Path:
    path = folder / rows[0].dataset / "rows.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(row.to_json() + "\n" for row in rows))
    return folder


def report_of(rows: list[Row], references=()):
    return assemble_report(select_rows(rows[0].dataset, rows), references)


def table_of(report, name: str):
    return next(table for table in report.tables if table.name == name)


def cell(table, codec: str, key: str):
    return table.column(key)[table.column("codec").index(codec)]


class TestBDRate:
    @pytest.mark.parametrize(("factor", "percent"), [(0.8, "−20.00"), (1.25, "+25.00"), (1.0, "0.00")])
    def test_known_rate_change(self, factor, percent):
        table = table_of(report_of(make_rows("vvenc") + make_rows("webp", factor)), "bd_rate_vs_vvenc")
        for key in ("bd_rate_percent", "bd_rate_per_image_mean_percent", "bd_rate_ms_ssim_percent"):
            column = next(column for column in table.columns if column.key == key)
            assert column.text(cell(table, "WebP", key)) == percent
            assert cell(table, "WebP", key) == pytest.approx(100 * (factor - 1), abs=1e-9)
        assert cell(table, "WebP", "bd_rate_per_image_count") == 24 and cell(table, "WebP", "images") == 24

    def test_known_quality_change(self):
        table = table_of(report_of(make_rows("vvenc") + make_rows("webp", gain_db=0.5)), "bd_rate_vs_vvenc")
        assert cell(table, "WebP", "bd_psnr_db") == pytest.approx(0.5, abs=1e-9)

    def test_small_overlap_gives_a_reason_and_no_number(self):
        table = table_of(report_of(make_rows("vvenc") + make_rows("webp", gain_db=12)), "bd_rate_vs_vvenc")
        assert cell(table, "WebP", "bd_rate_percent") is None
        assert cell(table, "WebP", "overlap_percent") == pytest.approx(100 * 5.5 / 29.5)
        assert "N/A" in cell(table, "WebP", "remarks") and "18.6" in cell(table, "WebP", "remarks")

    def test_too_few_points_give_a_reason(self):
        table = table_of(report_of(make_rows("vvenc") + make_rows("webp", points=3)), "bd_rate_vs_vvenc")
        assert cell(table, "WebP", "bd_rate_percent") is None and "3 points" in cell(table, "WebP", "remarks")

    def test_comparison_goes_over_shared_images_only(self):
        rows = make_rows("vvenc") + make_rows("webp", 0.8, images=IMAGES[20:])
        table = table_of(report_of(rows), "bd_rate_vs_vvenc")
        assert cell(table, "WebP", "images") == 4
        assert cell(table, "WebP", "bd_rate_percent") == pytest.approx(-20.0, abs=1e-9)

    def test_partial_set_is_not_compared_with_averages_over_the_whole_set(self):
        points = Points(tuple(np.geomspace(0.1, 2, 6)), {"psnr": tuple(np.linspace(27, 44.5, 6))})
        data = RDCurve("kodak", "hpcm-base-mse", "HPCM-Base (published)", points, images=24)
        other = ReportCurve(data, "psnr", PUBLISHED)
        report = report_of(make_rows("webp", images=IMAGES[:3]), [other])
        table = table_of(report, "bd_rate_vs_hpcm-base-mse")
        assert cell(table, "WebP", "bd_rate_percent") is None
        assert "covers only 3 images of the set" in cell(table, "WebP", "remarks")
        whole = table_of(report_of(make_rows("webp"), [other]), "bd_rate_vs_hpcm-base-mse")
        assert cell(whole, "WebP", "bd_rate_percent") is not None

    def test_a_curve_that_does_not_say_how_many_images_shows_a_question_mark(self):
        points = Points(tuple(np.geomspace(0.1, 2, 6)), {"psnr": tuple(np.linspace(27, 44.5, 6))})
        data = RDCurve("kodak", "mine", "Mine (imported)", points)
        report = report_of(make_rows("vvenc"), [ReportCurve(data, "psnr", IMPORTED)])
        table = table_of(report, "bd_rate_vs_vvenc")
        assert cell(table, "Mine (imported)", "images") is None
        assert cell(table, "Mine (imported)", "bd_rate_percent") is not None
        assert next(column for column in table.columns if column.key == "images").missing == "?"

    def test_identity_of_a_codec_with_one_missing_image(self):
        rows = make_rows("vvenc") + make_rows("webp", 0.8)
        lost = rows[-1]
        rows[-1] = failed(lost, "out of memory")
        report = report_of(rows)
        table = table_of(report, "bd_rate_vs_vvenc")
        assert cell(table, "WebP", "bd_rate_percent") == pytest.approx(-20.0, abs=1e-9)
        assert cell(table, "WebP", "points") == 5 and "23 of 24" in cell(table, "WebP", "remarks")
        assert table_of(report, "failures").column("reason") == ["out of memory"]


@pytest.fixture(scope="module")
def kodak(tmp_path_factory):
    results = StoredResults(store(tmp_path_factory.mktemp("results"), make_rows("webp")))
    with undrawn_figures():
        return make_rate_report(results, "kodak")


class TestKodakReferences:
    @pytest.mark.parametrize(("codec", "default", "strict"),
                             [("HPCM-Base (published)", -15.43, -14.26),
                              ("HPCM-Large (published)", -19.39, -18.30)])
    def test_both_anchors_stand_side_by_side(self, kodak, codec, default, strict):
        """The figures were computed apart from this code when the anchors were measured."""
        overview = table_of(kodak, "bd_rate")
        for depth, expected in ((8, default), (10, strict)):
            found = cell(overview, codec, f"bd_rate_vs_vtm-22.2-measured-{depth}bit_percent")
            assert found == pytest.approx(expected, abs=0.01)

    def test_published_codecs_stand_apart(self, kodak):
        overview = table_of(kodak, "bd_rate")
        (start, heading), = overview.headings
        assert "not measured here" in heading
        assert set(overview.column("origin")[:start]) == {"measured"}
        assert set(overview.column("origin")[start:]) == {"published"}

    def test_anchors_are_paired_image_by_image(self, kodak):
        table = table_of(kodak, "bd_rate_vs_vtm-22.2-measured-8bit")
        assert cell(table, "WebP", "images") == 24

    def test_every_table_and_figure_says_what_it_covers(self, kodak):
        for table in kodak.tables:
            assert "Kodak, 24 images" in table.title
        for figure in kodak.figures:
            assert "Kodak, 24 images" in figure.caption and "VTM 22.2" in figure.caption


class TestTecnickReferences:
    @pytest.mark.usefixtures("undrawn")
    def test_published_codecs_have_numbers(self, tmp_path):
        """The paper states -18.16 and -22.20 against VTM-22.0."""
        images = [f"{number}.png" for number in range(100)]
        rows = make_rows("webp", images=images, dataset="tecnick", total=100)
        report = make_rate_report(StoredResults(store(tmp_path, rows)), "tecnick")
        table = table_of(report, "bd_rate_vs_vtm-18.0-lossyvae")
        for codec, stated in (("HPCM-Base (published)", -18.16), ("HPCM-Large (published)", -22.20)):
            assert cell(table, codec, "bd_rate_percent") == pytest.approx(stated, abs=0.3)
        assert any("QP 22 to 42" in note for note in table.notes)


@pytest.mark.usefixtures("undrawn")
def test_a_folder_is_not_compared_with_published_averages(tmp_path):
    """Its name may be that of a folder of published curves."""
    rows = make_rows("webp", dataset="clic2020-pro-valid", total=None)
    report = make_rate_report(StoredResults(store(tmp_path, rows)), "clic2020-pro-valid")
    assert not [table for table in report.tables if "bd_rate" in table.name]


class TestMarks:
    def test_miniature_is_marked_everywhere(self):
        report = report_of(make_rows("vvenc") + make_rows("hpcm_base_mini", miniature=True, points=4))
        assert "not the authors' models" in report.intro[0]
        for name in ("bd_rate", "bd_rate_vs_vvenc", "summary", "extreme_images", "provenance"):
            labels = {text for text in table_of(report, name).column("codec") if "HPCM" in text}
            assert labels == {"HPCM-Base (miniature)"}
        assert table_of(report, "bd_rate_vs_hpcm_base_mini")

    def test_mismatch_is_said_in_every_table(self):
        rows = make_rows("vvenc") + make_rows("webp")
        rows[0] = replace(rows[0], decode_matches=False, decode_max_abs_difference=3)
        for table in report_of(rows).tables:
            assert "did not reproduce" in table.warnings[0]

    def test_sample_set_is_named_in_the_title(self):
        rows = make_rows("webp", dataset="sample", total=4, images=["a.png", "b.png", "c.png", "d.png"])
        assert "Sample set" in report_of(rows).title and "no benchmark" in report_of(rows).title

    def test_set_where_everything_failed(self, tmp_path):
        rows = [failed(row, "no memory")
                for row in make_rows("webp", dataset="sample", total=24)]
        build("rate", store(tmp_path / "results", rows), tmp_path, "sample")
        text = (tmp_path / "sample" / "README.md").read_text()
        assert "0 of 24 images" in text and text.count("no memory") == len(rows)

    def test_set_without_anchor_has_no_bd_table(self):
        report = report_of(make_rows("webp", dataset="folder", total=None))
        assert report.main_table.name == "summary"


class Links(HTMLParser):
    """Collects what a page loads, and what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.loaded += [value for key, value in attributes
                        if key in ("src", "srcset", "data") or (key == "href" and tag != "a")]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    rows = make_rows("vvenc") + make_rows("webp", 0.8) + make_rows("hpcm_base_mini", miniature=True, points=4)
    return folder, build("rate", store(folder / "results", rows), folder / "reports", "kodak")


class TestFiles:
    def test_same_rows_give_the_same_bytes(self, built):
        folder, paths = built
        again = build("rate", folder / "results", folder / "again", "kodak")
        digests = [{path.relative_to(root): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
                   for root, files in ((folder / "reports", paths), (folder / "again", again))]
        assert digests[0] == digests[1] and len(digests[0]) > 15

    def test_page_loads_the_figures_beside_it_and_nothing_else(self, built):
        folder = built[0] / "reports" / "kodak"
        text = (folder / "index.html").read_text()
        links = Links()
        links.feed(text)
        assert sorted(links.loaded) == sorted(f"figures/{path.name}" for path in (folder / "figures").iterdir())
        assert not links.tags & {"script", "link", "iframe"}
        assert "@import" not in text and "url(" not in text
        files = list((built[0] / "reports/kodak/tables").glob("*.csv"))
        assert text.count("<table>") == len(files) - 2  # no failures; all images are in a file alone

    def test_what_the_readme_links_and_names_exists(self, built):
        folder = built[0] / "reports" / "kodak"
        text = (folder / "README.md").read_text()
        linked, named = re.findall(r"(?<!\\)\]\(([^)]+)\)", text), re.findall(r"`(tables/[^`]*)`", text)
        targets = [*linked, *named]
        assert len(linked) >= 3 and len(named) >= 2
        for target in targets:
            assert (folder / target).exists(), target

    def test_readme_starts_with_dataset_coverage_and_miniatures(self, built):
        text = (built[0] / "reports/kodak/README.md").read_text()
        lines = [line for line in text.splitlines() if line]
        assert "Kodak, 24 images" in lines[0] and "small models trained on a CPU" in " ".join(lines[:3])

    def test_csv_has_a_line_for_every_row(self, built):
        with open(built[0] / "reports/kodak/tables/per_image.csv", newline="") as stream:
            records = list(csv.DictReader(stream))
        assert len(records) == 24 * (6 + 6 + 4)
        assert {record["coverage"] for record in records} == {"24 images"}

    @pytest.mark.usefixtures("undrawn")
    def test_earlier_files_go_and_foreign_ones_stay(self, tmp_path):
        results = store(tmp_path / "results", make_rows("vvenc") + make_rows("webp"))
        build("rate", results, tmp_path / "reports", "kodak")
        foreign = tmp_path / "reports/kodak/tables/mine.csv"
        foreign.write_text("mine")
        store(tmp_path / "results", make_rows("webp"))
        build("rate", results, tmp_path / "reports", "kodak")
        assert foreign.exists() and not (foreign.parent / "bd_rate_vs_vvenc.csv").exists()
        assert not list((tmp_path / "reports").rglob(".*"))

    @pytest.mark.usefixtures("undrawn")
    def test_manifest_does_not_reach_outside(self, tmp_path):
        results = store(tmp_path / "results", make_rows("webp"))
        victim = tmp_path / "victim"
        victim.write_text("kept")
        folder = tmp_path / "reports" / "kodak"
        folder.mkdir(parents=True)
        (folder / "files.json").write_text('{"files": {"../../victim": ""}}')
        build("rate", results, tmp_path / "reports", "kodak")
        assert victim.exists()


class TestCommand:
    @pytest.mark.usefixtures("undrawn")
    def test_every_dataset_with_rows(self, tmp_path, capsys):
        store(tmp_path / "results", make_rows("webp"))
        store(tmp_path / "results", make_rows("webp", dataset="sample", total=24))
        arguments = ["report", "--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
        assert main(arguments) == 0
        output = capsys.readouterr().out
        assert "BD-rate" in output and "Sample set" in output and str(tmp_path / "reports/kodak") in output
        assert (tmp_path / "reports/sample/index.html").exists()

    @pytest.mark.usefixtures("undrawn")
    def test_folders_are_those_of_assess(self, tmp_path, monkeypatch, capsys):
        """By default the checkout's, wherever the command is run; else what the environment says."""
        monkeypatch.chdir(tmp_path)
        for variable in ("BENCH_RESULTS", "BENCH_REPORTS"):
            monkeypatch.delenv(variable, raising=False)
        for verb, needed in (("report", []), ("assess", ["kodak"])):
            args = _parser(verb).parse_args([verb, *needed])
            assert (args.results, args.reports) == (ROOT / "results", ROOT / "reports")
        monkeypatch.setenv("BENCH_RESULTS", str(store(tmp_path / "rows", make_rows("webp"))))
        monkeypatch.setenv("BENCH_REPORTS", str(tmp_path / "pages"))
        assert main(["report"]) == 0
        assert (tmp_path / "pages/kodak/index.html").exists()

    def test_needs_neither_torch_nor_models(self, tmp_path):
        store(tmp_path / "results", make_rows("webp"))
        program = (f"{UNDRAWN}import sys; from bench.cli import main; status = main(sys.argv[1:]); "
                   "sys.exit(status or ('torch' in sys.modules) or ('compressai' in sys.modules))")
        arguments = ["report", "--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
        subprocess.run([sys.executable, "-c", program, *arguments], cwd=ROOT, check=True, capture_output=True)

    def test_a_registered_page_is_built(self, tmp_path, capsys, monkeypatch):
        """One function and one registration; text, tables and figures in one section."""
        def draw_toy(data, layout):
            canvas = make_canvas(layout)
            canvas.add_subplot().barh(0, data["size"])
            return canvas

        def make_toy_report(results: StoredResults, name: str) -> Report:
            table = Table.from_records("sizes", f"Size of {name}", (Column("size", "Size", digits=0, of=int),), [3])
            figure = Figure("toy", "A toy", draw_toy, {"size": 3})
            section = Section("All in one", (table,), (figure,), text=("Read *this* first.",))
            return Report(name, "Toys", "sizes", ("Hello.",), (section,), files={"toys.csv": b"3"})

        monkeypatch.setattr(REPORTS, "_entries", dict(REPORTS._entries))
        REPORTS.add("toys", ReportKind(lambda results: ["train", "ball"], make_toy_report, "toys/{}", "evaluate"))
        assert main(["report", "--results", str(tmp_path), "--reports", str(tmp_path / "reports")]) == 0
        assert "Size of ball" in capsys.readouterr().out
        folder = tmp_path / "reports" / "toys" / "train"
        assert (folder / "toys.csv").read_bytes() == b"3" and (folder / "figures" / "toy.png").exists()
        readme, page = (folder / "README.md").read_text(), (folder / "index.html").read_text()
        assert readme.index("All in one") < readme.index("Read \\*this\\* first.") < readme.index("toy.png")
        assert page.index("All in one") < page.index("<p>Read *this* first.</p>") < page.index("<figure>")

    def test_no_rows_is_bad_input(self, tmp_path, capsys):
        assert main(["report", "--results", str(tmp_path)]) == 2
        assert main(["report", "--results", str(tmp_path), "--dataset", "kodak"]) == 2
        assert "no rows" in capsys.readouterr().err
        with pytest.raises(BenchError, match="no rows of 'kodak'"):
            build("rate", tmp_path, tmp_path / "reports", "kodak")
