"""The front page, its machine-readable answer and the terminal's table: figures, marks, links, damage, lightness."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from figures import undrawn_figures
from msgspec.structs import replace
from page_samples import build
from scipy.integrate import quad
from scipy.interpolate import PchipInterpolator
from test_report import make_rows, store

from bench.claims.catalogue import load_claims
from bench.claims.change import Change
from bench.common.errors import BenchError
from bench.curves.anchors.catalogue import list_anchors, load_anchor, load_curve
from bench.metrics import bd_rate
from bench.reports.front.answer import (
    CLASSICAL,
    Answer,
    AnswerDataset,
    AnswerRow,
    BDRate,
    Rate,
    choose_cost,
    read_answer,
)
from bench.reports.front.assembly import make_answer
from bench.reports.front.report import make_front_report
from bench.reports.front.sentence import make_sentence
from bench.reports.front.tables import classical_table, spread_table, variant_table
from bench.reports.front.text import MINIATURES, WIDTH, format_answer, format_changes
from bench.reports.kinds import LOCAL, REPORTS, build_reports, place_report
from bench.reports.page.render import to_markdown
from bench.results.rows import Provenance
from bench.results.stored import StoredResults
from tests import crosscheck_samples, latency_samples

ROOT = Path(__file__).parents[1]
DATASETS = ("kodak", "clic2020", "tecnick", "sample")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Codecs that differ by exactly their rate factors on Kodak, the sample, a folder; two variants timed twice."""
    folder = tmp_path_factory.mktemp("front") / "results"
    codecs = (("vvenc", 1.0, False), ("webp", 1.3, False), ("hpcm_base_mini", 0.8, True))
    for dataset, total in (("kodak", 24), ("sample", 24), ("pictures", None)):
        rows = [row for name, factor, miniature in codecs
                for row in make_rows(name, factor, dataset=dataset, total=total, miniature=miniature)]
        others = [replace(row, name="rwkv_phase1_mini", label="RWKV-1", key="r" + row.key, series="r" + row.series,
                          bpp=0.9 * row.bpp) for row in rows if row.miniature]
        store(folder, [*rows, *others])
    for device, factor, month in (("old", 1.5, 1), ("new", 3, 2)):
        values = {"device": f"cpu: {device}", "provenance": Provenance(device=f"cpu: {device}"),
                  "measured_at": f"2026-0{month}-01T00:00:00+00:00"}
        rows = [*latency_samples.both("hpcm_base", **values),
                *latency_samples.both("rwkv_phase1", 0.1 * factor, 0.2 * factor, **values)]
        only_new = latency_samples.both("hpcm_large", **values) if device == "new" else []
        latency_samples.store(folder, [*rows, *only_new], f"cpu-{device}")
    return folder


@pytest.fixture(scope="module")
def answer(results: Path) -> Answer:
    return make_answer(StoredResults(results))


def row_of(answer: Answer, name: str) -> AnswerRow:
    return next(row for row in answer.rows if row.name == name)


def integrate_bd_rate(dataset: str, name: str) -> float:
    """BD-rate in percent against the dataset's anchor, by quadrature of scipy's interpolators."""
    curves = [load_anchor(dataset, list_anchors(dataset)[0]), load_curve(dataset, name)]
    points = [sorted(zip(curve.points.on_curve("psnr"), curve.bpp)) for curve in curves]
    low, high = max(one[0][0] for one in points), min(one[-1][0] for one in points)
    log_rates = [PchipInterpolator(qualities, np.log(rates)) for qualities, rates in (zip(*one) for one in points)]
    area = quad(lambda quality: log_rates[1](quality) - log_rates[0](quality), low, high, limit=500, epsabs=1e-10)[0]
    return 100 * float(np.expm1(area / (high - low)))


