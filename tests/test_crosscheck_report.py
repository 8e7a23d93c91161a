"""The report of files that were decoded elsewhere, from rows made by hand: counts, sentences, limits, bytes."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest
from crosscheck_samples import IMAGES, SETTINGS, make_row, make_rows, store
from figures import undrawn_figures
from page_samples import build

from bench.common.errors import BenchError
from bench.reports.crosscheck.report import assemble_crosscheck
from bench.reports.crosscheck.tables import TITLES
from bench.results.crosschecks import FAILED, IDENTICAL, LATENTS, OFF_BY_ONE, OUTCOMES, WRONG, Crosscheck
from bench.results.decoding_settings import SETTINGS as KNOWN
from bench.results.rows import Provenance

CODECS = ("hpcm_base_mini", "rwkv_phase4_mini")
GPU = Provenance(device="cuda: Test")


def all_rows() -> list[Crosscheck]:
    """The first format fails in most ways, the second in one, exact files in none."""
    rows = []
    for name in CODECS:
        rows += make_rows([*[WRONG] * 3, *[FAILED] * 20, OFF_BY_ONE, *[OFF_BY_ONE] * 21], name=name, version=1)
        rows += make_rows([*[OFF_BY_ONE] * 22, *[FAILED] * 2], ("same", *SETTINGS), name=name)
        rows += make_rows([*[OFF_BY_ONE] * 20, LATENTS], name=name, exact=True)
    return rows


@pytest.fixture(scope="module")
def report():
    return assemble_crosscheck("kodak", all_rows())


def table_of(report, name: str):
    return next(table for table in report.tables if table.name == name)


def lines_of(table) -> list[dict]:
    keys = [column.key for column in table.columns]
    return [dict(zip(keys, row)) for row in table.rows]


class TestAnswer:
    def test_it_comes_first_with_the_best_files_first(self, report):
        exact, default, before = report.intro[:3]
        assert exact == ("Exact (format 2): 24 of 24 files of each of 2 codecs decode to identical latents under every "
                         "one of 3 other settings tried; nothing was wrong without an error.")
        assert default.startswith("Default (format 2): 24 of 24 files of each of 2 codecs")
        assert before.startswith("Before (format 1): 2 of 48 files of 2 codecs")
        assert "40 of 144 decodings failed with an error, 6 gave a wrong picture without one" in before
        assert report.summary.startswith(exact)

    def test_what_fails_as_it_was_encoded_is_no_fault_of_elsewhere(self, report):
        """The sample's two failures are of the encoder's own setting."""
        default = report.intro[1]
        assert "24 of 24 files of each of 2 codecs" in default and "nothing was wrong" in default
        (warning,) = report.warnings
        assert warning.startswith("4 decodings failed under the encoder's own setting: hpcm_base_mini 0.0067 kodim06")
        (line,) = lines_of(table_of(report, "differing"))
        assert (line["decoded"], line["decodings"], line["codecs"]) == ("same", 4, 2)

    def test_files_tried_under_fewer_settings_are_said(self):
        rows = [make_row(setting=setting) for setting in SETTINGS] + [make_row(image=IMAGES[1])]
        answer = assemble_crosscheck("kodak", rows).intro[0]
        assert "2 of 2 files" in answer and "every other setting that they were tried under, 1 to 3 each" in answer

    @pytest.mark.parametrize(("outcomes", "said"), [
        ([], "24 of 24 files of each of 2 codecs"), ([FAILED], "1 of 144 decodings failed with an error, nothing"),
        ([WRONG], "1 of 144 decodings gave a wrong picture without an error"), ([FAILED], "47 of 48 files of 2 codecs"),
        ([FAILED, WRONG], "1 of 144 decodings failed with an error, 1 gave a wrong picture without one"),
    ])
    def test_every_fault_is_said(self, outcomes, said):
        rows = [*make_rows(outcomes, name=CODECS[0]), *make_rows(name=CODECS[1])]
        assert said in assemble_crosscheck("kodak", rows).intro[0]

    def test_a_wrong_picture_of_todays_files_is_a_warning(self, report):
        assert not [text for text in report.warnings if "wrong" in text]
        (warning,) = assemble_crosscheck("kodak", make_rows([WRONG], name=CODECS[0])).warnings
        assert "1 decoding gave a wrong picture" in warning and "hpcm_base_mini 0.0018 kodim01.png" in warning

    def test_pixels_are_told_apart_from_latents(self, report):
        text = next(text for text in report.intro if "every pixel" in text)
        rows = [row for row in all_rows() if row.format == 2 and row.decoder_setting != "same"]
        found = Counter(row.outcome for row in rows)
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        assert numbers == [len(rows), found[IDENTICAL], found[OFF_BY_ONE], found[LATENTS]]


class TestLimits:
    def limits_of(self, rows) -> str:
        return next((text for text in assemble_crosscheck("kodak", rows).intro if text.startswith("Not tried")), "")

    def test_what_was_not_tried_is_named(self, report):
        text = self.limits_of(all_rows())
        assert "a GPU" in text and "a second processor" in text and "another version of torch than 2.11.0" in text
        for name in KNOWN:
            assert (f"{name} (" in text) == (name not in (*SETTINGS, "same", "cuda", "threads-1"))  # that is usual

    def test_nothing_is_left_out_that_was_tried(self):
        rows = [*make_rows(), *make_rows(settings=("cuda",), provenance=GPU)]
        assert "a GPU" not in self.limits_of(rows) and "a second processor" in self.limits_of(rows)
        rows += make_rows(settings=("same",), provenance=Provenance(device="cpu: Other", libraries={"torch": "2.12"}))
        rows += make_rows(settings=[name for name in KNOWN if name not in ("same", "cuda")])
        assert self.limits_of(rows) == ""


class TestTables:
    @pytest.mark.parametrize(("name", "version", "exact"), [
        ("matrix_before_default", 1, False), ("matrix_default_2", 2, False), ("matrix_exact_2", 2, True)])
    def test_counts_of_the_matrix(self, report, name, version, exact):
        rows = [row for row in all_rows() if (row.format, row.exact) == (version, exact)]
        for line in lines_of(table_of(report, name)):
            own = [row for row in rows if row.decoder_setting == line["decoded"]]
            assert line["decodings"] == len(own) > 0
            assert line["latents_alike"] == sum(bool(row.latents_match) for row in own)
            for outcome in OUTCOMES:
                assert line[outcome.replace(" ", "_")] == sum(row.outcome == outcome for row in own)
        assert sum(table_of(report, name).column("decodings")) == len(rows)

    def test_the_encoder_is_named_once_or_in_each_line(self, report):
        assert table_of(report, "matrix_exact_2").notes == ("All were encoded under same.",)
        rows = [*make_rows(), *make_rows(encoder_setting="scalar")]
        table = assemble_crosscheck("kodak", rows).main_table
        lines = {(line["encoded"], line["decoded"]) for line in lines_of(table)}
        assert lines == {(encoder, decoder) for encoder in ("same", "scalar") for decoder in SETTINGS}

    def test_machines_have_letters_where_there_are_several(self):
        report = assemble_crosscheck("kodak", [*make_rows(), *make_rows(settings=("cuda",), provenance=GPU)])
        assert table_of(report, "matrix_default_2").column("decoded") == [f"{name} on A" for name in SETTINGS] + [
            "cuda on B"]
        machines = lines_of(table_of(report, "machines"))
        assert [(line["letter"], line["decodings"]) for line in machines] == [("A", 72), ("B", 24)]
        assert machines[1]["name"] == "cuda: Test" and machines[0]["encoded"] == 24

    def test_files_of_the_same_bytes_are_counted_apart(self):
        rows = [*make_rows(stream_sha256="1"), *make_rows(stream_sha256="1", exact=True)]
        assert table_of(assemble_crosscheck("kodak", rows), "machines").column("encoded") == [48]

    def test_a_line_for_each_codec_with_its_files_side_by_side(self, report):
        lines = lines_of(table_of(report, "codecs"))
        assert [line["codec"] for line in lines] == ["HPCM_BASE_MINI (miniature)", "RWKV_PHASE4_MINI (miniature)"]
        for line in lines:
            assert [line[f"exact_2_{key}"] for key in ("decodes", "files", "failed", "wrong")] == ["yes", "24/24", 0, 0]
            assert [line[f"default_2_{key}"] for key in ("decodes", "files")] == ["yes", "24/24"]
            assert [line[f"before_default_{key}"] for key in ("decodes", "files", "failed", "wrong")] == [
                "no", "1/24", 20, 3]

    def test_codecs_that_lack_a_way_or_were_hardly_tried(self):
        rows = [*make_rows(images=IMAGES[:1]), *make_rows(name=CODECS[1], exact=True)]
        lines = lines_of(table_of(assemble_crosscheck("kodak", rows), "codecs"))
        assert [(line["codec"], line["exact_2_decodes"], line["default_2_decodes"]) for line in lines] == [
            ("HPCM_BASE_MINI (miniature)", None, "too few tried"), ("RWKV_PHASE4_MINI, exact (miniature)", "yes", None)]

    def test_every_count(self, report):
        found = {(line["codec"], line["files_written"]): line for line in lines_of(table_of(report, "counts"))}
        assert len(found) == 6
        exact = found["HPCM_BASE_MINI, exact (miniature)", "Exact (format 2)"]
        assert exact["settings"] == 3 and exact["files"] == exact["files_alike"] == 24
        before = found["RWKV_PHASE4_MINI (miniature)", "Before (format 1)"]
        assert (before["files_alike"], before["failed"], before["wrong"], before["off_by_one"]) == (1, 20, 3, 22)

    def test_what_differs_is_named_with_its_error(self, report):
        lines = lines_of(table_of(report, "differing_before"))
        assert [(line["decodings"], line["codecs"]) for line in lines] == [(6, 2), (40, 2)]
        assert {line["outcome"] for line in lines} == {TITLES[WRONG], TITLES[FAILED]}
        failed = next(line for line in lines if line["outcome"] == TITLES[FAILED])
        assert failed["error"] == "LatentsMismatch: the latents are others than were coded"
        assert failed["largest_difference"] is None and "and 37 more" in failed["examples"]
        assert next(line for line in lines if line["outcome"] == TITLES[WRONG])["largest_difference"] == 90

    def test_settings_say_what_they_set(self, report):
        lines = {line["setting"]: line for line in lines_of(table_of(report, "settings"))}
        assert set(lines) == {"same", *SETTINGS}
        assert lines["scalar"]["sets"] == "ATEN_CPU_CAPABILITY=default, ONEDNN_MAX_CPU_ISA=SSE41, threads 2, device cpu"
        assert lines["same"]["decodings"] == 48 and lines["same"]["sets"] is None
        later = assemble_crosscheck("kodak", [make_row(setting="sse9")])
        assert "sse9" in table_of(later, "settings").column("setting")

    def test_codecs_that_tell_no_latents_are_apart(self):
        rows = make_rows([OFF_BY_ONE] * 2, name="jpeg", version=None, latents_match=None)
        report = assemble_crosscheck("kodak", [*rows, *make_rows()])
        table = table_of(report, "matrix_others")
        assert table.column("latents_alike") == [22, 24, 24]
        assert "72 decodings don't tell their latents." in table.notes
        assert "22 of 24 files of 1 codec decode to identical pixels (they don't tell their latents)" in report.intro[0]
        mixed = assemble_crosscheck("kodak", make_rows(name="jpeg", version=None, latents_match=None) + make_rows(
            version=None))
        assert "24 of 24 files of each of 2 codecs decode to identical latents (pixels, where" in mixed.intro[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("crosscheck")
    build("crosscheck", store(root / "results", all_rows()), root / "reports")
    return root


class TestFiles:
    def test_same_rows_same_bytes(self, folder, tmp_path):
        build("crosscheck", folder / "results", tmp_path)
        digests = [{path.relative_to(root): hashlib.sha256(path.read_bytes()).hexdigest()
                    for path in root.rglob("*") if path.is_file()} for root in (folder / "reports", tmp_path)]
        assert digests[0] == digests[1] and len(digests[0]) > 20

    def test_every_decoding_is_in_a_file(self, folder):
        with (folder / "reports/crosscheck/kodak/tables/decodings.csv").open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        assert Counter(line["outcome"] for line in lines) == Counter(row.outcome for row in all_rows())

    def test_page_and_readme(self, folder):
        folder = folder / "reports/crosscheck/kodak"
        page, readme = (folder / "index.html").read_text(), (folder / "README.md").read_text()
        assert re.findall(r'src="([^"]+)"', page) == ["figures/outcomes.png"]
        assert "Test <CPU>" not in page and "Test &lt;CPU&gt; &amp; Co" in page
        for target in re.findall(r"(?<!\\)\]\(([^)]+)\)", readme):
            assert (folder / target).exists(), target
        assert readme.index("Exact (format 2): 24 of 24") < readme.index("Before (format 1): 2 of 48")

    def test_damage_and_emptiness_are_named(self, tmp_path):
        results = store(tmp_path, [make_row()])
        path = tmp_path / "crosscheck" / "kodak" / "hpcm_base_mini.jsonl"
        path.write_text(path.read_text() + path.read_text().replace('"pixels_total":393216', '"pixels_total":"many"'))
        with pytest.raises(BenchError, match=r"hpcm_base_mini.jsonl, line 2: field 'pixels_total'"):
            build("crosscheck", results, tmp_path / "reports")
        with pytest.raises(BenchError, match="holds nothing for a report of crosscheck"):
            build("crosscheck", tmp_path / "empty", tmp_path / "reports")

    def test_many_rows_make_a_light_page(self, tmp_path):
        rows = [row for number in range(22) for exact in (False, True)
                for row in make_rows([FAILED, WRONG] * 36, name=f"codec{number}_mini", exact=exact)]
        with undrawn_figures():
            build("crosscheck", store(tmp_path, rows), tmp_path / "reports")
        assert (tmp_path / "reports/crosscheck/kodak/index.html").stat().st_size < 200_000
