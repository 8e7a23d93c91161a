"""The report of claims from results made by hand: what was written is read back and compared with what went in."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from bench.claims.catalogue import Claim
from bench.claims.result import Change, ClaimsResult, Judgement, PairComparison
from bench.claims.wording import explain_verdict
from bench.common.errors import BenchError
from bench.curves.rd_curve import Points, RDCurve, average_points
from bench.metrics import Curve, bd_rate
from bench.metrics.statistics.verdicts import INVALID, NOT_MEASURED, REFUTED, REPRODUCED, SUPPORTED, UNDECIDED, VERDICTS
from bench.reports.claims.junit import summary_markdown, write_junit
from bench.reports.claims.pair_overview import plot_overview
from bench.reports.claims.pairs import find_rate_change, plot_pair
from bench.reports.claims.plots import LOOKS, MOST_ROWS, Panel, label_rows, plot_forest
from bench.reports.claims.report import assemble_claims
from bench.reports.claims.summary import summary_text
from bench.reports.claims.text import MARK, Names, claimed_text, p_text, what_text
from bench.reports.page.canvas import render_figure
from bench.reports.page.figures import WIDE
from bench.reports.page.files import list_contents, write_report

NAMES = Names({"rwkv_phase1": "RWKV-1", "hpcm_base": "HPCM-Base", "multiref_phase1": "MultiRef-1"},
              {"hpcm_base": "HPCM", "multiref_phase1": "Multi-reference", "rwkv_phase1": "RWKV"})
NASTY = 'a|b <i>c</i> & 50 % of "d_e", `f` $g$ #1 {h} ~ ^ \\ *i* [j](k)'
RATES = (0.1, 0.25, 0.5, 1.0, 1.8)


def claim(name: str, variant: str = "rwkv_phase1", metric: str = "total_time", **values) -> Claim:
    values = {"versus": "hpcm_base", "change_percent": (-20.0, -10.0), "kind": "predicted", "source": "A_README",
              **values}
    return Claim(name=name, variant=variant, metric=metric, **values)


def judged(name: str, verdict: str, value: float | None = None, **values) -> Judgement:
    about = {key: values.pop(key) for key in ("variant", "metric", "change_percent", "versus", "part", "kind",
                                              "contradicts", "setting") if key in values}
    about |= {"value": values.pop("claimed"), "change_percent": None} if "claimed" in values else {}
    interval = None if value is None else (value - 1, value + 1)
    return Judgement(claim(name, **about), verdict, **{"reason": f"because of {name}", "value": value,
                                                       "interval": interval, "where": "cpu, 768x512", **values})


JUDGEMENTS = (
    judged("hpcm_parameters", REPRODUCED, variant="hpcm_base", metric="parameters", claimed=(68.5, 68.5), versus=None,
           kind="measured", evidence="rows"),
    judged("rwkv_time", SUPPORTED, -15.25, n=12, what_n="rounds", p_value=0.001, adjusted_p=0.004),
    judged("rwkv_time_other", REFUTED, 3.5, n=12, what_n="rounds", contradicts=("rwkv_time",), reason=NASTY,
           command="python -m bench profile \"x|y\""),
    judged("rwkv_memory", UNDECIDED, -12.0, metric="memory", detectable=4.25),
    judged("rwkv_decode", INVALID, metric="decode_time", interval=None),
    judged("rwkv_training", NOT_MEASURED, metric="training_time"),
    judged("multiref_rate", NOT_MEASURED, variant="multiref_phase1", metric="bd_rate"),
    judged("rwkv_time", REFUTED, 2.0, miniature=True, where="cpu, 768x512, miniature"),
)
CHANGES = (
    Change("decode time", "RWKV-1 decode at 768x512", "81.0 ms", "76.2 ms", False, "context s3 takes less"),
    Change("rate", "RWKV-1 | kodak", "0.500 bpp", "0.505 bpp", True, "rate rose on 24 images <most: kodim03>"),
)


def image_curve(seed: int, factor: float) -> Points:
    """Points of one image: its own quality level, rates times ``factor``."""
    level = np.random.default_rng(seed).uniform(-2, 2)
    quality = tuple(36 + level + 6 * float(np.log2(rate)) for rate in RATES)
    return Points(tuple(factor * rate for rate in RATES), {"psnr": quality})


def rd_curve(name: str, factors: dict[str, float]) -> RDCurve:
    per_image = {image: image_curve(seed, factor) for seed, (image, factor) in enumerate(factors.items())}
    return RDCurve("kodak", name, f"Codec {name}", average_points(list(per_image.values())), per_image=per_image,
                   images=len(per_image))


def pair(count: int = 6, **values) -> PairComparison:
    names = [f"kodim{index:02d}" for index in range(count)]
    anchor = rd_curve("anchor", dict.fromkeys(names, 1.0))
    test = rd_curve("test", {name: 0.8 + 0.1 * index for index, name in enumerate(names)})
    percents = tuple(100 * (0.8 + 0.1 * index - 1) for index in range(count))
    return PairComparison(**{
        "title": "Codec test against Codec anchor", "dataset": "kodak", "metric": "psnr", "anchor": anchor,
        "test": test,
        "value_percent": 5.0, "images": tuple(names), "per_image_percent": percents, "interval": (-3.0, 12.5),
        "per_image_mean_percent": float(np.mean(percents)), "per_image_interval": (-4.0, 11.0),
        "drop_one": (4.0, 6.0), "share_improved": 0.25, **values})


RESULT = ClaimsResult(JUDGEMENTS, (pair(), pair(title="Mini test against mini anchor", miniature=True)), CHANGES,
                      ("A remark on the run.",), "Corrected by Holm over 7 claims.")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reports") / "claims"
    write_report(assemble_claims(RESULT, NAMES), folder)
    return folder


def table_of(result: ClaimsResult, name: str):
    report = assemble_claims(result, NAMES)
    return next(table for table in report.tables if table.name == name)


def test_every_verdict_is_counted_by_line_and_miniatures_apart():
    table = table_of(RESULT, "verdicts")
    lines = {line[0]: dict(zip([column.title for column in table.columns], line)) for line in table.rows}
    assert set(lines) == set(VERDICTS)
    for verdict, line in lines.items():
        full = [one for one in JUDGEMENTS if one.verdict == verdict and not one.miniature]
        assert line["All lines"] == len(full) == sum(line[name] for name in ("HPCM", "Multi-reference", "RWKV"))
        assert line["RWKV"] == sum(one.claim.variant == "rwkv_phase1" for one in full)
    assert sum(line["Miniatures, apart"] for line in lines.values()) == 1
    assert RESULT.multiplicity in table.notes and RESULT.remarks[0] in table.notes


def test_csv_holds_every_judgement_with_its_numbers(written):
    lines = list(csv.DictReader(io.StringIO((written / "claims.csv").read_text(encoding="utf-8"))))
    assert len(lines) == len(JUDGEMENTS)
    for line, one in zip(lines, JUDGEMENTS):
        assert (line["claim"], line["verdict"], line["reason"]) == (one.claim.name, one.verdict, one.reason)
        assert line["miniature"] == str(one.miniature) and line["command"] == one.command
        assert (float(line["claimed_low"]), float(line["claimed_high"])) == one.claim.bounds
        for key, wanted in (("value", one.value), ("interval_low", one.interval and one.interval[0]),
                            ("adjusted_p", one.adjusted_p), ("detectable", one.detectable), ("n", one.n or None)):
            assert line[key] == "" if wanted is None else float(line[key]) == pytest.approx(wanted, abs=1e-6)
    assert lines[2]["contradicts"] == "rwkv_time" and lines[2]["line"] == "RWKV"


def test_markdown_tables_stay_whole_whatever_a_reason_holds(written):
    text = (written / "README.md").read_text(encoding="utf-8")
    table = next(part for part in text.split("\n\n") if "rwkv_time_other" in part and part.startswith("|"))
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
    assert len(widths) == 1
    assert "a\\|b \\<i\\>c" in table and "<i>" not in text


def test_html_page_escapes_and_shows_all_verdicts(written):
    page = (written / "index.html").read_text(encoding="utf-8")
    assert "&lt;i&gt;c&lt;/i&gt; &amp; 50 %" in page and "<i>" not in page
    for verdict in VERDICTS:
        assert verdict in page
    assert "1 number got worse" in page and "rate of RWKV-1 | kodak" in page


def test_latex_escapes_its_special_characters(written):
    text = (written / "claims.tex").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if r"rwkv\_time\_other" in line and "because" not in line)
    assert r"50 \% of ''d\_e''" in line and r"\$g\$ \#1 \{h\}" in line
    ends = [one for one in text.splitlines() if one.startswith(r"rwkv\_") and one.endswith(r" \\")]
    assert len(ends) == sum(one.claim.variant == "rwkv_phase1" for one in JUDGEMENTS)
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 4  # three lines, and a miniature


def test_miniatures_have_tables_of_their_own_that_say_so():
    report = assemble_claims(RESULT, NAMES)
    tables = {table.name: table for table in report.tables}
    mini, full = tables["miniatures_rwkv"], tables["claims_rwkv"]
    assert mini.title.startswith("Miniatures, not the authors' models") and mini.warnings
    assert mini.column("verdict") == [REFUTED] and mini.column("claim") == ["rwkv_time"]
    assert full.column("claim").count("rwkv_time") == 1 and not full.warnings
    assert [row[0] for row in tables["pairs"].rows] == ["Codec test against Codec anchor"]
    assert [row[0] for row in tables["pairs_miniatures"].rows] == ["Mini test against mini anchor"]
    titles = [section.title for section in report.sections]
    assert titles.index("RWKV") < titles.index("Curves compared") < titles.index("Miniatures, not the authors' models")


def test_without_miniatures_nothing_speaks_of_them():
    full = replace(RESULT, judgements=JUDGEMENTS[:-1], pairs=())
    titles = [section.title for section in assemble_claims(full, NAMES).sections]
    assert not any("Miniature" in title or "compared" in title for title in titles)
    assert "miniatures" not in [column.key for column in table_of(full, "verdicts").columns]


def test_a_line_of_claims_says_what_decided_them():
    table = table_of(RESULT, "claims_rwkv")
    lines = {name: {column.key: cell for column, cell in zip(table.columns, row)}
             for name, row in zip(table.column("claim"), table.rows)}
    supported, refuted, open_ = (lines[name] for name in ("rwkv_time", "rwkv_time_other", "rwkv_memory"))
    assert supported["versus"] == "HPCM-Base" and supported["claimed"] == "−20 to −10 %"
    assert float(re.match(r"−([\d.]+) %", supported["measured"])[1]) == pytest.approx(15.25, abs=0.06)
    assert supported["over"] == "12 rounds" and supported["adjusted_p"] == "0.004"
    assert refuted["contradicts"] == "rwkv_time" and refuted["kind"] == "predicted"
    assert float(open_["detectable"].split()[0]) == pytest.approx(4.25, abs=0.06)
    assert supported["detectable"] is None
    assert table_of(RESULT, "claims_hpcm").column("kind") == ["measured by the authors"]


def test_a_verdict_that_does_not_outlast_the_correction_is_marked():
    weak = replace(JUDGEMENTS[1], p_value=0.03, adjusted_p=0.21)
    table = table_of(ClaimsResult((weak, JUDGEMENTS[2])), "claims_rwkv")
    assert table.column("verdict") == [f"{SUPPORTED} {MARK}", REFUTED]
    assert any(note.startswith(MARK) for note in table.notes)
    assert not any(note.startswith(MARK) for note in table_of(RESULT, "claims_rwkv").notes)


def test_changes_come_with_what_got_worse_first():
    table = table_of(RESULT, "changes")
    assert table.column("effect") == ["worse", "better"]
    assert table.column("reason") == [CHANGES[1].reason, CHANGES[0].reason]
    report = assemble_claims(replace(RESULT, changes=CHANGES[:1]), NAMES)
    assert not report.warnings


def test_claims_about_classical_codecs_have_a_line_of_their_own():
    found = NAMES.by_line([judged("a", UNDECIDED, variant="vtm", versus="bpg", metric="bd_rate"),
                           judged("b", UNDECIDED, variant="unheard_of"), JUDGEMENTS[1]])
    assert {line: [one.claim.name for one in judgements] for line, judgements in found.items()} == {
        "RWKV": ["rwkv_time"], "Classical codecs": ["a"], "Other": ["b"]}
    assert next(iter(found)) == "RWKV" and NAMES.label("vtm") == "VTM"


def test_texts_of_claims():
    assert claimed_text(claim("a", change_percent=(-0.4, 0.0))) == "−0.4 to 0 %"
    assert claimed_text(claim("a", metric="decode_time", change_percent=None, value=(81.3, 81.3), versus=None)) == (
        "81.3 ms")
    assert what_text(claim("a", part="context s3", setting="2 groups")) == (
        "encode and decode time of context s3, with 2 groups")
    assert [p_text(value) for value in (None, 0.0321, 3e-7)] == [None, "0.032", "< 0.0001"]


@pytest.mark.parametrize(("one", "said"), [
    (judged("a", REPRODUCED, 68.505, metric="parameters", claimed=(68.5, 68.5), versus=None, interval=None,
            evidence="counted"), "measured 68.50 M, claimed 68.5 M: the same within 0.05 M (counted)"),
    (judged("a", REFUTED, 3.5, change_percent=(-20.0, -12.5), bounds=(-0.25, 7.0), floor=3.0, n=9, what_n="rounds"),
     "measured +3.5 % (95 % interval +2.5 to +4.5, 9 rounds), claimed −20 to −12.5 %: it is above −12.5 % "
     "(one-sided 95 % bounds −0.2 % and +7.0 %, a noise floor of 3 % included)"),
    (judged("a", SUPPORTED, -2.345, metric="bd_rate", change_percent=(0.0, 0.0), interval=None),
     "measured −2.35 %, claimed 0 %: it is at most 0 %, beyond all of the claimed range"),
    (judged("a", UNDECIDED, 20.0, metric="memory", change_percent=(20.0, 20.0), interval=None),
     "measured +20.0 %, claimed +20 %: whether it is at most +20 % stays open, within what two measurements differ by"),
])
def test_reasons_print_a_claims_figures_with_its_own_digits(one, said):
    assert explain_verdict(one, 0.05) == said


def pixels_of(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def has_colour(pixels: np.ndarray, colour: str) -> bool:
    wanted = [int(colour[index:index + 2], 16) for index in (1, 3, 5)]
    return bool((pixels == wanted).all(axis=-1).any())


def test_forest_plot_draws_each_verdict_in_its_colour_and_counts_what_is_left_out():
    drawn = [judged(f"c{n}", verdict, float(n)) for n, verdict in enumerate((SUPPORTED, REFUTED, UNDECIDED))]
    figures = plot_forest("forest_rwkv", "RWKV", [*drawn, JUDGEMENTS[4], JUDGEMENTS[5]], NAMES)
    assert [figure.name for figure in figures] == ["forest_rwkv"]
    for layout in figures[0].layouts:
        pixels = pixels_of(render_figure(figures[0], layout))
        shown = {verdict for verdict, (colour, _) in LOOKS.items()
                 if verdict != INVALID and has_colour(pixels, colour)}  # its grey is in the edges of letters too
        assert shown == {SUPPORTED, REFUTED, UNDECIDED}
    assert figures[0].caption.endswith("2 claims.")


def test_no_two_rows_of_a_panel_have_the_same_label():
    rows = (judged("a", SUPPORTED, 1.0), judged("b", SUPPORTED, 2.0, change_percent=(-40.0, -30.0)),
            judged("c", SUPPORTED, 3.0, metric="decode_time", where="cpu"), judged("c", REFUTED, 4.0, where="cuda",
                                                                                 metric="decode_time"))
    assert label_rows(Panel("Time", rows), NAMES) == [
        "RWKV-1 vs HPCM-Base, total (−20 to −10 %)", "RWKV-1 vs HPCM-Base, total (−40 to −30 %)",
        "RWKV-1 vs HPCM-Base, decode, cpu", "RWKV-1 vs HPCM-Base, decode, cuda"]


def test_forest_plot_of_nothing_measured_is_left_away():
    assert plot_forest("forest", "RWKV", [JUDGEMENTS[5]], NAMES) == []


def test_long_plot_forest_are_split_and_none_is_taller_than_a_page():
    many = [judged(f"c{n}", SUPPORTED, float(n % 7), metric=("total_time", "memory", "parameters")[n % 3])
            for n in range(2 * MOST_ROWS + 5)]
    figures = plot_forest("forest", "RWKV", many, NAMES)
    assert [figure.name for figure in figures] == [f"forest_{n}" for n in range(1, len(figures) + 1)]
    assert len(figures) in (3, 4)
    assert all(pixels_of(render_figure(figure, WIDE)).shape[0] <= 9.7 * 200 for figure in figures)


def test_rate_change_of_a_constant_factor_is_that_factor():
    anchor = Curve(RATES, [30 + 5 * np.log2(rate) for rate in RATES])
    quality, percent = find_rate_change(anchor, Curve([0.9 * rate for rate in RATES], anchor.quality))
    assert percent == pytest.approx(np.full(len(quality), -10.0))
    assert (quality[0], quality[-1]) == (min(anchor.quality), max(anchor.quality))


def test_mean_of_the_drawn_rate_change_is_the_bd_rate():
    anchor = Curve(RATES, (30, 33, 35.5, 38, 41))
    test = Curve([0.93 * rate**1.05 for rate in RATES], (30.4, 33.2, 35.9, 38.1, 40.2))
    quality, percent = find_rate_change(anchor, test)
    mean_log = np.trapezoid if hasattr(np, "trapezoid") else np.trapz
    mean = mean_log(np.log(1 + percent / 100), quality) / (quality[-1] - quality[0])
    assert 100 * (np.exp(mean) - 1) == pytest.approx(bd_rate(anchor, test).value, abs=0.01)


@pytest.mark.parametrize("quality", [(50, 52, 54, 56, 58), (30, 33, 32, 38, 41)], ids=["apart", "not rising"])
def test_no_rate_change_where_curves_cannot_be_compared(quality):
    assert find_rate_change(Curve(RATES, (30, 33, 35.5, 38, 41)), Curve(RATES, quality)) is None


def test_plot_pair_show_savings_and_losses_of_single_images():
    figure = plot_pair(pair())
    assert figure.name == "pair_kodak_test_against_anchor"
    for layout in figure.layouts:
        pixels = pixels_of(render_figure(figure, layout))
        assert has_colour(pixels, "#0072B2") and has_colour(pixels, "#D55E00")
    assert "BD-rates of 6 images" in figure.caption and "+5.00 % (95 % interval −3.00 % to" in figure.caption
    better = plot_pair(pair(per_image_percent=(-1.0, -2.0, -3.0, -4.0, -5.0, float("nan"))))
    assert not has_colour(pixels_of(render_figure(better, WIDE)), "#D55E00")
    assert better.caption.endswith("Without a BD-rate of their own: 1 image.")


def test_published_averages_have_no_panel_of_images():
    averaged = [replace(one, per_image={}, images=None) for one in (pair().anchor, pair().test)]
    published = pair(images=(), per_image_percent=(), anchor=averaged[0], test=averaged[1], per_image_mean_percent=None,
                     interval=None)
    figure = plot_pair(published)
    pixels = pixels_of(render_figure(figure, WIDE))
    assert not has_colour(pixels, "#0072B2")
    assert (pixels < 128).any() and figure.caption.endswith("Single images are not known.")


def test_overview_shows_every_pair_with_its_images_by_the_side_of_zero_that_it_is_on():
    saving = pair(value_percent=-4.0, interval=(-5.0, -3.0))
    both, one = (render_figure(plot_overview("pairs", pairs), WIDE) for pairs in ([pair(), saving], [saving]))
    for colour, drawn in (("#0072B2", True), ("#D55E00", False)):
        assert has_colour(pixels_of(both), colour) and has_colour(pixels_of(one), colour) == drawn
    assert pixels_of(both).shape[0] > pixels_of(one).shape[0]
    assert "claims VARIANT --figures" in plot_overview("pairs", [saving]).caption


def test_same_result_gives_the_same_bytes():
    small = ClaimsResult(JUDGEMENTS[:3], (pair(3),))
    for first, second in zip(*(assemble_claims(small, NAMES).figures for _ in "ab"), strict=True):
        assert first.digest == second.digest and render_figure(first, WIDE) == render_figure(second, WIDE)
    assert list_contents(assemble_claims(small, NAMES)) == list_contents(assemble_claims(small, NAMES))


def test_folder_is_complete_and_loses_files_of_earlier_reports(written, tmp_path):
    names = {str(path.relative_to(written)) for path in written.rglob("*") if path.is_file()}
    assert {"README.md", "index.html", "claims.csv", "claims.tex", "figures/forest_rwkv.png",
            "figures/forest_miniatures_rwkv.png", "figures/pairs.png",
            "tables/verdicts.csv"} <= names
    linked = re.findall(r"\]\(((?:figures|tables)/[^)]+)\)", (written / "README.md").read_text(encoding="utf-8"))
    assert linked and set(linked) <= names
    write_report(assemble_claims(ClaimsResult(JUDGEMENTS[:3]), NAMES), tmp_path)
    first = write_report(assemble_claims(ClaimsResult(JUDGEMENTS[5:6]), NAMES), tmp_path)
    assert first.paths[0].name == "README.md" and not (tmp_path / "figures").exists()


@pytest.fixture(scope="module")
def suites(tmp_path_factory) -> dict[str, ElementTree.Element]:
    path = tmp_path_factory.mktemp("ci") / "deep" / "claims.xml"
    broken = replace(JUDGEMENTS[4], reason="bell \x07 & <tag>")
    write_junit(replace(RESULT, judgements=(*JUDGEMENTS[:4], broken, *JUDGEMENTS[5:])), path)
    return {suite.get("name"): suite for suite in ElementTree.parse(path).getroot()}


def case_of(suite: ElementTree.Element, start: str) -> ElementTree.Element:
    return next(case for case in suite if case.get("name").split(" [")[0] == start)


def test_junit_tells_findings_from_failures(suites):
    claims = suites["claims"]
    outcomes = {case.get("name").split(" [")[0]: {child.tag for child in case} & {"failure", "error", "skipped"}
                for case in claims}
    assert outcomes == {
        "hpcm_parameters": set(), "rwkv_time": set(), "rwkv_time_other": set(), "rwkv_memory": {"skipped"},
        "rwkv_decode": {"error"}, "rwkv_training": {"skipped"}, "multiref_rate": {"skipped"},
    }
    assert [claims.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["7", "0", "1", "3"]
    refuted = case_of(claims, "rwkv_time_other")
    values = {one.get("name"): one.get("value") for one in refuted.find("properties")}
    assert values["verdict"] == REFUTED and values["contradicts"] == "rwkv_time"
    assert NASTY in refuted.findtext("system-out") and "bench profile \"x|y\"" in refuted.findtext("system-out")
    assert case_of(claims, "rwkv_decode").find("error").get("message") == "bell \ufffd & <tag>"


def test_junit_fails_for_what_got_worse_and_for_nothing_else(suites):
    better, worse = suites["regression"]
    assert better.find("failure") is None and worse.find("failure").get("type") == "rate"
    assert all(text in worse.find("failure").get("message") for text in ("0.500 bpp", "0.505 bpp", CHANGES[1].reason))
    assert suites["regression"].get("failures") == "1"
    assert [case.get("classname") for case in suites["miniatures"]] == ["miniatures.rwkv_phase1"]


def test_junit_names_are_unique_within_a_suite(suites):
    for suite in suites.values():
        names = [(case.get("classname"), case.get("name")) for case in suite]
        assert len(set(names)) == len(names)


def test_junit_that_cannot_be_written_is_an_error_for_the_user(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="can't write"):
        write_junit(RESULT, tmp_path / "file" / "claims.xml")


def test_markdown_summary_counts_names_and_escapes():
    text = summary_markdown(RESULT)
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row] for row in rows]
    head = next(row for row in cells if row[0] == INVALID)
    counted = dict(zip(head, map(int, cells[cells.index(head) + 2])))
    assert counted == {verdict: RESULT.counts[verdict] for verdict in VERDICTS}
    decided = [row[0] for row in cells if row[-1] in (REPRODUCED, SUPPORTED, REFUTED) and row[0] != INVALID]
    assert decided == ["hpcm_parameters", "rwkv_time", "rwkv_time_other", "rwkv_time"]
    assert text.index("rwkv_time_other") < text.index("Miniatures, not the authors' models")
    assert "**rate of RWKV-1 \\| kodak**" in text and "\\<most: kodim03\\>" in text and "76.2 ms" not in text


def test_summaries_of_a_state_without_changes_for_the_worse():
    calm = replace(RESULT, changes=CHANGES[:1])
    assert "## Worse" not in summary_markdown(calm)
    undecided = replace(calm, judgements=(*JUDGEMENTS[:-1], replace(JUDGEMENTS[3], miniature=True)))
    assert "Miniatures" in summary_text(calm) and "Miniatures" not in summary_text(undecided)
    assert "better: decode time of RWKV-1 decode" in summary_text(calm) and "WORSE" not in summary_text(calm)
    assert "WORSE: rate of RWKV-1 | kodak: 0.500 bpp before, 0.505 bpp now" in summary_text(RESULT)
