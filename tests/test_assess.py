"""``python -m bench assess``: the whole job in one command, with and without the images, and what it exits with."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import faulty_codecs
import pytest
import torch
from birds import server  # noqa: F401 (a fixture)
from msgspec.structs import replace
from tiny_models import TINY, tiny_model

from bench.cli import main
from bench.commands import assess
from bench.commands.profile import latency_folder
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_INCOMPLETE
from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import select_latency
from bench.results.rows import Row
from bench.results.store import Store, read_rows
from bench.runners.machine import device_name
from bench.runners.profile.unprofiled import is_profiled
from bench.variants import get_variant
from tests import latency_samples
from tests.test_judgement import store_rates

SIZES = [(30, 20), (faulty_codecs.FAULTY_WIDTH, 20)]
SET = "\n\nshapes:\n  title: Shapes\n  licence: CC0\n  citation: nobody\n  images:\n"
CLAIMS = """
claims:
  saves: {variant: mine, versus: hpcm_base, metric: bd_rate, change_percent: [-5, -3], kind: predicted, source: README}
"""
VARIANTS = f"""
variants:
  hpcm_base: {{model: hpcm_base, lambdas: [0.01], options: {TINY}}}
  mine: {{model: hpcm_base, lambdas: [0.01], options: {TINY}}}
  small: {{model: hpcm_base, lambdas: [0.01], options: {TINY}, miniature: true}}
"""
pytestmark = pytest.mark.usefixtures("measured_here", "undrawn")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of its own, the codec of the tests, three tiny variants, and a set of two images that is here."""
    for name in ("BENCH_PLUGINS", "PYTHONPATH"):
        monkeypatch.setenv(name, faulty_codecs.environment()[name])
    for name in ("results", "reports", "data"):
        monkeypatch.setenv(f"BENCH_{name.upper()}", str(tmp_path / name))
    for name, text in {"variants": VARIANTS, "claims": CLAIMS}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
        monkeypatch.setenv(f"BENCH_{name.upper()}", str(tmp_path / f"{name}.yaml"))

    folder = faulty_codecs.write_images(tmp_path / "data" / "shapes", SIZES)
    images = "".join(f"    - {{name: {path.name}, sha256: {hashlib.sha256(path.read_bytes()).hexdigest()}}}\n"
                     for path in sorted(folder.iterdir()))
    catalogue = (Path(__file__).parents[1] / "datasets.yaml").read_text() + SET + images
    (tmp_path / "datasets.yaml").write_text(catalogue)
    monkeypatch.setenv("BENCH_DATASETS", str(tmp_path / "datasets.yaml"))
    return tmp_path


def bench(*arguments: object) -> int:
    return main(["assess", *map(str, arguments)])


def rows_of(place: Path, dataset: str) -> list[Row]:
    return Store(place / "results").read(dataset)


def add_weights(place: Path, *names: str) -> None:
    for name in names:
        (place / "checkpoints" / name).mkdir(parents=True)
        torch.save(tiny_model().state_dict(), place / "checkpoints" / name / "0.01.pth.tar")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_measured_reported_and_answered(place: Path, capsys: pytest.CaptureFixture) -> None:
    pictures = faulty_codecs.write_images(place / "pictures", SIZES)
    assert bench(pictures, "--codecs", "jpeg,webp", "--points", "q10,q55") == EXIT_DONE
    shown = capsys.readouterr().out
    assert {(row.name, row.point) for row in rows_of(place, "pictures")} == {
        (name, point) for name in ("jpeg", "webp") for point in ("q10", "q55")}
    for page in ("local/pictures", "local", "claims", ""):
        assert (place / "reports" / page / "index.html").is_file()
    assert re.search(r"jpeg +q10 +2/2 +0 +\d", shown) and str(place / "reports") in shown

    reports = files_of(place / "reports")
    assert bench(pictures, "--codecs", "jpeg,webp", "--points", "q10,q55") == EXIT_DONE
    again = capsys.readouterr().out
    assert "nothing to run" in again and not re.search(r"jpeg +q10 +2/2", again)
    assert files_of(place / "reports") == reports