class TestFigures:
    @pytest.mark.parametrize("dataset", ["kodak", "clic2020", "tecnick"])
    @pytest.mark.parametrize(("variant", "curve"), [("hpcm_base", "hpcm-base-mse"), ("hpcm_large", "hpcm-large-mse")])
    def test_published_points_are_integrated(self, answer, dataset, variant, curve):
        rate = row_of(answer, variant).rates[dataset]
        assert rate.origin == "published" and rate.versus_anchor.interval is None
        assert rate.versus_anchor.percent == pytest.approx(integrate_bd_rate(dataset, curve), abs=1e-3)

    @pytest.mark.parametrize(("variant", "curve"), [
        ("hpcm_base_ms_ssim", "hpcm-base-ms-ssim"), ("hpcm_large_ms_ssim", "hpcm-large-ms-ssim")])
    def test_what_is_trained_for_ms_ssim_is_compared_by_it(self, answer, variant, curve):
        """Apart from the variant trained for MSE, and never as the best saving by PSNR."""
        rate = row_of(answer, variant).rates["kodak"]
        sides = (load_curve("kodak", name).curve("ms-ssim") for name in ("vtm-22.2-measured-8bit", curve))
        assert rate.versus_anchor.by == "MS-SSIM" and rate.origin == "published"
        assert rate.versus_anchor.percent == pytest.approx(bd_rate(*sides).value, abs=1e-6)
        assert row_of(answer, variant).costs == row_of(answer, variant.removesuffix("_ms_ssim")).costs
        shown = format_answer(answer, ["kodak"])
        assert f"−{abs(rate.versus_anchor.percent):.1f} MS-SSIM *" in shown
        assert "MS-SSIM" not in make_sentence(answer.datasets, answer.rows, [])

    def test_measured_codecs_differ_by_their_rate_factors(self, answer):
        """Where no VVC curve is published VVenC is the anchor; miniatures are compared with that of the baseline."""
        webp, mini = row_of(answer, "webp").rates["sample"], row_of(answer, "rwkv_phase1_mini").rates["sample"]
        assert answer.find_dataset("sample").anchor == "VVenC" and webp.origin == "measured"
        assert webp.versus_anchor.percent == pytest.approx(30) and webp.versus_base is None
        assert mini.versus_base.percent == pytest.approx(-10)
        low, high = mini.versus_base.interval
        assert low <= mini.versus_base.percent <= high

    def test_both_numbers_stand_side_by_side(self, answer, tmp_path):
        """Here all images need the same factor, so that both are it; one image that needs less parts them."""
        rate = row_of(answer, "webp").rates["sample"].versus_anchor
        assert rate.images_percent == pytest.approx(rate.percent) == pytest.approx(30) and rate.remark == ""
        rows = make_rows("vvenc", dataset="sample", total=24)
        largest = max(rows, key=lambda row: row.bpp).image
        outlier = [replace(row, name="webp", label="WebP", key="w" + row.key, series="w" + row.series,
                           bpp=row.bpp * (0.05 if row.image == largest else 1.02)) for row in rows]
        found = make_answer(StoredResults(store(tmp_path, [*rows, *outlier])))
        parted = row_of(found, "webp").rates["sample"].versus_anchor
        assert parted.median_percent == pytest.approx(2) and parted.without_one[1] == pytest.approx(2)
        assert parted.percent < 0 and f"{largest} alone" in parted.remark
        (line,) = [line for line in to_markdown(spread_table(found)).splitlines() if line.startswith("| WebP ")]
        assert f"{largest} alone" in line.replace("\\", "") and "+2.00" in line
        text = format_answer(found, ["sample"])
        assert f"/{parted.images_percent:+.1f}".replace("-", "−") in text and "part by more than" in text

    def test_measured_points_go_before_published_ones(self, tmp_path):
        rows = [replace(row, name="hpcm_base", label="HPCM-Base", codec="learned", key="h" + row.key,
                        series="h" + row.series, bpp=0.5 * row.bpp) for row in make_rows("vvenc")]
        found = make_answer(StoredResults(store(tmp_path, [*make_rows("vvenc"), *rows])))
        kodak, clic = (row_of(found, "hpcm_base").rates[name] for name in ("kodak", "clic2020"))
        assert (kodak.origin, kodak.images, clic.origin) == ("measured", 24, "published")
        assert row_of(found, "vvenc").rates["kodak"].versus_base.percent == pytest.approx(100)

    def test_a_rate_against_published_points_rests_on_them(self, tmp_path):
        """Of a measured codec too; VVC's curves are always published and said once."""
        vvenc = make_rows("vvenc", points=4)
        base = [replace(row, name="hpcm_base", label="HPCM-Base", codec="learned", key="h" + row.key,
                        series="h" + row.series) for row in vvenc]
        for name, rows, rests in (("published", vvenc, True), ("measured", [*vvenc, *base], False)):
            found = make_answer(StoredResults(store(tmp_path / name, rows)))
            rate = row_of(found, "vvenc").rates["kodak"]
            assert (rate.versus_base.published, rate.versus_anchor.published) == (rests, False)
            lines = format_answer(found, ["kodak"], ["vvenc"]).splitlines()
            assert next(line for line in lines if line.startswith("VVenC")).count("*") == rests
            assert any(line.startswith("*: ") for line in lines) == rests
            assert ("HPCM-Base (published points)" in " ".join(" ".join(lines).split())) == rests

            (line,) = [line for line in to_markdown(classical_table(found)).splitlines() if line.startswith("| VVenC")]
            assert line.count(r"\*") == rests

    def test_times_are_against_the_base_of_the_same_device_the_newest_first(self, answer):
        costs = row_of(answer, "rwkv_phase1").costs
        assert [(cost.device, round(cost.decode_ratio, 6)) for cost in costs] == [("cpu: new", 3), ("cpu: old", 1.5)]
        assert choose_cost(row_of(answer, "rwkv_phase1"), "cpu: old").decode_s == pytest.approx(0.2 * 1.5, rel=0.05)
        assert row_of(answer, "hpcm_base").costs[0].decode_ratio == 1 and costs[0].parameters == 68_505_299

    @pytest.mark.parametrize(("uncounted", "told"), [("aten.avg_pool2d", "500"), ("theirs.scan", "≥ 500")])
    def test_operations_that_were_not_all_counted_are_marked(self, tmp_path, uncounted, told):
        folder = latency_samples.store(tmp_path, latency_samples.both("hpcm_base", uncounted=(uncounted,)))
        found = make_answer(StoredResults(folder))
        (line,) = [line for line in to_markdown(variant_table(found)).splitlines() if line.startswith("| HPCM-Base |")]
        assert told in [cell.strip() for cell in line.split("|")]
        assert f" {told} " in f"{format_answer(found, [], ['hpcm_base'])} "

    def test_variant_that_is_only_trained_otherwise_has_the_costs_of_its_model(self, answer):
        balanced, base = row_of(answer, "balanced_phase1"), row_of(answer, "hpcm_base")
        assert balanced.costs == base.costs and balanced.costs[0].model == "hpcm_base"

    def test_claims_are_counted_by_verdict(self, answer):
        for row in answer.rows:
            about = [claim.verdict for claim in answer.claims if claim.codec == row.name]
            assert row.supported + row.refuted + row.open == len(about)
            assert row.refuted == about.count("REFUTED")
        assert sum(row.supported for row in answer.rows) > 5  # published points and parameters come out again


