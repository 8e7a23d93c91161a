"""Batches: every picture once, models together, none much longer than wanted; what is written is read again."""

from __future__ import annotations

from pathlib import Path

import faulty_codecs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.codecs.base import CodecSpec
from bench.common.errors import BenchError
from bench.runners.engines.batches import Batch, TimedUnit, cut_unit, group_units, read_batch, write_batch
from bench.runners.evaluate.expected import ExpectedUnit, Work
from bench.runners.evaluate.stopwatch import CODING, STARTING
from bench.runners.evaluate.unit import Unit, UnitImage, identify
from bench.runners.forecast import Kind
from bench.runners.nodes.worker import describe_worker

START_S = 1.0
SECONDS = st.lists(st.floats(0.0, 400.0), min_size=1, max_size=30)


def time_unit(seconds: list[float], model: str = "a", point: str = "1") -> TimedUnit:
    """A unit whose pictures take so long each, after a second."""
    spec = CodecSpec("learned", model, point, {}, {"model": model})
    images = tuple(UnitImage(f"{number}.png", f"/{number}.png", "0" * 64) for number in range(len(seconds)))
    works = {image.name: (Work(Kind(model), CODING, image_s),) for image, image_s in zip(images, seconds)}
    return TimedUnit(Unit(spec, "set", None, images), ExpectedUnit(Work(Kind("start"), STARTING, START_S), works))


@given(st.lists(SECONDS, min_size=1, max_size=6), st.floats(5.0, 600.0))
def test_every_picture_is_in_one_batch(units: list[list[float]], batch_s: float) -> None:
    timed = [time_unit(seconds, "ab"[number % 2], str(number)) for number, seconds in enumerate(units)]
    groups = group_units(timed, batch_s)
    found = [(unit.spec.point, image.name) for group in groups for unit in group for image in unit.images]
    assert sorted(found) == sorted((one.unit.spec.point, image.name) for one in timed for image in one.unit.images)
    assert all(len({unit.spec.name for unit in group}) == 1 for group in groups)  # a model of its own each


@given(SECONDS, st.floats(5.0, 600.0))
def test_parts_are_about_equally_long_and_in_order(seconds: list[float], batch_s: float) -> None:
    timed = time_unit(seconds)
    parts = list(cut_unit(timed, batch_s))
    assert [image for part in parts for image in part.unit.images] == list(timed.unit.images)
    assert all(part.unit.images for part in parts)
    for part in parts:
        assert part.expected.seconds <= batch_s + 2 * max(seconds) + START_S


def test_short_units_of_a_model_share_a_batch() -> None:
    timed = [time_unit([10.0, 10.0], model, str(point)) for point in range(6) for model in "ab"]
    groups = group_units(timed, batch_s=70.0)  # three units of 21 s each
    assert [[unit.spec.name for unit in group] for group in groups] == [["a"] * 3] * 2 + [["b"] * 3] * 2


def test_a_batch_is_read_as_it_was_written(tmp_path: Path) -> None:
    spec = faulty_codecs.spec(4)
    unit = Unit(spec, "set", 24, (UnitImage("a.png", "/a.png", "0" * 64, True, "1" * 64),), series=identify(spec))
    batch = Batch("00001-2", (unit, unit), "/shard", "slurm", 2, describe_worker("cpu").expectation)
    assert read_batch(write_batch(batch, tmp_path / "batch.json")) == batch

    text = (tmp_path / "batch.json").read_text()
    (tmp_path / "batch.json").write_text(text.replace('"attempt"', '"attempts"'))
    with pytest.raises(BenchError, match="no batch"):
        read_batch(tmp_path / "batch.json")