def test_a_folder_of_ones_own_changes_nothing_that_git_tracks(place: Path, capsys: pytest.CaptureFixture) -> None:
    """Its rows and its report are here, a front page of its own beside them, and none of it on the shared one."""
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(place), "-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]
        return subprocess.run([*command, *arguments], check=True, capture_output=True, text=True).stdout

    if shutil.which("git") is None:
        pytest.skip("git is not here")
    shutil.copy(Path(__file__).parents[1] / ".gitignore", place)
    git("init", "-q")
    assert bench("shapes", "--codecs", "jpeg", "--points", "q10,q55") == EXIT_DONE
    shared = capsys.readouterr().out
    git("add", "-A")
    git("commit", "-q", "-m", "first")

    pictures = faulty_codecs.write_images(place.with_name(f"{place.name}-elsewhere") / "pictures", SIZES)
    assert bench(pictures, "--codecs", "webp", "--points", "q10,q55") == EXIT_DONE
    said = capsys.readouterr().out
    assert main(["reproduce", str(pictures), "--codecs", "webp", "--points", "q10"]) == EXIT_DONE
    assert main(["report"]) == EXIT_DONE
    assert main(["claims"]) == EXIT_DONE
    assert git("status", "--porcelain") == ""

    local = place / "reports" / "local"
    assert f"report: {local / 'index.html'}" in said and f"report: {place / 'reports' / 'index.html'}" in shared
    assert "On pictures, no BD-rate is known of WebP" in said and "pictures" not in shared
    page = (local / "README.md").read_text()
    assert "](pictures/README.md)" in page and "](../README.md)" in page and "WebP" in page
    assert (local / "pictures" / "README.md").is_file() and "pictures" not in (place / "reports/README.md").read_text()
    assert {row.name for row in rows_of(place, "pictures")} == {"webp"}

    assert bench("shapes", "--codecs", "jpeg", "--points", "q10,q55") == EXIT_DONE
    assert main(["claims", "--accept"]) == EXIT_DONE
    assert "pictures" not in (place / "results" / "baseline" / "curves.jsonl").read_text()


def test_a_plan_and_a_run_with_nothing_to_do_import_nothing_heavy(place: Path) -> None:
    add_weights(place, "small", "mine")
    arguments = ["assess", "shapes", "--device", "cpu", "--codecs"]
    assert main([*arguments, "deflate,small,jpeg"]) == EXIT_DONE
    program = ("import sys; from bench.cli import main; code = main(sys.argv[1:]); "
               "heavy = {'compressai', 'matplotlib', 'pandas', 'scipy.interpolate', 'scipy.special', 'torch'}; "
               "sys.exit(code or str(heavy & set(sys.modules)))")
    for more, words in ((["deflate,small,jpeg"], "nothing to run"), (["mine", "--plan"], "then profiled")):
        ended = subprocess.run([sys.executable, "-c", program, *arguments, *more], capture_output=True, text=True,
                               timeout=60)
        assert ended.stderr.strip() == "set()" and words in ended.stdout


def test_what_is_stored_needs_no_images(place: Path, capsys: pytest.CaptureFixture) -> None:
    assert bench("shapes", "--codecs", "deflate") == EXIT_DONE
    reports = files_of(place / "reports")
    shutil.rmtree(place / "data")
    shutil.rmtree(place / "reports")
    capsys.readouterr()
    assert bench("shapes", "--codecs", "deflate") == EXIT_DONE
    shown = capsys.readouterr().out
    assert "nothing to run" in shown and "images of Shapes are not here" in shown
    assert files_of(place / "reports") == reports and [row.dataset for row in rows_of(place, "sample")] == []