class TestFile:
    def test_round_trip(self, answer, tmp_path):
        (tmp_path / "answer.json").write_bytes(answer.to_bytes())
        assert read_answer(tmp_path / "answer.json") == answer

    @pytest.mark.parametrize(("damage", "field"), [
        (lambda values: values["rows"][0].update(costs="none"), "rows[0].costs"),
        (lambda values: values["rows"][0]["rates"]["kodak"]["versus_anchor"].update(percent="x"),
         "rows[0].rates[...].versus_anchor.percent"),
        (lambda values: values["rows"][1].update(nmae="x"), "nmae"),
        (lambda values: values["claims"][2].pop("verdict"), "claims[2]"),
        (lambda values: values["datasets"].pop(0), "rows[0].rates"),
        (lambda values: values["rows"][1].update(name=values["rows"][0]["name"]), "rows[1].name"),
        (lambda values: values.pop("schema"), "schema"),
        (lambda values: values.update(schema=99), "99"),
    ])
    def test_damage_is_named(self, answer, tmp_path, damage: Callable, field: str):
        values = json.loads(answer.to_bytes())
        damage(values)
        (tmp_path / "answer.json").write_text(json.dumps(values))
        with pytest.raises(BenchError, match=re.escape(field)) as raised:
            read_answer(tmp_path / "answer.json")
        assert "bench report" in raised.value.hint

    def test_missing_and_torn_files_are_errors(self, answer, tmp_path):
        for content in (None, answer.to_bytes()[:1000], b"\xff", b"[" * 100_000):
            if content is not None:
                (tmp_path / "answer.json").write_bytes(content)
            with pytest.raises(BenchError, match="answer.json"):
                read_answer(tmp_path / "answer.json")

    def test_reading_and_printing_is_light(self, answer, tmp_path):
        (tmp_path / "answer.json").write_bytes(answer.to_bytes())
        program = ("import sys; from pathlib import Path; from bench.reports.front.answer import read_answer; "
                   "from bench.reports.front.text import format_answer, format_changes; "
                   "found = read_answer(Path(sys.argv[1])); print(format_answer(found, ['kodak'])); "
                   "format_changes(found); print([name for name in ('numpy', 'pandas', 'matplotlib', 'scipy', 'torch', "
                   "'jinja2', 'yaml') if name in sys.modules])")
        ran = subprocess.run([sys.executable, "-c", program, tmp_path / "answer.json"], cwd=ROOT, check=True,
                             capture_output=True, text=True)
        assert ran.stdout.splitlines()[-1] == "[]" and "HPCM-Base" in ran.stdout


