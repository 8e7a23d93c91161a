"""Reports whose inputs have not changed are left as they are; one that changed draws only the figures that did."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from figures import UNDRAWN
from msgspec.structs import replace
from test_report import make_rows, store

from bench.common.files import file_name
from bench.common.plugins import load_plugins
from bench.reports.kinds import build_reports
from bench.reports.page import inputs
from bench.reports.page.written import MANIFEST, WrittenReport
from bench.results.machines import name_machine
from bench.results.rows import Provenance
from bench.results.stored import StoredResults

ROOT = Path(__file__).parents[1]


@contextmanager
def recorded_drawings() -> Iterator[list[str]]:
    """The names of the figures that are drawn meanwhile."""
    drawn: list[str] = []

    def draw(figure, layout, kind) -> bytes:
        drawn.append(f"{figure.name}_{layout.name}.{kind}")
        return f"{figure.digest} {layout.name} {kind}".encode()

    with mock.patch("bench.reports.page.canvas.render_figure", draw):
        yield drawn


def build(results: Path, formats=()) -> tuple[WrittenReport, list[str]]:
    """Return the report of Kodak, and which figures were drawn for it."""
    with recorded_drawings() as drawn:
        (written,) = build_reports("rate", StoredResults(results), results.parent / "reports", ["kodak"],
                                   formats=formats)
    return written, drawn


@pytest.fixture
def results(tmp_path) -> Path:
    return store(tmp_path / "results", make_rows("vvenc") + make_rows("webp", 0.8))


@pytest.fixture
def first(results) -> WrittenReport:
    written, drawn = build(results)
    assert not written.unchanged and drawn == ["rd_psnr_wide.png", "rd_ms_ssim_wide.png"]
    return written


def test_nothing_is_made_again_where_nothing_changed(results, first):
    times = {path: path.stat().st_mtime_ns for path in first.paths}
    again, drawn = build(results)
    assert again.unchanged and not drawn and times == {path: path.stat().st_mtime_ns for path in again.paths}
    assert (again.name, again.paths, again.summary, again.worse, again.page) == (
        first.name, first.paths, first.summary, first.worse, first.page)


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"edited"), Path.unlink])
@pytest.mark.parametrize(("name", "drawn"), [("figures/rd_psnr.png", ["rd_psnr_wide.png"]), ("tables/bd_rate.csv", []),
                                             ("index.html", [])])
def test_an_edited_or_lost_file_is_made_anew(results, first, change, name, drawn):
    path = first.folder / name
    content = path.read_bytes()
    change(path)
    again, figures = build(results)
    assert not again.unchanged and figures == drawn and path.read_bytes() == content
    assert build(results)[0].unchanged


def test_a_changed_row_draws_only_what_shows_it(results, first):
    """MS-SSIM of one image: the curves of PSNR stay."""
    path = results / "kodak" / "rows.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["quality"]["ms-ssim"] -= 0.001
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    changed, drawn = build(results)
    assert not changed.unchanged and drawn == ["rd_ms_ssim_wide.png"]


def test_an_imported_curve_counts_and_another_dataset_does_not(results, first):
    store(results, make_rows("webp", dataset="sample", total=24))
    assert build(results)[0].unchanged
    curve = results / "kodak" / "published" / "mine.json"
    curve.parent.mkdir()
    points = {"bpp": [0.1, 0.2, 0.4, 0.8], "psnr-rgb": [28, 30, 33, 36]}
    curve.write_text(json.dumps({"name": "Mine", "results": points}))
    changed, drawn = build(results)
    assert drawn == ["rd_psnr_wide.png"] and "Mine" in changed.paths[0].read_text()


def test_files_in_linked_folders_count_and_hidden_ones_do_not(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "kodak").symlink_to(tmp_path / "elsewhere")
    for name in ("elsewhere/a.jsonl", "results/.claims", "results/b.jsonl"):
        (tmp_path / name).write_text("a row")
    root = tmp_path / "results"
    found = inputs.find_files(root, [root, root / "b.jsonl", root / "missing"])
    assert found == {"b.jsonl": root / "b.jsonl", "kodak/a.jsonl": root / "kodak" / "a.jsonl"}


@pytest.mark.parametrize("name", ["datasets", "variants", "claims"])
def test_yaml_files_count_by_what_they_hold(results, first, name, tmp_path, monkeypatch):
    copy = tmp_path / f"{name}.yaml"
    copy.write_bytes((ROOT / f"{name}.yaml").read_bytes())
    monkeypatch.setenv(f"BENCH_{name.upper()}", str(copy))
    assert build(results)[0].unchanged
    copy.write_bytes(copy.read_bytes() + b"\n# edited\n")
    changed, drawn = build(results)
    assert not changed.unchanged and not drawn


def test_plugins_count_by_what_they_hold(results, first, tmp_path, monkeypatch):
    path = tmp_path / "a_plugin.py"
    path.write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("BENCH_PLUGINS", "a_plugin")
    load_plugins()
    assert not build(results)[0].unchanged and build(results)[0].unchanged
    path.write_text("# edited\n")
    assert not build(results)[0].unchanged


def test_code_templates_and_published_curves_count(tmp_path, monkeypatch):
    for name in ("a.py", "page/templates/b.j2", "anchors/c.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("first")
    monkeypatch.setattr(inputs, "PACKAGE", tmp_path)
    digests = []
    for name in (None, "a.py", "page/templates/b.j2", "anchors/c.json"):
        if name:
            (tmp_path / name).write_text("second")
        inputs.digest_code.cache_clear()
        digests.append(inputs.digest_code())
    inputs.digest_code.cache_clear()
    assert len(set(digests)) == 4


@pytest.mark.parametrize("replaced", ["digest_code", "find_versions"])
def test_other_code_and_other_libraries_make_everything_anew(results, first, replaced, monkeypatch):
    for module in ("inputs", "figures"):
        monkeypatch.setattr(f"bench.reports.page.{module}.{replaced}", lambda *_: ["other"])
    changed, drawn = build(results)
    assert not changed.unchanged and drawn == ["rd_psnr_wide.png", "rd_ms_ssim_wide.png"]


def test_versions_are_those_that_are_installed():
    import matplotlib

    assert inputs.find_versions("matplotlib", "no-such-library") == (matplotlib.__version__, "")


def test_rows_of_one_machine_are_another_report(results, first):
    strict = StoredResults(results, name_machine(Provenance(device="cpu: x")))
    with recorded_drawings():
        (written,) = build_reports("rate", strict, results.parent / "reports", ["kodak"])
    assert not written.unchanged


def test_another_machine_chooses_other_rows_only_where_there_are_some(results, first, monkeypatch):
    monkeypatch.setattr("bench.reports.page.inputs.find_machine", lambda: "cpu: another")
    assert build(results)[0].unchanged

    rows = [*make_rows("webp"), *(replace(row, provenance=Provenance(device="cpu: y")) for row in make_rows("webp"))]
    store(results, rows)
    build(results)
    assert build(results)[0].unchanged
    monkeypatch.setattr("bench.reports.page.inputs.find_machine", lambda: "cpu: third")
    written, drawn = build(results)
    assert not written.unchanged and not drawn


def test_formats_are_drawn_on_request_stay_as_long_as_they_are_right_and_go_then(results, first):
    written, drawn = build(results, ["svg", "pdf"])
    wanted = {f"{figure}_{layout}.{kind}" for figure in ("rd_psnr", "rd_ms_ssim") for layout in ("wide", "column")
              for kind in ("svg", "pdf")}
    assert set(drawn) == wanted == {path.name for path in (written.folder / "print").iterdir()}
    assert build(results, ["svg"])[0].unchanged and build(results)[0].unchanged
    store(results, make_rows("vvenc"))
    build(results)
    assert not (written.folder / "print").exists()


@pytest.mark.parametrize("content", [b"", b"[]", b'["README.md"]', b'{"inputs": 3}', b"\xff"])
def test_a_damaged_manifest_is_none(results, first, content):
    (first.folder / MANIFEST).write_bytes(content)
    assert not build(results)[0].unchanged and build(results)[0].unchanged


def test_what_stands_outside_is_not_taken_for_a_file_of_the_report(results, first):
    manifest = first.folder / MANIFEST
    values = json.loads(manifest.read_text())
    victim = results / "kodak" / "rows.jsonl"
    values["files"]["../../results/kodak/rows.jsonl"] = "0" * 64
    manifest.write_text(json.dumps(values))
    assert not build(results)[0].unchanged and victim.exists()


def test_unchanged_reports_are_looked_at_without_libraries_that_make_them(results, tmp_path):
    store(results, make_rows("webp", dataset=file_name("sample"), total=24))
    program = (f"{UNDRAWN}import sys; from bench.cli import main; status = main(sys.argv[1:]); "
               "print([name for name in ('matplotlib', 'pandas', 'jinja2', 'torch') if name in sys.modules]); "
               "sys.exit(status)")
    arguments = ["report", "--results", str(results), "--reports", str(tmp_path / "reports")]
    command = [sys.executable, "-c", program, *arguments]
    first = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    command[2] = program.removeprefix(UNDRAWN)
    again = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    unchanged = sum("unchanged; to read" in line for line in again)
    assert again[-1] == "[]" and first.count("files; to read") == unchanged > 2