def test_what_is_new_is_measured_on_the_sample_where_the_images_can_not_be_had(
        place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    assert bench("shapes", "--codecs", "deflate,jpeg", "--points", "s4,q10") == EXIT_DONE
    (place / "data" / "shapes" / "image00.png").unlink()
    stored = files_of(place / "results" / "shapes")
    monkeypatch.setenv("DEFLATE_FAULT", "noise")  # another series
    assert bench("shapes", "--codecs", "deflate,jpeg", "--points", "s4,q10") == EXIT_DONE
    shown = capsys.readouterr()
    assert files_of(place / "results" / "shapes") == stored
    assert {row.name for row in rows_of(place, "sample")} == {"deflate"} and len(rows_of(place, "sample")) == 3
    assert "embedded set 'sample'" in shown.out and "shapes: 1 of 2 images is missing" in shown.err
    assert (place / "reports" / "sample").is_dir() and (place / "reports" / "shapes").is_dir()


def test_the_sample_takes_the_place_of_a_set_of_which_nothing_is_here(place: Path,
                                                                      capsys: pytest.CaptureFixture) -> None:
    shutil.rmtree(place / "data")
    assert bench("shapes", "--codecs", "deflate", "--points", "s4") == EXIT_DONE
    assert len(rows_of(place, "sample")) == 3 and not rows_of(place, "shapes")
    assert "in its place" in capsys.readouterr().out


@pytest.mark.parametrize("damage", [
    Path.unlink, lambda path: shutil.copy(path.with_name("image01.png"), path)])
def test_a_part_of_a_set_is_not_worse_than_nothing_of_it(place: Path, capsys: pytest.CaptureFixture,
                                                         damage: Callable[[Path], object]) -> None:
    """The whole answer on the sample, and what to do for the set; a part is measured only where the user says so."""
    damage(place / "data" / "shapes" / "image00.png")
    assert bench("shapes", "--codecs", "deflate", "--points", "s4") == EXIT_DONE
    said = capsys.readouterr()
    assert len(rows_of(place, "sample")) == 3 and not rows_of(place, "shapes")
    assert "in its place" in said.out and "--allow-partial measures on the " in said.out
    (fault,) = [line for line in said.err.splitlines() if "shapes" in line]
    assert fault.startswith("shapes: 1 of 2 images is ")

    assert bench("shapes", "--codecs", "deflate", "--allow-partial", "--points", "s4") == EXIT_DONE
    assert "in its place" not in capsys.readouterr().out
    assert {row.name for row in rows_of(place, "shapes")} == {"deflate"}


def test_a_download_that_fails_costs_a_line_where_something_takes_its_place(
        place: Path, server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """Folders and addresses are told in full where nothing does."""
    monkeypatch.setenv("no_proxy", "*")
    shutil.rmtree(place / "data" / "shapes")
    with (place / "datasets.yaml").open("a") as catalogue:
        catalogue.write(f"  urls: ['{server.url}/{{name}}', '{server.url}/other/{{name}}']\n")
    assert bench("shapes", "--codecs", "deflate", "--points", "s4") == EXIT_DONE
    said = capsys.readouterr()
    assert server.requests and server.url not in said.err + said.out
    lines = [line for line in said.err.splitlines() if "shapes" in line or "download" in line]
    assert lines == ["shapes: none of 2 images is here, the download failed: HTTP 404 File not found"]
    assert "datasets fetch shapes" in said.out

    assert main(["evaluate", "--dataset", "shapes", "--codecs", "deflate"]) == EXIT_BAD_INPUT
    told = capsys.readouterr().err
    assert "looked in" in told and told.count(server.url) >= 4


@pytest.mark.parametrize("arguments", [["kodka"], ["/no/such/folder"], ["shapes", "--codecs", "nothing"]])
def test_bad_input_gives_2(arguments: list[str]) -> None:
    assert bench(*arguments) == EXIT_BAD_INPUT


def test_what_is_stored_needs_no_weights(place: Path, capsys: pytest.CaptureFixture) -> None:
    assert bench("shapes", "--codecs", "mine") == EXIT_BAD_INPUT
    add_weights(place, "mine")
    assert bench("shapes", "--codecs", "mine", "--no-latency") == EXIT_DONE
    shutil.rmtree(place / "checkpoints")
    capsys.readouterr()
    assert bench("shapes", "--codecs", "mine") == EXIT_INCOMPLETE  # it was named and is missing
    assert re.search(r"^mine ", capsys.readouterr().out, re.MULTILINE)


def test_what_is_known_of_a_codec_without_weights_is_shown(place: Path, capsys: pytest.CaptureFixture) -> None:
    assert bench("shapes", "--codecs", "jpeg", "--points", "q10") == EXIT_DONE
    capsys.readouterr()
    assert bench("shapes", "--codecs", "mine") == EXIT_INCOMPLETE  # of which nothing is stored
    shown = capsys.readouterr().out
    assert "claims" in shown and not re.search(r"^JPEG", shown, re.MULTILINE) and "weights of what is missing" in shown


@pytest.mark.parametrize("fault", ["encode", "mismatch"])
def test_a_failure_and_a_mismatch_give_1(place: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFLATE_FAULT", fault)
    assert bench("shapes", "--codecs", "deflate", "--points", "s4") == EXIT_INCOMPLETE


def test_what_got_worse_gives_1_where_it_is_of_a_named_codec(place: Path, capsys: pytest.CaptureFixture) -> None:
    for name, percent in (("hpcm_base", 0), ("mine", -4)):
        store_rates(place / "results", name, percent)
    assert main(["claims", "--accept", "--no-report"]) == EXIT_DONE
    add_weights(place, "mine")
    mine = ["shapes", "--codecs", "mine", "--no-latency"]
    assert bench(*mine) == EXIT_DONE

    store_rates(place / "results", "mine", 1)
    capsys.readouterr()
    assert bench(*mine) == EXIT_INCOMPLETE
    shown = capsys.readouterr().out
    assert re.search("WORSE: rate of mine on kodak", shown, re.IGNORECASE) and "--accept" in shown
    assert bench("shapes", "--codecs", "deflate") == EXIT_DONE

    assert main(["claims", "--accept", "--no-report"]) == EXIT_DONE
    assert bench(*mine) == EXIT_DONE


def test_an_interrupted_run_keeps_its_rows_and_goes_on(place: Path, monkeypatch: pytest.MonkeyPatch,
                                                       capsys: pytest.CaptureFixture) -> None:
    encode = faulty_codecs.Deflate.encode

    def interrupt(self, image):
        if image.shape[1] == faulty_codecs.FAULTY_WIDTH:
            raise KeyboardInterrupt
        return encode(self, image)

    with monkeypatch.context() as patched:
        patched.setattr(deflate_class(), "encode", interrupt)
        assert bench("shapes", "--codecs", "deflate", "--points", "s4") == 130
    assert "run the same command" in capsys.readouterr().err
    (first,) = rows_of(place, "shapes")
    assert bench("shapes", "--codecs", "deflate", "--points", "s4") == EXIT_DONE
    assert first in rows_of(place, "shapes") and len(rows_of(place, "shapes")) == 2


def deflate_class() -> type:
    """The codec as it is registered, whichever name its module was imported by."""
    from bench.codecs.base import CODECS

    return CODECS.get("deflate").build


@pytest.fixture
def profiled(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The variants of each profile that is asked for; their rows are made up."""
    found: list[list[str]] = []

    def store_rows(args: argparse.Namespace, groups: list, settings: object) -> int:
        subjects = [subject for group in groups for subject in group]
        found.append([subject.name for subject in subjects])
        rows = [replace(row, identity={**row.identity, "model": subject.variant.model, "options": subject.options},
                        weights=subject.weights)
                for subject in subjects for row in latency_samples.both(subject.name)]
        latency_samples.store(args.results, rows, latency_folder(args.results, device_name("cpu")).name)
        return EXIT_DONE

    monkeypatch.setattr(assess, "run_profile", store_rows)
    return found


def test_a_variant_measured_here_is_profiled_beside_the_baseline_once(place: Path, profiled: list[list[str]],
                                                                     capsys: pytest.CaptureFixture) -> None:
    add_weights(place, "mine", "small")
    codecs = ["shapes", "--codecs", "mine,small,deflate", "--device", "cpu"]
    assert bench(*codecs, "--plan") == EXIT_DONE
    plan = capsys.readouterr().out
    assert re.search(r"profiled .*768x512.*: mine; expected time: about \d+ ", plan) and not profiled

    assert bench(*codecs, "--no-latency") == EXIT_DONE
    assert not profiled
    assert bench(*codecs) == EXIT_DONE
    assert bench(*codecs) == EXIT_DONE
    assert profiled == [["hpcm_base", "mine"]]
    assert (place / "reports" / "latency").is_dir()


def test_a_part_of_a_machine_is_profiled_only_where_that_is_wanted(
        place: Path, profiled: list[list[str]], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The evaluation is done all the same, and says what is left out and why."""
    monkeypatch.delenv("BENCH_SHARED_MACHINE", raising=False)
    monkeypatch.setattr("os.nice", lambda change: 15)
    add_weights(place, "mine")
    codecs = ["shapes", "--codecs", "mine", "--device", "cpu"]
    assert bench(*codecs) == EXIT_DONE and not profiled
    assert "not profiled: it runs at nice 15" in capsys.readouterr().out
    assert {row.provenance.nice for row in rows_of(place, "shapes")} == {15}

    assert bench(*codecs, "--shared-machine") == EXIT_DONE
    assert profiled == [["hpcm_base", "mine"]]


def test_a_profile_is_six_rounds_of_both_at_the_usual_size(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_weights(place, "mine")
    monkeypatch.setattr("bench.commands.profile.SHAPE", "64x64")
    assert bench("shapes", "--codecs", "mine", "--device", "cpu", "--threads", "1") == EXIT_DONE
    folder = latency_folder(place / "results", device_name("cpu"))
    rows = [row for path in sorted(folder.glob("*.jsonl")) for row in read_rows(path, LatencyRow)]
    assert [(row.name, row.direction, row.weights) for row in rows] == [
        (name, direction, weights) for name, weights in (("hpcm_base", "synthetic"), ("mine", "checkpoint, λ 0.01"))
        for direction in ("encode", "decode")]
    assert {len(row.samples_s) for row in rows} == {6} and len({row.session for row in rows}) == 1
    assert {(row.width, row.height) for row in rows} == {(64, 64)}


@pytest.mark.parametrize(("made", "wanted"), [({}, True), ({"device": "cpu: Another"}, False)])
def test_a_variant_that_was_only_stored_is_not_profiled(place: Path, profiled: list[list[str]], made: dict,
                                                        wanted: bool) -> None:
    add_weights(place, "mine")
    assert main(["evaluate", "--dataset", "shapes", "--codecs", "mine", "--device", "cpu"]) == EXIT_DONE
    path = place / "results" / "shapes" / "mine.jsonl"
    rows = [replace(row, provenance=replace(row.provenance, **made)) for row in rows_of(place, "shapes")]
    path.write_text("".join(row.to_json() + "\n" for row in rows))
    assert bench("shapes", "--codecs", "mine", "--device", "cpu") == EXIT_DONE
    assert bool(profiled) == wanted


def test_other_weights_options_and_sizes_are_no_profile_of_a_variant(place: Path) -> None:
    variant = get_variant("mine")
    identity = {"model": "hpcm_base", "options": variant.options_for(0.01)}

    def count(**values: object) -> bool:
        known = {"identity": {**latency_samples.row("mine", "encode").identity, **identity}, **values}
        return is_profiled(variant, select_latency(latency_samples.both("mine", **known)).cases)

    assert count() and count(weights="synthetic")
    assert not count(weights="checkpoint, λ 0.01") and not count(shape=(256, 256))
    assert not count(configuration="compiled")
    assert not count(identity={**latency_samples.row("mine", "encode").identity, **identity, "options": {}})
    assert not count(status="failed", reason="no")
    add_weights(place, "mine")
    assert count(weights="checkpoint, λ 0.01") and not count()


@pytest.mark.parametrize(("target", "arguments"), [
    (["kodak"], "kodak"), (["clic"], "clic2020"), (["tecnick"], "tecnick"), (["sample"], "sample"),
    (["folder", "FOLDER=/some/pictures"], '"/some/pictures"')])
def test_make_calls_it(target: list[str], arguments: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not here")
    apart = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    said = subprocess.run(["make", "-n", *target, "ARGS=--plan"], cwd=Path(__file__).parents[1], capture_output=True,
                          text=True, check=True, env=apart).stdout  # as if no make had started the tests
    assert said.splitlines()[-1].endswith(f"-m bench assess {arguments} --plan")