class TestTerminal:
    @pytest.mark.parametrize("datasets", [["kodak"], ["sample"], ["kodak", "clic2020", "tecnick"], list(DATASETS)])
    def test_lines_are_short_and_the_answer_comes_first(self, answer, datasets):
        lines = format_answer(answer, datasets).splitlines()
        assert max(map(len, lines)) <= WIDTH
        assert lines[0].startswith("On ")

    def test_miniatures_stand_apart(self, answer):
        above, below = format_answer(answer, ["kodak"]).split(MINIATURES)
        full = [line for line in above.splitlines() if line.startswith("RWKV-1")]
        assert len(full) == 1 and "3.00" in full[0] and "−10.0" not in full[0]
        assert "−10.0" in next(line for line in below.splitlines() if line.startswith("RWKV-1"))

    def test_published_points_are_marked(self, answer):
        line = next(line for line in format_answer(answer, ["kodak"]).splitlines() if line.startswith("HPCM-Large"))
        assert line.count("*") == 2 and "*" not in next(
            line for line in format_answer(answer, ["kodak"]).splitlines() if line.startswith("WebP"))

    def test_chosen_codec_is_shown_alone_with_its_claims(self, answer):
        shown = format_answer(answer, ["kodak"], ["rwkv_phase1"])
        flat = " ".join(shown.split())
        about = [claim.name for claim in load_claims().values() if claim.variant == "rwkv_phase1"]
        verdicts = {claim.name: claim.verdict for claim in answer.claims if claim.codec == "rwkv_phase1"}
        assert about and [name for name in about if not re.search(f"{verdicts[name]} {name}(:| on )", flat)] == []
        assert "WebP" not in shown and MINIATURES not in shown

    def test_set_without_vvc_shows_what_was_measured_on_it(self, answer):
        shown = format_answer(answer, ["sample"])
        assert "WebP" in shown and "HPCM-Large" not in shown.partition(MINIATURES)[0]

    def test_partial_sets_and_mismatches_are_marked(self, tmp_path):
        rows = make_rows("vvenc", images=("kodim01.png", "kodim02.png"))
        found = make_answer(StoredResults(store(tmp_path, [replace(rows[0], decode_matches=False), *rows[1:]])))
        for datasets in (["kodak"], ["kodak", "tecnick"]):
            shown = format_answer(found, datasets)
            assert "2 of 24 images" in shown and "warning: Kodak: on 1 image" in shown
        report = make_front_report(StoredResults(tmp_path), ())
        assert "Kodak (2 of 24 images) vs VVC" in report.main_table.columns[1].title and "Kodak" in report.warnings[0]

    def test_sentence_is_about_the_best_that_was_measured(self, answer):
        def make_row(label: str, origin: str, percent: float) -> AnswerRow:
            rate = Rate(origin=origin, points=4, versus_anchor=BDRate(percent=percent),
                        versus_base=BDRate(percent=percent / 2))
            return AnswerRow(name=label, label=label, rates={"kodak": rate})

        rows = [make_row("Paper", "published", -30), make_row("Good", "measured", -12), make_row("Bad", "measured", 4)]
        best, paper, bad = (make_sentence(answer.datasets, some, ()) for some in (rows, rows[:1], rows[2:]))
        assert best == ("On Kodak, Good saves 12.0 % of the rate of VTM 22.2, saves 6.0 % of the rate of HPCM-Base; "
                        "no claim is about it.")
        assert "Paper saves 30.0 % of the rate of VTM 22.2 (published points)" in paper
        assert "Bad needs 4.0 % more rate than VTM 22.2" in bad

    @pytest.mark.parametrize(("codecs", "said"), [
        (["hpcm_base_mini"], "On Kodak, HPCM-Base (miniature) is what others are compared with; "),
        (["hpcm_base_mini", "vvenc"], "On Kodak, VVenC needs "),
        (["rwkv_phase1_mini"], "On Kodak, RWKV-1 (miniature) saves 10.0 % of the rate of HPCM-Base (miniature); "),
        (["rwkv_phase1_mini", "hpcm_base_mini"], "On Kodak, RWKV-1 (miniature) saves 10.0 % "),
        (["rwkv_phase1"], "No BD-rate is known yet; ")])
    def test_sentence_is_about_the_rows_below_it(self, answer, codecs, said):
        assert " ".join(format_answer(answer, ["kodak"], codecs).split()).startswith(said)

    def test_sentence_without_vvc_is_about_the_baseline(self):
        """On a folder where HPCM-Base was measured beside one's own model, and where little quality is shared."""
        def make_row(label: str, percent: float | None, **values) -> AnswerRow:
            versus = None if percent is None else BDRate(percent=percent)
            return AnswerRow(name=label, label=label, rates={"own": Rate(origin="measured", points=4,
                                                                         versus_base=versus)}, **values)

        own = AnswerDataset(name="own", title="own", base="HPCM-Base", base_miniature="Small")
        base, mine = make_row("HPCM-Base", 0.0), make_row("Mine", -5.0)
        assert make_sentence([own], [base, mine], ()).startswith("On own, Mine saves 5.0 % of the rate of HPCM-Base;")
        assert make_sentence([own], [base], ()).startswith("On own, HPCM-Base is what others are compared with;")
        far, small = make_row("Far", None, miniature=True), make_row("Small", 0.0, miniature=True)
        assert make_sentence([own], [small, far], ()).startswith(
            "On own, Small is what others are compared with; no BD-rate is known of Far;")

    def test_each_column_says_its_set_and_anchor(self, answer):
        """Where the sample stands in for a benchmark, its VVenC is not called by the benchmark's anchor."""
        above = format_answer(answer, ["sample", "clic2020"]).partition("----")[0].splitlines()
        sets, versus = (re.split(r"\s{2,}", line.strip()) for line in above[-2:])
        assert [pair for pair in zip(sets, versus) if pair[0] in DATASETS] == [
            ("sample", "vs VVenC"), ("clic2020", "vs VVC"), ("clic2020", "vs base")]
        for column in (*variant_table(answer).columns, *classical_table(answer).columns):
            if column.key.startswith("bd_rate"):
                name = column.key.removeprefix("bd_rate_").partition("_versus")[0]
                assert answer.find_dataset(name).heading in column.title

    def test_what_there_is_nothing_to_compare_with_is_named(self, answer):
        alone = AnswerDataset(name="alone", title="Alone", base_miniature="Small")
        rate = Rate(origin="measured", points=4)
        rows = (AnswerRow(name="jpeg", label="JPEG", line=CLASSICAL, rates={"alone": rate}),
                AnswerRow(name="small", label="Small", miniature=True,
                          rates={"alone": replace(rate, versus_base=BDRate(percent=0.0))}))
        shown = format_answer(replace(answer, datasets=(alone,), rows=rows, claims=()), ["alone"], ["jpeg", "small"])
        assert "JPEG: measured, but there is nothing to compare with" in shown
        bare = replace(alone, base_miniature="")
        assert "BD-rate by" not in format_answer(replace(answer, datasets=(bare,), rows=rows[:1], claims=()), ["alone"])
        assert "saves" not in shown and "No claim is about" not in shown

    def test_unknown_names_are_passed_over(self, answer):
        assert "No claim is about mine." in format_answer(answer, ["nowhere"], ["mine"])

    def test_this_machines_times_go_first(self, answer):
        for machine, ratio, device in (("cpu: here | cpu: old", "1.50", "cpu: old"), ("", "3.00", "cpu: new")):
            shown = format_answer(answer, ["kodak"], ["rwkv_phase1"], machine)
            assert ratio in shown and f"decode: {device}, 768x512" in shown

    def test_what_another_device_measured_is_named(self, answer):
        flat = " ".join(format_answer(answer, ["kodak"], machine="cpu: old").split())
        large = "HPCM-Large, HPCM-Large for MS-SSIM"
        assert f"cpu: new, 768x512, synthetic weights ({large}); cpu: old, 768x512, synthetic weights (all" in flat

    def test_changes_are_listed_worse_first_and_by_codec(self, answer):
        changes = tuple(Change(kind="rate", what=what, before="1", after="2", worse=worse, reason="images",
                                     codec=what) for what, worse in (("webp", False), ("jpeg", True)))
        changed = replace(answer, changes=changes, compared=True)
        shown = format_changes(changed)
        assert shown.index("WORSE: rate of jpeg") < shown.index("better: rate of webp")
        assert "jpeg" not in format_changes(changed, ["webp"])
        assert "nothing got" in format_changes(replace(changed, changes=()))
        assert "--accept" in format_changes(replace(changed, changes=(), compared=False))


