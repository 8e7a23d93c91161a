"""The plan: what is stored, what will run, what is missing, how long it takes."""

from __future__ import annotations

import json
from pathlib import Path

import faulty_codecs
import pytest
import torch
from msgspec.structs import replace
from tiny_models import TINY, tiny_model

from bench.common.errors import BenchError, ConfigurationError
from bench.common.text import format_duration
from bench.datasets import resolve_dataset
from bench.metrics.quality import METRICS
from bench.results.rows import OK, Provenance
from bench.results.store import Store
from bench.runners.evaluate.expected import (
    FILES_S_PER_MEGAPIXEL,
    FIRST_START_S,
    LATER_START_S,
    METRICS_S_PER_MEGAPIXEL,
)
from bench.runners.evaluate.measure import failed_row
from bench.runners.evaluate.plan import EvaluationPlan, describe_plan, make_plan
from bench.runners.evaluate.run import evaluate
from bench.runners.evaluate.selection import choose_checkpoint, choose_codecs, describe_missing
from bench.runners.evaluate.unit import Unit
from bench.runners.progress import Progress

SCORED_S_PER_MEGAPIXEL = METRICS_S_PER_MEGAPIXEL + FILES_S_PER_MEGAPIXEL
VERSIONS = {name: METRICS.get(name).version for name in METRICS}
VARIANTS = """
variants:
  small: {model: hpcm_base, label: Small, lambdas: [0.01, 0.02], checkpoints: weights}
  none: {model: hpcm_base, label: None, lambdas: [0.01], checkpoints: {0.01: nowhere/a.pth}}
"""


@pytest.fixture(autouse=True)
def variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "variants.yaml"
    path.write_text(VARIANTS)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "0.01.pth").write_bytes(b"not really")
    monkeypatch.setenv("BENCH_VARIANTS", str(path))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return faulty_codecs.write_images(tmp_path / "pictures", [(200, 100), (100, 300)])


def plan_of(folder: Path, store: Store, **options: object) -> EvaluationPlan:
    dataset = resolve_dataset(folder)
    template = Unit(faulty_codecs.spec(), "", None, ())
    chosen = choose_codecs(["deflate"])
    return make_plan(dataset, chosen.specs, chosen.missing, store, template, **options)


def test_nothing_stored_means_everything_runs(folder: Path, tmp_path: Path) -> None:
    plan = plan_of(folder, Store(tmp_path / "results"))
    assert [(planned.unit.spec.point, planned.cached) for planned in plan.units] == [("s4", 0), ("s16", 0)]
    assert [len(planned.unit.images) for planned in plan.units] == [2, 2]
    # Two points; 0.02, 0.03 and, to warm up, 0.02 megapixels at the 3 s a megapixel of the codec's entry.
    starts_s = FIRST_START_S[False] + LATER_START_S[False]
    assert plan.expected_s == pytest.approx(2 * (0.07 * 3.0 + 0.05 * SCORED_S_PER_MEGAPIXEL) + starts_s)
    assert not (tmp_path / "results").exists()


