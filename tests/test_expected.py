"""What a unit is expected to take: by rows of this machine, of others, of other datasets, by a profile, by a guess."""

from __future__ import annotations

from pathlib import Path

import latency_samples
import pytest
import row_samples
from msgspec.structs import replace

from bench.codecs.base import CODECS, CodecSpec
from bench.results.machines import find_processor
from bench.results.rows import Provenance, Row
from bench.results.store import Store
from bench.runners.evaluate.expected import DECODINGS, UnitTimes
from bench.runners.evaluate.stopwatch import CODING
from bench.runners.forecast import ELSEWHERE, GUESSED, HERE

OTHER = "cpu: another"
THIS = f"cpu: {find_processor()}"


def row(device: str, seconds: float, point: str = "q50", image: str = "a.png", **values: object) -> Row:
    """A row of one megapixel; its encoding and the two decodings that a classical codec needs take ``seconds``."""
    return row_samples.row(image, point, 1.0, 30.0, encode_s=seconds / 2, decode_s=seconds / 4, width=1000, height=1000,
                           provenance=Provenance(device=device), **values)


def coding(root: Path, rows: list[Row], spec: CodecSpec, device: str = "cpu") -> tuple[float, str]:
    """Seconds that an image of two megapixels is expected to be coded in, and how that is known."""
    unit = UnitTimes(Store(root), rows, device).expect(spec, {"a.png": 2.0}, is_first=False)
    (work,) = [work for work in unit.images["a.png"] if work.part == CODING]
    return work.planned_s, work.kind.source


def jpeg(point: str = "q50") -> CodecSpec:
    return CodecSpec("jpeg", "jpeg", point)


def learned(name: str, **settings: object) -> CodecSpec:
    return CodecSpec("learned", name, "0.01", settings=settings)


def test_rows_of_this_machine_come_before_others(tmp_path: Path) -> None:
    rows = [row(OTHER, 9.0), row(THIS, 1.0), row(THIS, 2.0, image="b.png"), row(THIS, 5.0, "q90")]
    assert coding(tmp_path, rows, jpeg()) == (pytest.approx(2 * 1.5), HERE)
    assert coding(tmp_path, rows, jpeg("q10")) == (pytest.approx(2 * 8 / 3), HERE)  # the mean of those points
    assert coding(tmp_path, rows[:1], jpeg()) == (pytest.approx(18), ELSEWHERE)


def sized(megapixels: float, coding_s: float, point: str = "q50") -> Row:
    """A row of an image of some size, whose encoding and two decodings take ``coding_s``."""
    return replace(row(THIS, coding_s, point, image=f"{megapixels}.png"), width=1000, height=round(1000 * megapixels))


@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_times_grow_with_the_size_as_rows_of_two_sizes_say(tmp_path: Path, exponent: float) -> None:
    times = UnitTimes(Store(tmp_path), [sized(size, 3.0 * size**exponent) for size in (0.4, 1.4)], "cpu")
    for size in (0.2, 1.4, 2.8):
        (coding_work, *_) = times.expect(jpeg(), {"c.png": size}, is_first=False).images["c.png"]
        assert coding_work.planned_s == pytest.approx(3.0 * size**exponent)


def test_attention_on_a_part_of_the_work_is_met_between_linear_and_quadratic(tmp_path: Path) -> None:
    # Seconds that weconv_phase4_mini took to code a megapixel, by megapixels: the third follows from the others.
    took = {0.393: 0.95, 1.44: 2.1, 2.796: 3.9}
    rows = [sized(size, size * seconds) for size, seconds in list(took.items())[:2]]
    unit = UnitTimes(Store(tmp_path), rows, "cpu").expect(jpeg(), {"c.png": 2.796}, is_first=False)
    assert unit.images["c.png"][0].planned_s == pytest.approx(2.796 * 3.9, rel=0.15)


def test_only_sizes_of_one_rate_point_that_differ_enough_tell_growth(tmp_path: Path) -> None:
    for rows in ([sized(1.0, 1.0), sized(2.0, 8.0, "q90")],  # a dearer point
                 [sized(1.0, 1.0), sized(1.2, 1.8)],  # portrait and landscape
                 [sized(1.0, 4.0), sized(2.0, 4.0)]):  # a constant part
        known = UnitTimes(Store(tmp_path), rows, "cpu")
        small, large = (known.expect(jpeg(), {"c.png": size}, is_first=False).images["c.png"][0].planned_s
                        for size in (1.0, 3.0))
        assert large == pytest.approx(3 * small)


def test_rows_of_other_datasets_tell_where_this_one_has_none(tmp_path: Path) -> None:
    Store(tmp_path).append(replace(row(THIS, 3.0), dataset="another"))
    assert coding(tmp_path, [], jpeg()) == (pytest.approx(6), HERE)
    assert coding(tmp_path, [row(OTHER, 1.0)], jpeg()) == (pytest.approx(2), ELSEWHERE)


def test_without_rows_the_codec_says_something(tmp_path: Path) -> None:
    assert coding(tmp_path, [], jpeg()) == (2 * CODECS.get("jpeg").seconds_per_megapixel, GUESSED)


def test_a_processor_tells_nothing_of_a_gpu(tmp_path: Path) -> None:
    rows = [row("cuda: a GPU", 0.5, "0.01", name="mine"), row(OTHER, 8.0, "0.01", name="mine", image="b.png")]
    on_cpu, on_gpu = (coding(tmp_path, rows, learned("mine"), device)[0] for device in ("cpu", "cuda"))
    assert on_cpu == pytest.approx(16 * on_gpu) and on_gpu < 1.0


def test_a_models_profile_tells_where_there_are_no_rows(tmp_path: Path) -> None:
    latency_samples.store(tmp_path, latency_samples.both("hpcm_base", 0.1, 0.2, rounds=(1.0,), shape=(500, 400)))
    expected = (2 * (0.1 + 0.2 * DECODINGS[True]) / 0.2, ELSEWHERE)
    for spec in (learned("hpcm_base", model="hpcm_base"), learned("retrained", model="hpcm_base")):
        assert coding(tmp_path, [], spec) == (pytest.approx(expected[0]), expected[1])
    small_s, source = coding(tmp_path, [], learned("small", model="hpcm_base", miniature=True))
    assert source == GUESSED and small_s < 2 * CODECS.get("learned").seconds_per_megapixel / 5


def test_a_unit_warms_up_on_its_first_image_and_starts_slower_when_it_is_the_first(tmp_path: Path) -> None:
    times = UnitTimes(Store(tmp_path), [row(THIS, 3.0)], "cpu")
    sizes = {"a.png": 2.0, "b.png": 4.0}
    first, later = (times.expect(jpeg(), sizes, is_first=is_first) for is_first in (True, False))
    assert later.start.planned_s - 2 * 3.0 > 0 and first.start.planned_s > later.start.planned_s
    assert later.seconds == pytest.approx(later.start.planned_s + sum(
        work.planned_s for works in later.images.values() for work in works))
    assert times.expect(jpeg(), {}, is_first=True).seconds == 0