@pytest.fixture(scope="module")
def written(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All reports in one folder."""
    folder = tmp_path_factory.mktemp("reports")
    with undrawn_figures():
        for kind in REPORTS:
            if REPORTS.get(kind).find(StoredResults(results)):
                build(kind, results, folder)
    return folder


class TestOwnFolders:
    """A user's own pictures have a front page of their own, which git ignores; the shared one doesn't know them."""

    def test_they_are_not_in_the_shared_answer(self, answer, written):
        assert answer.find_dataset("pictures") is None and not any("pictures" in row.rates for row in answer.rows)
        for name in ("README.md", "index.html", "answer.json", "files.json"):
            assert "pictures" not in (written / name).read_text()

    def test_their_page_has_rates_links_and_a_way_back(self, results, written):
        own = read_answer(written / LOCAL / "answer.json")
        assert own == make_answer(StoredResults(results), own=True)
        assert [dataset.name for dataset in own.datasets] == ["pictures"]
        assert row_of(own, "webp").rates["pictures"].versus_anchor.percent == pytest.approx(30)
        shown = format_answer(own, ["pictures"])
        assert "WebP" in shown and "HPCM-Large" not in shown.partition(MINIATURES)[0]

        page = (written / LOCAL / "README.md").read_text()
        assert "### Variants, full width" not in page and "no claim is about it." in page  # none was measured there
        line, spread = [line for line in page.splitlines() if line.startswith("| WebP")]
        assert spread.count("+30.00") == 3  # averaged, mean, median
        assert "+30.00" in line and "| pictures vs VVenC" in page
        links = [link for link in re.findall(r"\]\(([^)#]+)\)", page) if not link.startswith("http")]
        assert {"pictures/README.md", "../README.md"} <= set(links)
        assert [link for link in links if not (written / LOCAL / link).exists()] == []

    def test_their_rows_leave_the_shared_reports_as_they_are(self, results, written, tmp_path):
        """The manifests too, which say what a report was made from."""
        shutil.copytree(results, tmp_path / "results")
        shutil.copytree(written, tmp_path / "reports")
        added = make_rows("jpeg", 1.5, dataset="elsewhere", total=None)
        store(tmp_path / "results", added)
        shutil.copytree(tmp_path / "results" / "elsewhere", tmp_path / "results" / "reproduction" / "elsewhere")
        for kind in REPORTS:
            if kind != LOCAL and (names := shared_pages(kind, tmp_path / "results")):
                reports = build_reports(kind, StoredResults(tmp_path / "results"), tmp_path / "reports", names)
                assert [report.name for report in reports if not report.unchanged] == []
        build(LOCAL, tmp_path / "results", tmp_path / "reports")
        assert "](elsewhere/README.md)" in (tmp_path / "reports" / LOCAL / "README.md").read_text()


def shared_pages(kind: str, results: Path) -> list[str]:
    """Names of pages that are not of a user's own folder."""
    return [name for name in REPORTS.get(kind).find(StoredResults(results))
            if not place_report(kind, name).startswith(LOCAL)]


class TestPage:
    def test_everything_that_it_links_is_there(self, written):
        pages = {name: (written / name).read_text() for name in ("README.md", "index.html")}
        links = {"README.md": re.findall(r"\]\(([^)#]+)\)", pages["README.md"]),
                 "index.html": re.findall(r"""(?:href|src)="([^"#]+)\"""", pages["index.html"])}
        for found in links.values():
            local = [link for link in found if not link.startswith("http")]
            assert [link for link in local if not (written / link).exists()] == []
            assert {"kodak", "sample", "latency", "claims"} <= {link.split("/")[0] for link in local}
            assert any(link.endswith(".png") for link in local)

    def test_it_is_the_answer_that_stands_in_the_file(self, written, answer):
        assert read_answer(written / "answer.json") == answer
        readme = (written / "README.md").read_text()
        assert readme.index("HPCM-Large") < readme.index("rd_psnr") < readme.index("](claims/README.md)")
        assert readme.index("](claims/README.md)") < readme.index("| RWKV-1 (miniature) |")

    def test_same_rows_same_bytes(self, written, results, tmp_path):
        again = build("front", results, tmp_path)
        assert all(path.read_bytes() == (written / path.relative_to(tmp_path)).read_bytes() for path in again)


@pytest.fixture(scope="module")
def crosschecked(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of one miniature two of 24 files fail by default, and a full-width variant gives a wrong picture."""
    folder = tmp_path_factory.mktemp("crosschecked") / "results"
    shutil.copytree(results, folder)
    rows = [*crosscheck_samples.make_rows(["failed"] * 2), *crosscheck_samples.make_rows(exact=True),
            *crosscheck_samples.make_rows(["failed"] * 72, version=1),
            *crosscheck_samples.make_rows(["wrong"], ("scalar",), name="rwkv_phase1")]
    return crosscheck_samples.store(folder, rows)


class TestElsewhere:
    def test_files_are_counted_by_configuration_without_the_first_format(self, crosschecked):
        found = row_of(make_answer(StoredResults(crosschecked)), "hpcm_base_mini").elsewhere
        assert list(found) == ["default", "exact"]
        assert (found["default"].alike, found["default"].files, found["default"].settings) == (22, 24, 3)
        assert (found["exact"].alike, found["exact"].files, found["exact"].wrong) == (24, 24, 0)

    def test_the_page_shows_and_links_them(self, crosschecked, tmp_path):
        with undrawn_figures():
            build("front", crosschecked, tmp_path)
        text = (tmp_path / "README.md").read_text()
        assert "| 22/24, exact 24/24 |" in text and "| 23/24 |" in text
        assert text.count("under all other settings of decoding (3)") == 1
        assert text.count("under all other settings of decoding (1)") == 1
        assert "(crosscheck/kodak/README.md)" in text
        assert "**Warning:** Files came out wrong elsewhere, without an error, of RWKV-1." in text
        again = read_answer(tmp_path / "answer.json")
        assert row_of(again, "rwkv_phase1").elsewhere["default"].wrong == 1

    def test_nothing_is_shown_without_rows(self, answer, results):
        assert not any(row.elsewhere for row in answer.rows)
        report = make_front_report(StoredResults(results), [])
        assert not any(column.key == "elsewhere" for table in report.tables for column in table.columns)
