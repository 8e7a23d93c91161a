"""Rows that were stored on another machine count on this one, but for --here and --strict."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Iterator
from pathlib import Path

import faulty_codecs
import other_machine
import pytest
from other_machine import pretend
from test_upgrade import as_schema1

from bench.cli import main
from bench.codecs.base import CodecSpec
from bench.codecs.learned import LEARNED
from bench.common.errors import EXIT_DONE
from bench.datasets import Dataset, DatasetUnavailable, resolve_dataset
from bench.results.machines import name_machine
from bench.results.rows import Row
from bench.results.store import Store, read_rows
from bench.runners.evaluate.plan import EvaluationPlan, make_plan
from bench.runners.evaluate.selection import choose_codecs
from bench.runners.evaluate.unit import Unit, identify

RESULTS = Path(__file__).parents[1] / "results"
STORED = 24  # images of Kodak


@pytest.fixture(autouse=True)
def forget_afterwards() -> Iterator[None]:
    yield
    other_machine.forget_machine()


@pytest.fixture(scope="module")
def kodak() -> Dataset:
    try:
        return resolve_dataset("kodak")
    except DatasetUnavailable:
        pytest.skip("Kodak's pictures are not here")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A processor of another name and instructions, another torch and other flags for what is compiled."""
    import torch

    from bench.operators.extension import Extension

    installed = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9.9" if name == "torch" else installed(name))
    monkeypatch.setattr(torch, "__version__", "9.9.9+elsewhere")
    monkeypatch.setattr(Extension, "flags", ["-march=elsewhere"])
    for name, value in {"CXX": "elsewhere++", "ATEN_CPU_CAPABILITY": "default", "BENCH_NATIVE": "0"}.items():
        monkeypatch.setenv(name, value)
    pretend(monkeypatch, tmp_path / "machine", "Elsewhere 9000")


def plan_of(dataset: Dataset, root: Path, *codecs: str, **options: bool) -> EvaluationPlan:
    chosen = choose_codecs(codecs)
    rows = Store(RESULTS).read(dataset.name)
    stored = {row.name for row in rows}, {row.series for row in rows}
    specs = [spec for spec in chosen.specs if _is_stored(spec, *stored)]
    template = Unit(CodecSpec("", "", ""), dataset.name, dataset.total, ())
    return make_plan(dataset, specs, (), Store(root), template, **options)


def _is_stored(spec: CodecSpec, names: set[str], series: set[str]) -> bool:
    """A learned variant whose rows the suite has, or a classical codec of the version that these rows are of."""
    return spec.name in names if spec.codec == LEARNED else identify(spec).digest in series


@pytest.mark.usefixtures("elsewhere")
def test_all_stored_rows_count_on_another_machine(kodak: Dataset) -> None:
    plan = plan_of(kodak, RESULTS, "all")
    rows = Store(RESULTS).read("kodak")
    learned = {(row.name, row.point) for row in rows if row.codec == LEARNED}
    assert learned == {(one.unit.spec.name, one.unit.spec.point) for one in plan.units
                       if one.unit.spec.codec == LEARNED}
    assert {name for name, _ in learned} >= {"hpcm_base_mini", "rwkv_phase4_mini"}
    assert plan.pending == () and {planned.cached for planned in plan.units} == {STORED}

    here = plan_of(kodak, RESULTS, "all", here=True)
    assert {planned.cached for planned in here.units} == {0}


def test_identities_are_the_same_on_another_machine(request: pytest.FixtureRequest) -> None:
    specs = choose_codecs(["all"]).specs
    before = [identify(spec) for spec in specs]
    request.getfixturevalue("elsewhere")
    assert [identify(spec) for spec in specs] == before


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("name", ["hpcm_base_mini", "rwkv_phase1_mini"])
def test_rows_of_schema_1_count_on_another_machine(kodak: Dataset, tmp_path: Path, name: str) -> None:
    rows = read_rows(RESULTS / "kodak" / f"{name}.jsonl", Row)
    path = Store(tmp_path).path("kodak", name)
    path.parent.mkdir()
    path.write_text("".join(json.dumps(_as_stored_then(row)) + "\n" for row in rows))
    plan = plan_of(kodak, tmp_path, name)
    assert len(plan.units) == 4 and plan.pending == ()


def _as_stored_then(row: Row) -> dict:
    """The line of schema 1: machine, torch and what compiled the operators were in the identity, and so in the key."""
    values = as_schema1(row)
    where = {"device": "cpu: AMD EPYC", "operators": row.provenance.operators}
    identity = {**row.identity, **where, "codec_version": f"torch 2.11.0, {row.identity['coder']}"}
    del identity["coder"]
    return {**values, "identity": identity, "series": "of then", "key": f"of then, {row.image}"}


@pytest.mark.usefixtures("measured_here")
def test_here_measures_once_again_and_keeps_both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                                 capsys: pytest.CaptureFixture) -> None:
    for name in ("BENCH_PLUGINS", "PYTHONPATH"):
        monkeypatch.setenv(name, faulty_codecs.environment()[name])
    folder = faulty_codecs.write_images(tmp_path / "pictures", [(30, 20), (20, 30)])

    def bench(*options: str) -> str:
        code = main(["evaluate", "--codecs", "deflate", "--dataset", str(folder), "--results", str(tmp_path), *options])
        assert code == EXIT_DONE
        return capsys.readouterr().out

    pretend(monkeypatch, tmp_path / "first", "First")
    assert re.search(r"deflate +s4 s16 +0 +4 ", bench("--here"))
    pretend(monkeypatch, tmp_path / "second", "Second")
    assert "nothing to run" in bench()
    assert re.search(r"deflate +s4 s16 +0 +4 ", bench("--here"))
    assert "nothing to run" in bench("--here")

    rows = read_rows(tmp_path / "pictures" / "deflate.jsonl", Row)
    assert [name_machine(row.provenance) for row in rows] == ["cpu: First, AVX2"] * 4 + ["cpu: Second, AVX2"] * 4
    assert len({row.key for row in rows}) == 4
    assert {row.provenance.device for row in Store(tmp_path).read("pictures")} == {"cpu: Second"}
    pretend(monkeypatch, tmp_path / "third", "First")
    assert {row.provenance.device for row in Store(tmp_path).read("pictures")} == {"cpu: First"}
    assert "nothing to run" in bench("--here")


@pytest.mark.usefixtures("measured_here")
def test_strict_measures_what_was_stored_elsewhere_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                                         capsys: pytest.CaptureFixture) -> None:
    for name in ("BENCH_PLUGINS", "PYTHONPATH"):
        monkeypatch.setenv(name, faulty_codecs.environment()[name])
    folder = faulty_codecs.write_images(tmp_path / "pictures", [(30, 20)])
    arguments = ["evaluate", "--codecs", "deflate", "--dataset", str(folder), "--results", str(tmp_path)]
    pretend(monkeypatch, tmp_path / "first", "First")
    assert main(arguments) == EXIT_DONE

    pretend(monkeypatch, tmp_path / "second", "Second")
    capsys.readouterr()
    assert main([*arguments, "--strict"]) == EXIT_DONE
    assert re.search(r"deflate +s4 s16 +0 +2 ", capsys.readouterr().out)
    assert main([*arguments, "--strict"]) == EXIT_DONE and "nothing to run" in capsys.readouterr().out
