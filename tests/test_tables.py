"""Tables: which rows are chosen, what is averaged, and that every format says the same and escapes right."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from operator import itemgetter

import pytest
from msgspec.structs import replace as replace_row
from row_samples import failed, quality_of, with_quality

from bench.common.hashing import digest_json
from bench.reports.page.render import escape_latex, to_csv, to_html, to_latex, to_markdown, to_text
from bench.reports.page.table import Column, Table
from bench.reports.rate.coverage import coverage_of
from bench.reports.rate.curves import measured_curves
from bench.reports.rate.images import extreme_table, image_table
from bench.reports.rate.tables import MOST_FAILURES, failure_table, provenance_table, summary_table
from bench.results.labels import label_selection
from bench.results.row_selection import select_rows
from bench.results.rows import Provenance, Row

IMAGES = [f"kodim{number:02d}.png" for number in range(1, 25)]
NASTY = r"50% of $x_1 & {y} #2 ~ ^ \ <b>|</b> [z]"


def make_row(image="kodim01.png", name="webp", point="q50", series="s", **values) -> Row:
    sha = digest_json({"image": image})
    defaults = dict(
        key=digest_json({"series": series, "name": name, "point": point, "image": sha}), series=series,
        status="ok", dataset="kodak", image=image, image_sha256=sha, codec=name, name=name,
        label=name.upper(), point=point, dataset_total=24, image_verified=True, width=768, height=512,
        bytes_total=49152, bpp=1.0, encode_s=0.5, **quality_of(psnr=35.0, ms_ssim=0.99),
        decode_s=0.25, decode_matches=True, code_version="0.1.0",
        provenance=Provenance(device="cpu: x"), measured_at="2025-01-01T00:00:00+00:00",
    )
    return Row(**(defaults | values))


def parts(rows):
    selection = label_selection(select_rows("kodak", rows))
    return selection, coverage_of(selection)


class TestSelection:
    def test_last_row_of_a_key_counts(self):
        row = make_row()
        selection = select_rows("kodak", [failed(row, "killed"), row])
        assert [entry.status for entry in selection.rows] == ["ok"]

    def test_most_complete_series_wins_over_a_newer_one(self):
        old = [make_row(image, series="old") for image in IMAGES]
        new = [make_row(image, series="new", measured_at="2025-06-01T00:00:00+00:00") for image in IMAGES[:5]]
        selection = select_rows("kodak", new + old)
        assert {row.series for row in selection.rows} == {"old"}
        assert any("1 other series" in note for note in selection.notes)

    def test_newest_of_equally_complete_series_wins(self):
        old = [make_row(image, series="old") for image in IMAGES]
        new = [make_row(image, series="new", measured_at="2025-06-01T00:00:00+00:00") for image in IMAGES]
        for rows in (old + new, new + old):
            assert {row.series for row in select_rows("kodak", rows).rows} == {"new"}

    def test_failed_images_do_not_make_a_series_complete(self):
        good = [make_row(image, series="good") for image in IMAGES[:3]]
        bad = [failed(make_row(image, series="bad"), "out of memory") for image in IMAGES]
        assert {row.series for row in select_rows("kodak", good + bad).rows} == {"good"}

    def test_points_from_several_machines_are_noted(self):
        rows = [make_row(point="q10", provenance=Provenance(device="cpu: x")),
                make_row(point="q20", provenance=Provenance(device="cpu: y"))]
        assert any("1 of cpu: x; 1 of cpu: y" in note for note in select_rows("kodak", rows).notes)
        assert not select_rows("kodak", rows[:1]).notes

    def test_set_ups_of_one_machine_are_noted(self):
        rows = [make_row(point="q10"), make_row(point="q20", provenance=Provenance(device="cpu: x", jobs=2))]
        (note,) = select_rows("kodak", rows).notes
        assert "2 set-ups of one machine" in note

    def test_replaced_image_is_shown_once(self):
        first = make_row(bpp=1.0)
        second = replace_row(first, key="other", image_sha256="other", bpp=2.0,
                         measured_at="2025-02-01T00:00:00+00:00")
        assert [row.bpp for row in select_rows("kodak", [second, first]).rows] == [2.0]


class TestCoverage:
    def test_whole_set(self):
        _, coverage = parts([make_row(image) for image in IMAGES])
        assert coverage.text == "24 images" and coverage.complete

    def test_partial_set_is_said_in_every_title(self):
        selection, coverage = parts([replace_row(make_row(), dataset="clic2020", dataset_total=41)])
        assert coverage.text == "1 of 41 images" and not coverage.complete
        for make in (summary_table, image_table, extreme_table, failure_table, provenance_table):
            table = make(selection, coverage)
            assert "1 of 41 images" in table.title

    def test_failed_images_are_not_covered(self):
        _, coverage = parts([make_row(IMAGES[0]), failed(make_row(IMAGES[1]), "broken file")])
        assert coverage.images == 1

    def test_altered_images_are_counted(self):
        rows = [make_row(image) for image in IMAGES]
        rows[3] = replace_row(rows[3], image_verified=False)
        assert parts(rows)[1].text == "24 images, 1 altered"

    def test_folder_of_the_users_has_no_total(self):
        assert parts([make_row(image, dataset_total=None) for image in IMAGES[:7]])[1].text == "7 images"


class TestSingleImages:
    def test_both_ends_of_each_point_are_shown(self):
        values = dict(zip(IMAGES, [33.0, 31.0, 40.0, 36.0, 35.0, 39.0, 34.0, 38.0, 32.0]))
        rows = [make_row(image, point=point, series=point, bpp=bpp, **quality_of(psnr=psnr))
                for point, bpp in (("q1", 0.1), ("q2", 0.2)) for image, psnr in values.items()]
        rows.append(failed(make_row(IMAGES[10], point="q1", series="q1"), "broken file"))
        table = extreme_table(*parts(rows))
        assert table.column("psnr_rgb_db") == [31, 32, 33, 38, 39, 40] * 2
        assert table.column("point") == ["q1"] * 6 + ["q2"] * 6
        assert {image: psnr for image, psnr in zip(table.column("image"), table.column("psnr_rgb_db"))}.items() \
            <= values.items()

    def test_few_images_are_all_shown_once(self):
        rows = [make_row(image) for image in IMAGES[:5]]
        assert sorted(extreme_table(*parts(rows)).column("image")) == IMAGES[:5]

    def test_of_very_many_failures_the_first_are_shown_and_the_others_counted(self):
        rows = [failed(make_row(f"{number}.png", dataset_total=None), "no memory") for number in range(MOST_FAILURES)]
        assert not failure_table(*parts(rows)).notes
        more = [*rows, *(failed(make_row(f"more{number}.png", dataset_total=None), "no memory") for number in range(3))]
        table = failure_table(*parts(more))
        assert len(table.rows) == MOST_FAILURES and "3 failures more" in table.notes[0]


class TestSummary:
    def test_means_go_over_measured_images_only(self):
        rows = [make_row(IMAGES[0], bpp=1.0, **quality_of(psnr=30.0)),
                make_row(IMAGES[1], bpp=2.0, **quality_of(psnr=34.0)),
                failed(make_row(IMAGES[2]), "out of memory")]
        selection, coverage = parts(rows)
        table = summary_table(selection, coverage)
        assert table.column("images_ok") == [2] and table.column("images") == [3]
        assert table.column("failures") == [1]
        assert table.column("bpp") == [1.5] and table.column("psnr_rgb_db") == [32.0]

    def test_widths_and_bytes_are_whole_numbers_in_csv(self):
        line, = csv.DictReader(io.StringIO(to_csv(image_table(*parts([make_row()])))))
        assert (line["width"], line["height"], line["bytes_total"]) == ("768", "512", "49152")

    def test_missing_ms_ssim_is_not_a_number_and_explained(self):
        row = replace_row(with_quality(make_row(), ms_ssim=None),
                              quality_missing={"ms-ssim": "sides of 160 or less"})
        selection, coverage = parts([row])
        table = summary_table(selection, coverage)
        assert table.column("ms_ssim") == [None] and "N/A" in to_markdown(table)
        assert "sides of 160 or less" in str(image_table(selection, coverage).column("remark"))

    def test_mismatch_is_counted_and_warned_of_in_every_table(self):
        rows = [make_row(image) for image in IMAGES]
        rows[1] = replace_row(rows[1], decode_matches=False, decode_max_abs_difference=7)
        selection, coverage = parts(rows)
        assert summary_table(selection, coverage).column("mismatches") == [1]
        for make in (summary_table, image_table, extreme_table, provenance_table):
            table = make(selection, coverage)
            for text in (to_markdown(table), to_html(table), to_latex(table), to_csv(table)):
                assert "did not reproduce" in text and "1 image" in text

    def test_no_warning_without_mismatch(self):
        selection, coverage = parts([make_row(image) for image in IMAGES])
        assert not summary_table(selection, coverage).warnings

    def test_miniature_is_marked_in_every_table(self):
        selection, coverage = parts([make_row(miniature=True, label="HPCM-Base")])
        for make in (summary_table, image_table, extreme_table, provenance_table):
            table = make(selection, coverage)
            assert table.column("codec") == ["HPCM-Base (miniature)"]
            assert any("not the authors' models" in note for note in table.notes)

    def test_codecs_with_one_label_stay_apart(self):
        selection, coverage = parts([make_row(name="a", label="X"), make_row(name="b", label="X")])
        assert len(set(summary_table(selection, coverage).column("codec"))) == 2

    def test_failures_keep_their_reason(self):
        selection, coverage = parts([failed(make_row(), "truncated PNG"), make_row(IMAGES[1])])
        assert failure_table(selection, coverage).rows == (("WEBP", "q50", IMAGES[0], "truncated PNG"),)

    def test_dataset_where_everything_failed(self):
        selection, coverage = parts([failed(make_row(image), "no memory") for image in IMAGES])
        assert summary_table(selection, coverage).column("bpp") == [None] and coverage.text == "0 of 24 images"


class TestCurves:
    def rows(self, points: int, missing: dict[str, list[str]]) -> list[Row]:
        return [make_row(image, point=f"q{p}", bpp=0.1 * 2**p * (1 + index), **quality_of(psnr=30.0 + p, ms_ssim=0.99))
                for p in range(points) for index, image in enumerate(IMAGES[:3])
                if image not in missing.get(f"q{p}", [])]

    def test_incomplete_point_is_left_out_while_four_remain(self):
        selection = select_rows("kodak", self.rows(5, {"q2": IMAGES[:1]}))
        (curve,) = measured_curves(selection, "psnr", 3)
        assert curve.data.meta["points"] == ["q0", "q1", "q3", "q4"]
        assert curve.images == 3 and curve.whole_set
        assert "q2 (2 of 3 images)" in curve.remarks[0]

    def test_otherwise_all_points_go_over_the_shared_images(self):
        selection = select_rows("kodak", self.rows(4, {"q2": IMAGES[:1]}))
        (curve,) = measured_curves(selection, "psnr", 3)
        assert len(curve.rate) == 4 and set(curve.data.per_image) == set(IMAGES[1:3]) and not curve.whole_set
        assert curve.rate == pytest.approx([0.1 * 2**p * 2.5 for p in range(4)])

    def test_points_are_ordered_by_rate(self):
        rows = [make_row(point=f"qp{qp}", bpp=2.0 ** (-qp / 6)) for qp in (22, 42, 32, 27)]
        (curve,) = measured_curves(select_rows("kodak", rows), "psnr", 1)
        assert curve.data.meta["points"] == ["qp42", "qp32", "qp27", "qp22"]
        assert list(curve.rate) == sorted(curve.rate)


TABLE = Table.from_records(
    "demo_table", f"Title {NASTY}",
    (Column("name", f"Head {NASTY}", of=itemgetter(0)), Column("value", "Value", "%", 2, True, "N/A", of=itemgetter(1)),
     Column("remark", "Remark", wide=True, of=itemgetter(2))),
    (("plain", -1.23456789, NASTY), (NASTY, None, "line\nbreak"), ("last", 2.0, None)), notes=(NASTY,),
    warnings=(NASTY,), headings=((2, NASTY),), constants=(("coverage", "1 of 41 images"),),
)


class Cells(HTMLParser):
    """Collects the text of every cell."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip("\n")