def test_stored_rows_are_not_planned_again(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    first, second = plan_of(folder, store).units
    images = first.unit.images
    failure = failed_row(first.unit, images[0], first.series, RuntimeError("no"), Provenance())
    done = replace(failure, status=OK, reason=None, bpp=0.5, width=200, height=100, encode_s=0.1, decode_s=0.05,
                   quality_versions=VERSIONS)
    store.append(done)
    store.append(replace(failed_row(second.unit, images[1], second.series, RuntimeError("no"), Provenance())))

    plan = plan_of(folder, store)
    assert [(planned.cached, [image.name for image in planned.unit.images]) for planned in plan.units] == [
        (1, ["image01.png"]), (0, ["image00.png", "image01.png"])]
    # 0.1 s to encode, 0.05 s in each of two decoders, over 0.02 megapixels.
    expected = (2 * 0.03 + 0.02 + 0.05) * 0.2 / 0.02 + (0.03 + 0.05) * SCORED_S_PER_MEGAPIXEL
    assert plan.expected_s == pytest.approx(expected + FIRST_START_S[False] + LATER_START_S[False])

    kept = plan_of(folder, store, keep_failures=True)
    assert [planned.cached for planned in kept.units] == [1, 1]
    again = plan_of(folder, store, remeasure=True)
    assert [len(planned.unit.images) for planned in again.units] == [2, 2]
    assert "deflate  s4 s16            1       3" in describe_plan(plan)


def test_what_failed_before_comes_last(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    unit = plan_of(folder, store).units[0]
    store.append(failed_row(unit.unit, unit.unit.images[0], unit.series, RuntimeError("no"), Provenance()))
    again = plan_of(folder, store).units[0]
    assert [image.name for image in again.unit.images] == ["image01.png", "image00.png"]


@pytest.mark.usefixtures("measured_here")
def test_what_another_run_tried_since_the_plan_was_made_is_not_tried_twice(folder: Path, tmp_path: Path,
                                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BENCH_PLUGINS", "PYTHONPATH"):
        monkeypatch.setenv(name, faulty_codecs.environment()[name])
    store = Store(tmp_path / "results")
    unit = plan_of(folder, store).units[0]
    earlier, since = (failed_row(unit.unit, image, unit.series, RuntimeError("no"), Provenance())
                      for image in unit.unit.images)
    store.append(earlier)
    plan = plan_of(folder, store)
    store.append(since)
    evaluate(plan, store, Progress(plan.make_forecast(), plan.images_to_run))

    rows = {row.image: row for row in store.read("pictures") if row.point == "s4"}
    assert rows[earlier.image].status == OK and rows[since.image] == since


def test_changed_image_is_planned_again(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    unit = plan_of(folder, store).units[0]
    for image in unit.unit.images:
        failure = failed_row(unit.unit, image, unit.series, RuntimeError(), Provenance())
        store.append(replace(failure, status=OK, bpp=0.5, quality_versions=VERSIONS))
    assert plan_of(folder, store).units[0].cached == 2
    faulty_codecs.write_images(folder, [(200, 100)], seed=5)
    assert [image.name for image in plan_of(folder, store).units[0].unit.images] == ["image00.png"]


def test_same_picture_under_two_names_is_one_measurement(folder: Path, tmp_path: Path) -> None:
    (folder / "copy.png").write_bytes((folder / "image00.png").read_bytes())
    plan = plan_of(folder, Store(tmp_path / "results"))
    assert len(plan.units[0].unit.images) == 2 and len(set(plan.units[0].keys)) == 2
    assert "2 images, 1 duplicate left out (image00.png is copy.png)" in describe_plan(plan)


def test_unreadable_image_is_planned(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.png").write_bytes(b"")
    assert len(plan_of(folder, Store(tmp_path / "results")).units[0].unit.images) == 3


def test_checkpoint_that_can_not_be_identified_is_said_before(folder: Path, tmp_path: Path) -> None:
    chosen = choose_codecs(["small"])
    store, template = Store(tmp_path / "results"), Unit(faulty_codecs.spec(), "", None, ())
    (tmp_path / "weights" / "0.01.pth").unlink()
    plan = make_plan(resolve_dataset(folder), chosen.specs, chosen.missing, store, template)
    assert "will fail: small 0.01: " in describe_plan(plan)


def test_checkpoint_that_does_not_fit_is_said_before_and_stored_series_are_not_looked_at(
        folder: Path, tmp_path: Path, variants: Path) -> None:
    """By names and shapes: in the plan, not once everything is loaded."""
    variants.write_text("variants:\n  small: {model: hpcm_base, label: Small, lambdas: [0.01, 0.02, 0.03],"
                        f" checkpoints: weights, options: {json.dumps(TINY)}}}\n")
    state = tiny_model().state_dict()
    torch.save({f"codec.{name}": value for name, value in state.items()}, tmp_path / "weights" / "0.01.pth")
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "weights" / "0.02.pth")
    torch.save({"model": state, "ema": state}, tmp_path / "weights" / "0.030.pth")
    chosen = choose_codecs(["small"])
    store, template = Store(tmp_path / "results"), Unit(faulty_codecs.spec(), "", None, ())
    plan = make_plan(resolve_dataset(folder), chosen.specs, chosen.missing, store, template)
    told = describe_plan(plan)
    assert "will fail: small 0.01: 0.01.pth does not fit HPCM: missing: " in told
    assert "all names of the file begin with 'codec.'" in told and "will fail: small 0.02" not in told
    assert "note: small 0.03: the weights are taken, not the moving average beside them in 0.030.pth: ema" in told

    planned = plan.units[0]
    failure = failed_row(planned.unit, planned.unit.images[0], planned.series, RuntimeError(), Provenance())
    store.append(replace(failure, status=OK, bpp=0.5, quality_versions=VERSIONS))
    plan = make_plan(resolve_dataset(folder), chosen.specs, chosen.missing, store, template)
    assert plan.units[0].unit.images and "will fail" not in describe_plan(plan)


def test_missing_checkpoints_say_where_they_were_looked_for(tmp_path: Path) -> None:
    chosen = choose_codecs(["small", "learned", "absent"])
    assert [(spec.name, spec.point) for spec in chosen.specs] == [("small", "0.01")]
    missing = {one.what: one for one in chosen.missing}
    assert missing["small"].named and not missing["none"].named and missing["absent"].named
    assert "0.02" in missing["small"].reason and str(tmp_path / "weights") in missing["small"].reason
    assert "0.02.safetensors" in missing["small"].reason and "0.01.pth" not in missing["small"].reason
    assert str(tmp_path / "nowhere") in missing["none"].reason
    assert missing["absent"].reason == "its program is not here"


def test_what_came_with_a_group_and_is_missing_takes_a_line_a_family(tmp_path: Path) -> None:
    entries = "".join(f"  {name}: {{model: hpcm_base, line: {line}, lambdas: [0.01], checkpoints: {name}}}\n"
                      for name, line in (("a1", "A"), ("b1", "B"), ("a2", "A"), ("a3", "A")))
    (tmp_path / "variants.yaml").write_text(f"{VARIANTS}{entries}")
    lines = describe_missing(choose_codecs(["all"]).missing)
    (families,) = [line for line in lines if line.startswith("checkpoints of ")]
    assert families.startswith("checkpoints of none (1 variant), A (3), B (1): put them at checkpoints/<variant>/")
    assert str(tmp_path) not in families
    assert any(line.startswith("small: no checkpoint for λ = 0.02;") for line in lines)  # it has others
    assert not any("a1" in line or "b1" in line for line in lines)

    (named,) = describe_missing(choose_codecs(["small", "a2"], ["0.01"]).missing)
    assert named.startswith("a2: no checkpoint for λ = 0.01; looked in") and str(tmp_path / "a2") in named


def test_codecs_of_which_everything_is_stored_take_one_line(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    for planned in plan_of(folder, store).units:
        for image in planned.unit.images:
            failure = failed_row(planned.unit, image, planned.series, RuntimeError(), Provenance())
            store.append(replace(failure, status=OK, bpp=0.5, quality_versions=VERSIONS))
    text = describe_plan(plan_of(folder, store))
    assert "stored: 1 codec, 4 images" in text and "s16" not in text and "nothing to run" in text
    faulty_codecs.write_images(folder, [(200, 100)], seed=5)
    text = describe_plan(plan_of(folder, store))
    assert "stored: " not in text and "deflate  s4 s16            2       2" in text


@pytest.mark.parametrize(("codecs", "points", "text"), [
    (["dflate"], [], "no codec or variant 'dflate'"), (["jpg"], [], r"did you mean jpeg\?"),
    (["JPEG"], [], r"did you mean jpeg\?"), (["webpp"], [], r"did you mean webp\?"),
    (["deflate"], ["s4", "s5"], "rate point s5"), (["small"], ["0.0100", "013"], "rate point 013"),
    ([], [], "no codec is named"),
    (["none"], [], "nothing to run"),
    (["absent"], [], "its program is not here"),
])
def test_what_can_not_be_chosen(codecs: list[str], points: list[str], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        choose_codecs(codecs, points)


def test_groups_and_points() -> None:
    names = {spec.name for spec in choose_codecs(["classical"]).specs}
    assert {"jpeg", "deflate"} <= names and not {"small", "learned"} & names
    assert {"jpeg", "deflate", "small"} <= {spec.name for spec in choose_codecs(["all"]).specs}
    for spelled in ("0.01", "0.0100", ".01", "1e-2"):
        specs = choose_codecs(["all", "deflate"], ["s4", spelled]).specs
        assert [(spec.name, spec.point) for spec in specs] == [("small", "0.01"), ("deflate", "s4")]


def test_checkpoint_of_the_user(tmp_path: Path) -> None:
    path = tmp_path / "0.0067.pth.tar"
    path.write_bytes(b"")
    (spec,) = choose_checkpoint(str(path), "small", []).specs
    assert (spec.name, spec.point, spec.location["checkpoint"]) == ("small", "0.0067", str(path))
    (spec,) = choose_checkpoint(str(path), "small", ["0.5"]).specs
    assert spec.point_settings == {"lambda": 0.5}
    for file, variant, points in (("no.pth", "small", []), (str(path), "nobody", []),
                                  (str(path), "small", ["1", "2"]), (str(path), "small", ["high"]),
                                  (str(path), "small", ["0_013"]), (str(path), "small", ["٠.٠١٣"]),
                                  (str(path), "small", ["1e400"])):
        with pytest.raises(BenchError):
            choose_checkpoint(file, variant, points)


def test_durations_read_as_people_say_them() -> None:
    assert [format_duration(s) for s in (0.2, 61, 200, 7800)] == ["1 s", "61 s", "3 min", "2 h 10 min"]