class TestRenderers:
    def test_columns_take_their_cells_from_records(self):
        columns = (Column("length", "Length", digits=0, of=len), Column("text", "Text", of=str.upper))
        table = Table.from_records("t", "t", columns, ["a", "bcd"], notes=("n",))
        swapped = Table.from_records("t", "t", columns[::-1], ["a", "bcd"])
        assert table.rows == ((1, "A"), (3, "BCD")) and table.notes == ("n",)
        assert swapped.column("length") == table.column("length")

    def test_csv_reads_back(self):
        read = list(csv.DictReader(io.StringIO(to_csv(TABLE))))
        assert list(read[0]) == ["name", "value", "remark", "coverage", "warning"]
        assert float(read[0]["value"]) == pytest.approx(-1.234568) and read[1]["value"] == ""
        assert read[1]["name"] == NASTY and {line["coverage"] for line in read} == {"1 of 41 images"}

    def test_html_has_the_same_cells(self):
        parser = Cells()
        parser.feed(to_html(TABLE))
        assert parser.rows[1] == ["plain", "−1.23", NASTY]
        assert parser.rows[3] == [NASTY] and parser.rows[4][1] == "+2.00"
        assert "b" not in parser.tags

    def test_markdown_rows_have_equal_cells(self):
        lines = [line for line in to_markdown(TABLE).splitlines() if line.startswith("|")]
        assert len(lines) == 6
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}
        assert "<b>" not in re.sub(r"\\<", "", to_markdown(TABLE))

    def test_latex_has_the_cells_of_its_columns(self):
        text = to_latex(TABLE)
        body = text[text.index(r"\midrule"):text.index(r"\bottomrule")].splitlines()
        for line in (line for line in body if line.endswith(r"\\") and "multicolumn" not in line):
            assert len(re.findall(r"(?<!\\)&", line)) == 2
        assert text.count(r"\begin{") == text.count(r"\end{")

    @pytest.mark.parametrize("character", list("&%$#_{}"))
    def test_latex_escapes(self, character):
        assert escape_latex(f"a{character}b") == f"a\\{character}b"

    def test_latex_leaves_no_bare_special(self):
        bare = re.sub(r"\\[a-zA-Z]+(\{\})?|\\[&%$#_{}]|\$-\$|\{[\[\]]\}", "", escape_latex(NASTY))
        assert not set(bare) & set("&%$#_{}~^\\<>|[]")

    def test_latex_braces_balance(self):
        for table in (TABLE, replace(TABLE, rows=TABLE.rows * 30, headings=())):
            text = re.sub(r"\\[{}\\]", "", to_latex(table))
            assert text.count("{") == text.count("}") > 0

    def test_long_table_breaks_over_pages(self):
        assert r"\begin{longtable}" in to_latex(replace(TABLE, rows=TABLE.rows * 30, headings=()))

    def test_empty_table_is_said_to_be_empty(self):
        empty = replace(TABLE, rows=(), headings=())
        assert "None." in to_markdown(empty) and "None." in to_html(empty) and "(nothing)" in to_text(empty)
        assert len(list(csv.reader(io.StringIO(to_csv(empty))))) == 1
